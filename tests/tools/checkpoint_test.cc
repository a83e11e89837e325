// SPDX-License-Identifier: MIT
// What the command line says of checkpoints that lack something, or hold what cannot be right.
#include <lazuli/tests/support/checkpoint_copy.h>
#include <lazuli/tests/support/golden_model.h>
#include <lazuli/tests/support/tool_process.h>

#include <cstring>
#include <filesystem>

namespace lazuli::test {
namespace {

class ToolCheckpoint : public ToolTest {};

TEST_F(ToolCheckpoint, NamesTheTokenizerThatAFolderLacks) {
  const CheckpointCopy copy("gemma3-dense");
  const std::string part = copy.path() + ": tokenizer.json is missing; add it, or give token ids with --ids";
  expect_error({"generate", "-m", copy.path(), "-p", "hello"}, 2, part);
  expect_error({"generate", "-m", copy.path(), "-p", "hello", "--chat"}, 2, part);
  expect_error({"tokenize", "-m", copy.path(), "-p", "hello"}, 2, part);
  expect_error({"perplexity", "-m", copy.path(), "-p", "hello"}, 2, part);
  const std::string file = golden_model_path("gemma4-e-gguf-q4_0");
  expect_error({"tokenize", "-m", file, "-p", "hello"}, 2, file + ": the model has no tokenizer");
}

TEST_F(ToolCheckpoint, NotesWhatIsLeftAside) {
  CheckpointCopy copy("gemma3-dense");
  copy.set_config("vocab_size", 999);
  const Outcome outcome = run({"generate", "-m", copy.path(), "--ids", "2,5", "-n", "1", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("note: " + copy.path() + ": token_embd.weight has 320 rows"), std::string::npos)
      << outcome.err;
}

TEST_F(ToolCheckpoint, EndsWhereLogitsAreNotFinite) {
  const CheckpointCopy copy("gemma3-dense");
  const std::string file = copy.path() + "/model.safetensors";
  std::string bytes = read_whole(file);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const Json entry = Json::parse(bytes.substr(8, header))["model.norm.weight"];
  const std::uint16_t not_a_number = 0x7fc0;
  std::memcpy(bytes.data() + 8 + header + entry["data_offsets"][0].get<std::size_t>(), &not_a_number, 2);
  fs::remove(file);
  write_whole(file, bytes);
  const Arguments model = {"-m", copy.path(), "--ids", "2,5,7"};
  const auto with = [&](Arguments arguments) {
    arguments.insert(arguments.end(), model.begin(), model.end());
    return arguments;
  };
  expect_error(with({"generate", "-n", "3", "--json"}), 1, "the logits of the token at position 3 are not finite");
  expect_error(with({"generate", "-n", "3", "--temp", "1", "--json"}), 1, "position 3 are not finite");
  expect_error(with({"perplexity"}), 1, "the logits of the token at position 1 are not finite");
}

TEST_F(ToolCheckpoint, InfoShowsWhatResultsDependOn) {
  const Outcome outcome = run({"info", "-m", golden_model_path("gemma3-dense"), "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json settings = Json::parse(outcome.out)["model"]["settings"];
  EXPECT_EQ(settings["rope_factor_global"], "1");
  EXPECT_EQ(settings["global_layers"], "5");
  EXPECT_NE(run({"info", "-m", golden_model_path("gemma3-dense")}).out.find("rope_factor_global        1\n"),
            std::string::npos);
}

}  // namespace
}  // namespace lazuli::test
