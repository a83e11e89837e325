// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/text/chat_template.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/gguf_writer.h>
#include <lazuli/tests/support/test_model.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace lazuli {
namespace {

using Ids = std::vector<std::int32_t>;
using test::error_of;
using test::GgufWriter;

constexpr EncodeOptions plain = {.add_bos = false, .parse_special = false};
constexpr EncodeOptions special = {.add_bos = false, .parse_special = true};

// ---- a vocabulary small enough to follow by hand ----

struct Piece {
  std::string text;
  float score = 0;
  TokenType type = TokenType::normal;
};

// Pieces behind <pad> <eos> <bos> <unk>, so that the first has id 4; then the 256 byte tokens.
GgufWriter small_vocabulary(std::vector<Piece> pieces, const char* model = "llama") {
  std::vector<Piece> all = {{"<pad>", -1000, TokenType::control},
                            {"<eos>", -1000, TokenType::control},
                            {"<bos>", -1000, TokenType::control},
                            {"<unk>", -1000, TokenType::unknown}};
  all.insert(all.end(), pieces.begin(), pieces.end());
  for (int byte = 0; byte < 256; ++byte) all.push_back({fmt::format("<0x{:02X}>", byte), 0, TokenType::byte});
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const Piece& piece : all) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<std::int32_t>(piece.type));
  }
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", model).add_array("tokenizer.ggml.tokens", texts);
  writer.add_array("tokenizer.ggml.scores", scores).add_array("tokenizer.ggml.token_type", types);
  writer.add("tokenizer.ggml.bos_token_id", 2u).add("tokenizer.ggml.eos_token_id", 1u);
  return writer.add("tokenizer.ggml.unknown_token_id", 3u);
}

std::shared_ptr<const Tokenizer> tokenizer_of(const GgufWriter& writer) {
  return Tokenizer::from_gguf(test::parse_gguf(writer.bytes()));
}

TEST(Tokenizer, MergesTheHighestScoreFirstAndTheLeftmostOfEquals) {
  const auto tokenizer = tokenizer_of(small_vocabulary({{"a", -9}, {"b", -9}, {"ab", -2}, {"ba", -1}, {"aa", -3}}));
  EXPECT_EQ(tokenizer->encode("aba", plain), (Ids{4, 7}));  // a, ba
  EXPECT_EQ(tokenizer->encode("aaa", plain), (Ids{8, 4}));  // aa, a
  EXPECT_EQ(tokenizer->encode("aab", plain), (Ids{4, 6}));  // a, ab
  EXPECT_EQ(tokenizer->encode("", {}), (Ids{2}));
}

TEST(Tokenizer, SpellsUnknownTextInBytes) {
  const auto tokenizer = tokenizer_of(small_vocabulary({{"a", -1}}));
  EXPECT_EQ(tokenizer->encode("a\xc3\xa9\xff", plain), (Ids{4, 5 + 0xc3, 5 + 0xa9, 5 + 0xff}));
  EXPECT_EQ(tokenizer->decode(Ids{4, 5 + 0xc3, 5 + 0xa9, 5 + 0xff}), "a\xc3\xa9\xff");
  EXPECT_EQ(tokenizer->encode(" ", plain), (Ids{5 + 0xe2, 5 + 0x96, 5 + 0x81}));
}

TEST(Tokenizer, SpacesBecomeMarkersAndBack) {
  const auto tokenizer = tokenizer_of(small_vocabulary({{"\u2581", -2}, {"a", -2}, {"\u2581a", -1}}));
  EXPECT_EQ(tokenizer->encode(" a a", plain), (Ids{6, 6}));
  EXPECT_EQ(tokenizer->encode("a ", plain), (Ids{5, 4}));
  EXPECT_EQ(tokenizer->decode(Ids{6, 6, 4}), " a a ");
}

TEST(Tokenizer, TakesLongerSpecialTokensFirstWhereverTheyStart) {
  const auto tokenizer = tokenizer_of(small_vocabulary({{"a"},
                                                        {"d"},
                                                        {"ab", 0, TokenType::user_defined},
                                                        {"bcd", 0, TokenType::user_defined},
                                                        {"bc", 0, TokenType::control}}));
  EXPECT_EQ(tokenizer->encode("abcd", plain), (Ids{4, 7}));  // a, bcd: ab starts earlier but is shorter
  EXPECT_EQ(tokenizer->encode("abab", plain), (Ids{6, 6}));
  EXPECT_EQ(tokenizer->encode("ddbca", special), (Ids{5, 5, 8, 4}));
  EXPECT_EQ(tokenizer->encode("abca", special).size(), 3u);  // ab (leftmost of equals), c as a byte, a
}

TEST(Tokenizer, ControlTokensAreTextUnlessAskedForAndHiddenUnlessShown) {
  const auto tokenizer = tokenizer_of(small_vocabulary({{"<eos>x", -1}}));
  EXPECT_EQ(tokenizer->encode("<eos>", special), (Ids{1}));
  EXPECT_EQ(tokenizer->encode("<eos>", plain).size(), 5u);
  EXPECT_EQ(tokenizer->decode(Ids{2, 4, 1}), "<eos>x");
  EXPECT_EQ(tokenizer->decode(Ids{2, 4, 1}, true), "<bos><eos>x<eos>");
  EXPECT_EQ(tokenizer->piece(1), "<eos>");
  EXPECT_EQ(tokenizer->type(1), TokenType::control);
}

TEST(Tokenizer, AcceptsDuplicateVocabularyStrings) {
  const auto tokenizer = tokenizer_of(small_vocabulary({{"a", -1}, {"a", -1}, {""}}));
  EXPECT_EQ(tokenizer->encode("a", plain), (Ids{5}));
  EXPECT_EQ(tokenizer->decode(Ids{4, 5, 6}), "aa");
}

TEST(Tokenizer, BosFollowsTheFile) {
  GgufWriter without = small_vocabulary({{"a"}});
  without.add("tokenizer.ggml.add_bos_token", false);
  EXPECT_EQ(tokenizer_of(without)->encode("a"), (Ids{4}));
  EXPECT_EQ(tokenizer_of(small_vocabulary({{"a"}}))->encode("a"), (Ids{2, 4}));
}

TEST(Tokenizer, EndsAndSuppressionsOfTheFile) {
  GgufWriter writer = small_vocabulary({{"a", -9}, {"b", -9}, {"c", -9}});
  const std::int32_t first = *tokenizer_of(writer)->find("a");
  EXPECT_TRUE(tokenizer_of(writer)->suppressed().empty());
  writer.add("tokenizer.ggml.eot_token_id", static_cast<std::uint32_t>(first));
  writer.add("tokenizer.ggml.eom_token_id", static_cast<std::uint32_t>(first + 1));
  writer.add_array("tokenizer.ggml.suppress_tokens", Ids{first + 2, 900000, -1});
  const auto tokenizer = tokenizer_of(writer);
  for (const std::int32_t end : {1, first, first + 1}) EXPECT_TRUE(tokenizer->is_end_of_generation(end)) << end;
  EXPECT_FALSE(tokenizer->is_end_of_generation(first + 2));
  EXPECT_EQ(Ids(tokenizer->suppressed().begin(), tokenizer->suppressed().end()), (Ids{first + 2, 900000}));
}

TEST(Tokenizer, FilesWithoutATokenizerGiveNone) {
  EXPECT_EQ(tokenizer_of(GgufWriter().add("tokenizer.ggml.model", "none")), nullptr);
  EXPECT_EQ(tokenizer_of(GgufWriter()), nullptr);
}

TEST(Tokenizer, RefusesInconsistentMetadata) {
  const auto load_error = [](const GgufWriter& writer) { return error_of([&] { tokenizer_of(writer); }); };
  EXPECT_EQ(load_error(GgufWriter().add("tokenizer.ggml.model", "gpt2")),
            "model.gguf: key tokenizer.ggml.model: found \"gpt2\", expected \"llama\", \"gemma4\" or \"none\"");
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", "llama").add_array("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
  EXPECT_EQ(load_error(writer), "model.gguf: key tokenizer.ggml.scores: not in the file, expected an array");
  GgufWriter bad_type = writer, bad_eos = writer;
  writer.add_array("tokenizer.ggml.scores", std::vector<float>{0});
  EXPECT_EQ(load_error(writer), "model.gguf: 1 token scores, expected one for each of 2 tokens");
  bad_type.add_array("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, 9});
  EXPECT_EQ(load_error(bad_type), "model.gguf: key tokenizer.ggml.token_type: element 1 is 9, expected 0 to 7");
  // One that names an end by text is no better.
  bad_eos.add_array("tokenizer.ggml.scores", std::vector<float>{0, 0}).add("tokenizer.ggml.eos_token_id", "</s>");
  EXPECT_EQ(
      load_error(bad_eos),
      "model.gguf: key tokenizer.ggml.eos_token_id: value at byte 224 is string \"</s>\", expected an integer that "
      "fits i64");
}

// Converters write ids that no token has where they mean none.
TEST(Tokenizer, IdsThatNoTokenHasAreNoted) {
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", "llama");
  writer.add_array("tokenizer.ggml.tokens", std::vector<std::string>{"<bos>", "<eos>", "a"});
  writer.add_array("tokenizer.ggml.scores", std::vector<float>{0, 0, 0});
  const GgufWriter without = writer;
  const auto expect = [](const GgufWriter& file, const std::vector<std::string>& notes) {
    const auto tokenizer = tokenizer_of(file);
    EXPECT_EQ(std::vector<std::string>(tokenizer->notes().begin(), tokenizer->notes().end()), notes);
    // Those of the usual names serve.
    EXPECT_EQ(tokenizer->bos(), 0);
    EXPECT_EQ(tokenizer->eos(), 1);
    EXPECT_EQ(tokenizer->encode("a"), (Ids{0, 2}));
  };
  expect(without, {});
  writer.add("tokenizer.ggml.bos_token_id", 4294967295u).add("tokenizer.ggml.eos_token_id", std::int32_t{-1});
  writer.add("tokenizer.ggml.unknown_token_id", 262144u).add("tokenizer.ggml.eot_token_id", std::uint64_t{1} << 63);
  writer.add_array("tokenizer.ggml.suppress_tokens", std::vector<std::uint32_t>{2, 4294967295u});
  expect(writer, {"tokenizer.ggml.bos_token_id is 4294967295, outside the vocabulary of 3 tokens; it is ignored",
                  "tokenizer.ggml.eos_token_id is -1, outside the vocabulary of 3 tokens; it is ignored",
                  "tokenizer.ggml.unknown_token_id is 262144, outside the vocabulary of 3 tokens; it is ignored",
                  "tokenizer.ggml.eot_token_id is -1, outside the vocabulary of 3 tokens; it is ignored"});
  EXPECT_EQ(tokenizer_of(writer)->suppressed().size(), 1u);
}

// Of several ids the first that a token has.
TEST(Tokenizer, RolesTakeTheFirstIdThatATokenHas) {
  for (const Ids& ids : {Ids{2, 999999}, Ids{999999, 2}, Ids{2, 1}}) {
    GgufWriter writer;
    writer.add("tokenizer.ggml.model", "llama");
    writer.add_array("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "c"});
    writer.add_array("tokenizer.ggml.scores", std::vector<float>{0, 0, 0});
    writer.add_array("tokenizer.ggml.eos_token_id", ids);
    EXPECT_EQ(tokenizer_of(writer)->eos(), 2);
  }
}

TEST(Tokenizer, TypesBesideThoseThereAreMeanUnused) {
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", "llama");
  writer.add_array("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "c"});
  writer.add_array("tokenizer.ggml.scores", std::vector<float>{0, 0, 0});
  writer.add_array("tokenizer.ggml.token_type", std::vector<std::int32_t>{0, 7, 1});
  const auto tokenizer = tokenizer_of(writer);
  EXPECT_EQ(tokenizer->type(0), TokenType::unused);
  EXPECT_EQ(tokenizer->type(1), TokenType::unused);
  EXPECT_EQ(tokenizer->decode(Ids{0, 1, 2}), "c");
}

// Whatever type a converter gives the markers of a conversation, ids and text are those of a right file.
TEST(Tokenizer, MarkersHaveTheirTypesWhateverTheFileSays) {
  const char* control[] = {"<start_of_turn>", "<end_of_turn>", "<|turn>", "<turn|>", "<|think|>", "<|tool_response>"};
  const char* shown[] = {"<|channel>", "<channel|>", "<|tool_call>", "<start_of_image>"};
  const auto with = [&](TokenType of_control, TokenType of_shown) {
    std::vector<Piece> pieces = {{"a"}, {"<"}, {"|"}, {">"}};
    for (const char* text : control) pieces.push_back({text, 0, of_control});
    for (const char* text : shown) pieces.push_back({text, 0, of_shown});
    GgufWriter writer = small_vocabulary(pieces);
    return tokenizer_of(writer);
  };
  const auto right = with(TokenType::control, TokenType::user_defined);
  std::string text = "a";
  for (const char* marker : control) text += marker;
  for (const char* marker : shown) text += marker;
  for (const TokenType wrong : {TokenType::normal, TokenType::user_defined, TokenType::unused}) {
    const auto tokenizer = with(wrong, wrong);
    for (const EncodeOptions& options : {plain, special}) {
      const Ids ids = right->encode(text, options);
      EXPECT_EQ(tokenizer->encode(text, options), ids);
      EXPECT_EQ(tokenizer->decode(ids), right->decode(ids));
    }
  }
  // So has the beginning of a text.
  for (const TokenType wrong : {TokenType::normal, TokenType::user_defined}) {
    Vocabulary vocabulary = *read_vocabulary(test::parse_gguf(small_vocabulary({{"a"}}).bytes()));
    EXPECT_EQ(vocabulary.types[2], TokenType::control);
    GgufWriter writer;
    writer.add("tokenizer.ggml.model", "llama").add("tokenizer.ggml.bos_token_id", 0u);
    writer.add_array("tokenizer.ggml.tokens", std::vector<std::string>{"<bos>", "a"});
    writer.add_array("tokenizer.ggml.scores", std::vector<float>{0, 0});
    writer.add_array("tokenizer.ggml.token_type", std::vector<std::int32_t>{static_cast<std::int32_t>(wrong), 1});
    EXPECT_EQ(tokenizer_of(writer)->decode(Ids{0, 1}), "a");
  }
}

// Merges never make a control token out of text.
TEST(Tokenizer, TextDoesNotMergeIntoControlTokens) {
  const auto tokenizer =
      tokenizer_of(small_vocabulary({{"<"}, {"b"}, {"<b", 5}, {"<bx", 9, TokenType::control}, {"x"}}));
  EXPECT_EQ(tokenizer->encode("<bx", plain), (Ids{6, 8}));
  EXPECT_EQ(tokenizer->encode("<bx", special), (Ids{7}));
}

// Nor, where markers are spelled, any other marker, whatever its type; by scores and by ranks.
TEST(Tokenizer, SpelledTextDoesNotMergeIntoMarkers) {
  const EncodeOptions spelled = {.add_bos = false, .spell_markers = true};
  const std::vector<Piece> pieces = {{"<|"}, {"x>"}, {"<|x>", 9}, {"<|x", 5}, {"<"}, {"|"}, {"x"}, {">"}};
  for (const char* order : {"llama", "gemma4"}) {
    SCOPED_TRACE(order);
    GgufWriter writer = small_vocabulary(pieces, order);
    writer.add_array("tokenizer.ggml.merges", std::vector<std::string>{"< |", "x >", "<| x>"});
    const auto tokenizer = tokenizer_of(writer);
    EXPECT_EQ(tokenizer->encode("<|x>", plain), (Ids{6}));
    const Ids ids = tokenizer->encode("<|x>", spelled);
    EXPECT_EQ(std::ranges::count(ids, 6), 0);
    EXPECT_EQ(tokenizer->decode(ids), "<|x>");
  }
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreErrors) {
  const auto tokenizer = tokenizer_of(small_vocabulary({}));
  EXPECT_EQ(error_of([&] { tokenizer->decode(Ids{260}); }),
            "decode: token id 260 is outside the vocabulary of 260 tokens");
  EXPECT_EQ(error_of([&] { tokenizer->piece(-1); }), "decode: token id -1 is outside the vocabulary of 260 tokens");
}

TEST(Tokenizer, StreamHoldsBackIncompleteCharacters) {
  const auto tokenizer = tokenizer_of(small_vocabulary({{"a"}}));
  const auto byte = [](int value) { return 5 + value; };
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(4), "a");
  for (const int value : {0xf0, 0x9f, 0xa6}) EXPECT_EQ(stream.push(byte(value)), "");
  EXPECT_EQ(stream.push(byte(0x99)), "\xf0\x9f\xa6\x99");
  EXPECT_EQ(stream.push(byte(0xe4)), "");
  EXPECT_EQ(stream.push(4),
            "\xe4"
            "a");  // can no longer be completed
  EXPECT_EQ(stream.push(byte(0x80)), "\x80");
  EXPECT_EQ(stream.push(byte(0xc3)), "");
  EXPECT_EQ(stream.finish(), "\xc3");
  EXPECT_EQ(stream.finish(), "");
}

// ---- merges by rank ----

std::shared_ptr<const Tokenizer> ranked_tokenizer() {
  GgufWriter writer = small_vocabulary({{"a"},
                                        {"b"},
                                        {"ab"},
                                        {"ba"},
                                        {"\n"},
                                        {"\n\n"},
                                        {"\n\n\n"},
                                        {"\u2581"},
                                        {"<turn|>", 0, TokenType::control},
                                        {"<|tool_response>", 0, TokenType::user_defined}},
                                       "gemma4");
  writer.add("tokenizer.ggml.add_bos_token", false);  // which gemma4 files say wrongly
  return tokenizer_of(
      writer.add_array("tokenizer.ggml.merges", std::vector<std::string>{"b a", "a b", "\n \n", "b \n"}));
}

TEST(RankedTokenizer, MergesTheFirstOfTheListFirst) {
  const auto tokenizer = ranked_tokenizer();
  EXPECT_EQ(tokenizer->encode("aba"), (Ids{2, 4, 7}));
  EXPECT_EQ(tokenizer->encode("abb a", plain), (Ids{6, 5, 11, 4}));
}

TEST(RankedTokenizer, NewlineRunsStandApart) {
  const auto tokenizer = ranked_tokenizer();
  EXPECT_EQ(tokenizer->encode("a\n\n\nb\n", plain), (Ids{4, 10, 5, 8}));  // no merge of b and newline
  EXPECT_EQ(tokenizer->encode("\n\n\n\n", plain), (Ids{9, 9}));           // not a token: merged from single ones
}

TEST(RankedTokenizer, KnowsTheEndsOfGeneration) {
  const auto tokenizer = ranked_tokenizer();
  const auto ends = tokenizer->end_of_generation();
  EXPECT_EQ(Ids(ends.begin(), ends.end()), (Ids{1, 12, 13}));
  EXPECT_TRUE(tokenizer->is_end_of_generation(12));
  EXPECT_FALSE(tokenizer->is_end_of_generation(4));
  EXPECT_EQ(tokenizer->type(13), TokenType::control);  // whatever the file calls it
}

TEST(RankedTokenizer, BytesMarkedNormalAreBytes) {
  GgufWriter writer = small_vocabulary({}, "gemma4");
  writer.add_array("tokenizer.ggml.merges", std::vector<std::string>{});
  EXPECT_EQ(tokenizer_of(writer)->encode("\xc3\xa9", plain), (Ids{4 + 0xc3, 4 + 0xa9}));
  Vocabulary vocabulary;
  vocabulary.texts = {"<0x41>"};
  vocabulary.types = {TokenType::normal};
  vocabulary.order = MergeOrder::ranks;
  EXPECT_EQ(Tokenizer(vocabulary).decode(Ids{0}), "A");
  EXPECT_EQ(error_of([&] { Tokenizer(vocabulary).encode("B"); }),
            "encode: byte 0x42 has no token and the vocabulary has no unknown token");
}

// ---- chat templates ----

const std::vector<ChatMessage> conversation = {
    {ChatRole::system, " Be brief. "}, {ChatRole::user, "Hi\n"}, {ChatRole::model, " Hello."}, {ChatRole::user, "Bye"}};

TEST(ChatTemplate, Gemma3PutsSystemTextBeforeTheFirstUserMessage) {
  EXPECT_EQ(render_chat(ChatFormat::gemma3, conversation),
            "<bos><start_of_turn>user\n Be brief. \n\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n"
            "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n");
}

TEST(ChatTemplate, Gemma4HasASystemTurn) {
  EXPECT_EQ(render_chat(ChatFormat::gemma4, conversation),
            "<bos><|turn>system\nBe brief.<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\nHello.<turn|>\n"
            "<|turn>user\nBye<turn|>\n<|turn>model\n");
  EXPECT_EQ(render_chat(ChatFormat::gemma4, std::span(conversation).subspan(1, 1), {.generation_prompt = false}),
            "<bos><|turn>user\nHi<turn|>\n");
}

TEST(ChatTemplate, Gemma4Thoughts) {
  const std::vector<ChatMessage> user = {{ChatRole::user, "U"}};
  EXPECT_EQ(render_chat(ChatFormat::gemma4, user, {.think = true, .empty_thought = true}),
            "<bos><|turn>system\n<|think|>\n<turn|>\n<|turn>user\nU<turn|>\n<|turn>model\n");
  EXPECT_EQ(render_chat(ChatFormat::gemma4, user, {.empty_thought = true}),
            "<bos><|turn>user\nU<turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
  EXPECT_EQ(render_chat(ChatFormat::gemma4, std::span(conversation).first(2), {.think = true}),
            "<bos><|turn>system\n<|think|>\nBe brief.<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\n");
  // Thoughts of earlier turns are not shown again; a channel that never closed is all thought.
  for (const char* reply : {"R", "<|channel>thought\nhm\n<channel|>R", " <|channel>thought\n<channel|> R",
                            "<|channel>a<channel|>R<|channel>b", "R<channel|>"}) {
    const std::vector<ChatMessage> messages = {{ChatRole::user, "U"}, {ChatRole::model, reply}, {ChatRole::user, "V"}};
    EXPECT_EQ(render_chat(ChatFormat::gemma4, messages),
              "<bos><|turn>user\nU<turn|>\n<|turn>model\nR<turn|>\n<|turn>user\nV<turn|>\n<|turn>model\n")
        << reply;
  }
}

TEST(ChatTemplate, ThinkingIsGemma4s) {
  const std::vector<ChatMessage> user = {{ChatRole::user, "U"}};
  EXPECT_EQ(render_chat(ChatFormat::gemma3, user, {.think = true, .empty_thought = true}),
            "<bos><start_of_turn>user\nU<end_of_turn>\n<start_of_turn>model\n");
}

// The whole conversation rendered at once is the first turn, the reply as it was generated, and the next turn.
TEST(ChatTemplate, NextTurnContinuesWhatWasGenerated) {
  for (const ChatFormat format : {ChatFormat::gemma3, ChatFormat::gemma4}) {
    const std::vector<ChatMessage> messages = {
        {ChatRole::system, "S"}, {ChatRole::user, "U"}, {ChatRole::model, "R"}, {ChatRole::user, "V"}};
    EXPECT_EQ(render_chat(format, std::span(messages).first(2)) + "R" + render_next_turn(format, " V\n"),
              render_chat(format, messages));
  }
  EXPECT_EQ(render_next_turn(ChatFormat::gemma4, "V", {.empty_thought = true}),
            "<turn|>\n<|turn>user\nV<turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
}

TEST(ChatTemplate, RefusesConversationsThatDoNotFit) {
  const std::vector<ChatMessage> late = {{ChatRole::user, "U"}, {ChatRole::system, "S"}};
  EXPECT_EQ(error_of([&] { render_chat(ChatFormat::gemma4, late); }),
            "chat: message 1 has the system role, expected it first");
  EXPECT_EQ(error_of([&] { render_chat(ChatFormat::gemma3, std::span(late).subspan(1)); }),
            "chat: found a system message alone, expected a user message after it");
  EXPECT_EQ(error_of([] { render_chat(ChatFormat::gemma3, {}); }), "chat: found no messages, expected one or more");
}

TEST(ChatTemplate, FormatFollowsTheVocabulary) {
  EXPECT_EQ(chat_format(*tokenizer_of(small_vocabulary({{"<|turn>"}, {"<turn|>"}}))), ChatFormat::gemma4);
  EXPECT_EQ(chat_format(*tokenizer_of(small_vocabulary({{"<start_of_turn>"}, {"<end_of_turn>"}}))), ChatFormat::gemma3);
  EXPECT_EQ(chat_format(*tokenizer_of(small_vocabulary({}))), std::nullopt);
}

// ---- the real vocabulary ----

std::shared_ptr<const Tokenizer> gemma3() {
  static const auto tokenizer = Tokenizer::from_gguf(GgufFile::open(test::test_model_path()));
  return tokenizer;
}

std::string read_data(const std::string& name) {
  std::ifstream file(test::test_data_path(name), std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

TEST(Gemma3Tokenizer, EncodesAndDecodesTheReferenceVectors) {
  LAZULI_NEEDS_TEST_MODEL();
  const auto vectors = nlohmann::json::parse(read_data("gemma3-270m/tokenizer_vectors.json"));
  ASSERT_EQ(vectors.size(), 80u);
  for (const auto& vector : vectors) {
    const auto text = vector["text"].get<std::string>();
    const Ids ids = vector["ids"].get<Ids>();
    EXPECT_EQ(gemma3()->encode(text, plain), ids) << text;
    EXPECT_EQ(gemma3()->encode(text, {.add_bos = true, .parse_special = true}), vector["ids_special"].get<Ids>())
        << text;
    const std::string decoded = from_hex(vector["decoded_hex"].get<std::string>());
    EXPECT_EQ(gemma3()->decode(ids), decoded) << text;

    StreamDecoder stream(gemma3());
    std::string streamed;
    for (const std::int32_t id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), decoded) << text;
  }
}

TEST(Gemma3Tokenizer, KnowsItsSpecialTokens) {
  LAZULI_NEEDS_TEST_MODEL();
  EXPECT_EQ(gemma3()->vocab_size(), 262144);
  EXPECT_EQ(gemma3()->bos(), 2);
  EXPECT_EQ(gemma3()->eos(), 1);
  const auto ends = gemma3()->end_of_generation();
  EXPECT_EQ(Ids(ends.begin(), ends.end()), (Ids{1, 106}));
  EXPECT_EQ(chat_format(*gemma3()), ChatFormat::gemma3);
  EXPECT_EQ(gemma3()->piece(262143), "<unused6241>");
}

TEST(Gemma3Tokenizer, EncodesAConversation) {
  LAZULI_NEEDS_TEST_MODEL();
  const std::vector<ChatMessage> messages = {{ChatRole::user, "Hi"}};
  EXPECT_EQ(gemma3()->encode(render_chat(ChatFormat::gemma3, messages), special),
            (Ids{2, 105, 2364, 107, 10979, 106, 107, 105, 4368, 107}));
}

// An i32 tensor of a safetensors file: u64 length of a JSON header, the header, the data.
Ids read_ids(const std::string& safetensors, const char* name) {
  std::uint64_t length = 0;
  std::memcpy(&length, safetensors.data(), sizeof length);
  const auto range =
      nlohmann::json::parse(safetensors.substr(8, length))[name]["data_offsets"].get<std::vector<std::size_t>>();
  Ids ids((range[1] - range[0]) / sizeof(std::int32_t));
  std::memcpy(ids.data(), safetensors.data() + 8 + length + range[0], range[1] - range[0]);
  return ids;
}

TEST(Gemma3Tokenizer, EncodesTheReferencePrompts) {
  LAZULI_NEEDS_TEST_MODEL();
  const std::string golden = read_data("gemma3-270m/golden.safetensors");
  const auto prompts = nlohmann::json::parse(read_data("gemma3-270m/golden.json"));
  for (int k = 0; k < 3; ++k)
    EXPECT_EQ(gemma3()->encode(prompts[k]["text"].get<std::string>()),
              read_ids(golden, fmt::format("ids.{}", k).c_str()));

  const std::string text = read_data("gemma3-270m/prompt3.txt");
  Ids ids = gemma3()->encode(text);
  EXPECT_EQ(ids.size(), 1321u);
  EXPECT_EQ(gemma3()->decode(ids), text);
  ids.resize(1024);
  EXPECT_EQ(ids, read_ids(golden, "ids.3"));
}

// Work that grows with the square of the text would not end before the test's time does.
TEST(Gemma3Tokenizer, EncodesLongText) {
  LAZULI_NEEDS_TEST_MODEL();
  // One fragment without a break; nothing but special tokens; no symbol the vocabulary knows.
  for (const std::string& unit :
       {std::string("antidisestablishmentarianism"), std::string("\n"), std::string("\xff\x80")}) {
    std::string text;
    while (text.size() < 3'000'000) text += unit;
    EXPECT_TRUE(gemma3()->decode(gemma3()->encode(text, plain)) == text);
  }
}

}  // namespace
}  // namespace lazuli
