// SPDX-License-Identifier: MIT
// tokenizer.json files whose added tokens strip white space, stand alone, or are looked for once spaces are U+2581:
// ids of the tokenizers library.
#include <gtest/gtest.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/text/tokenizer_json.h>
#include <lazuli/models/text/unicode_classes.h>
#include <lazuli/tests/support/safetensors_writer.h>
#include <lazuli/tests/support/test_model.h>

#include <cstdlib>

namespace lazuli {
namespace {

using Ids = std::vector<std::int32_t>;
using nlohmann::json;

// Each tokenizer with texts, their ids where special tokens are text, and where they are parsed.
TEST(AddedTokens, GiveTheIdsOfTheTokenizersLibrary) {
  const char* other = std::getenv("LAZULI_TEST_ADDED_TOKENS");  // a larger file of the same form
  const json documents = read_json(other != nullptr ? other : test::test_data_path("tokenizers/added_tokens.json"));
  ASSERT_GE(documents.size(), 12u);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    test::TemporaryFolder folder;
    folder.write("config.json", "{}");
    folder.write("tokenizer.json", documents[i]["tokenizer"].dump());
    const auto tokenizer = read_tokenizer_json(CheckpointFolder::open(folder.path()));
    ASSERT_NE(tokenizer, nullptr);
    for (const json& example : documents[i]["cases"]) {
      const auto text = example[0].get<std::string>();
      EXPECT_EQ(tokenizer->encode(text, {.add_bos = false}), example[1].get<Ids>()) << i << ": " << example[0];
      EXPECT_EQ(tokenizer->encode(text, {.add_bos = false, .parse_special = true}), example[2].get<Ids>())
          << i << ": " << example[0];
    }
  }
}

TEST(UnicodeClasses, KnowWordsAndSpace) {
  for (const char32_t c : {U'a', U'Z', U'_', U'0', U'\u00e9', U'\u0301', U'\u4e2d', U'\u0660', U'\u200d', U'\u203f'})
    EXPECT_TRUE(is_word(c)) << static_cast<std::uint32_t>(c);
  for (const char32_t c : {U' ', U'-', U'<', U'\u00a0', U'\u2581', U'\u3000', U'\u20ac', U'\U0001f999'})
    EXPECT_FALSE(is_word(c)) << static_cast<std::uint32_t>(c);
  EXPECT_EQ(first_code_point("\u4e2dx").value, U'\u4e2d');
  EXPECT_EQ(last_code_point("x\u4e2d").value, U'\u4e2d');
  EXPECT_EQ(last_code_point("x\u4e2d").bytes, 3u);
  EXPECT_EQ(last_code_point("").bytes, 0u);
  EXPECT_EQ(last_code_point("a\xa0").bytes, 1u);
  EXPECT_FALSE(is_white_space(last_code_point("a\xa0").value));
}

}  // namespace
}  // namespace lazuli
