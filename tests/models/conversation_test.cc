// SPDX-License-Identifier: MIT
// Texts that grow by turns, their caches in files, and the tokens a checkpoint forbids or ends with.
#include <fmt/format.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/graph/run_limits.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/tests/support/checkpoint_copy.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/golden_model.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stop_token>

namespace lazuli {
namespace {

using Ids = std::vector<std::int32_t>;
using test::error_of;

constexpr const char* golden_folders[] = {"gemma3-dense", "gemma3n", "gemma4-e-gguf-q4_0", "gemma4-moe"};

std::unique_ptr<LanguageModel> golden(const std::string& folder) {
  const std::string path = test::test_data_path("goldens/" + folder), gguf = path + "/model.gguf";
  return load_model(std::filesystem::exists(gguf) ? gguf : path);
}

RunnerOptions chunks_of(std::int64_t rows) {
  RunnerOptions options;
  options.chunk = rows;
  return options;
}

GenerateOptions tokens(std::int64_t count) {
  GenerateOptions options;
  options.max_tokens = count;
  return options;
}

Ids some_ids(std::int64_t count, int seed = 0) {
  Ids ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<std::int32_t>((i * i + 7 * i + 3 + 31 * static_cast<std::size_t>(seed)) % 320);
  return ids;
}

Ids ids_of(const Conversation& conversation) { return {conversation.ids().begin(), conversation.ids().end()}; }

TEST(Conversation, GoingOnIsAsNotHavingStopped) {
  Session session;
  for (const char* folder : golden_folders) {
    const auto model = golden(folder);
    Conversation whole(*model, chunks_of(16)), parts(*model, chunks_of(16));
    whole.append(some_ids(40));
    parts.append(some_ids(40));
    const Ids expected = whole.generate(tokens(16)).ids;
    Ids ids = parts.generate(tokens(8)).ids;
    EXPECT_EQ(parts.computed(), 47) << "the last token has not been read yet";
    for (const std::int32_t id : parts.generate(tokens(8)).ids) ids.push_back(id);
    EXPECT_EQ(ids, expected) << folder;
    EXPECT_EQ(ids_of(parts), ids_of(whole));
  }
}

TEST(Conversation, EndsBetweenStepsByItsLimits) {
  const Session session;
  const auto model = golden("gemma3-dense");
  Conversation whole(*model, chunks_of(16)), parts(*model, chunks_of(16));
  whole.append(some_ids(40));
  parts.append(some_ids(40));
  const Ids expected = whole.generate(tokens(16)).ids;
  std::stop_source stop;
  GenerateOptions options = tokens(16);
  options.limits.stop = stop.get_token();
  int seen = 0;
  options.on_token = [&](std::int32_t, const std::string&) {
    if (++seen == 3) stop.request_stop();
    return true;
  };
  const GenerateResult stopped = parts.generate(options);
  EXPECT_EQ(stopped.stop, StopReason::cancelled);
  EXPECT_EQ(stopped.ids, Ids(expected.begin(), expected.begin() + 3));
  EXPECT_EQ(parts.generate(tokens(13)).ids, Ids(expected.begin() + 3, expected.end()));
  GenerateOptions late = tokens(4);
  late.limits.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_EQ(parts.generate(late).stop, StopReason::deadline);
}

TEST(Conversation, TurnsReuseTheCache) {
  Session session;
  const auto model = golden("gemma3n");
  Conversation conversation(*model, chunks_of(16));
  std::int64_t prompt_rows = 0;
  GenerateOptions options = tokens(5);
  options.on_prefill = [&](std::int64_t, std::int64_t total) {
    prompt_rows = total;
    return true;
  };
  for (int turn = 0; turn < 6; ++turn) {
    conversation.append(some_ids(9, turn));
    conversation.generate(options);
    EXPECT_EQ(prompt_rows, 9) << "turn " << turn;
  }
  EXPECT_EQ(conversation.ids().size(), 6u * 14u);
  // The same steps without a conversation around them: prompts by prefill, generated tokens by decode.
  Runner runner(*model, chunks_of(16));
  Ids text;
  for (int turn = 0; turn < 6; ++turn) {
    const Ids given = some_ids(9, turn);
    if (turn > 0) runner.decode(Array::from({text.back()}, {1}));
    text.insert(text.end(), given.begin(), given.end());
    Array token = argmax(runner.prefill(given));
    for (int step = 0; step < 5; ++step) {
      text.push_back(token.item<std::int32_t>());
      if (step < 4) token = runner.decode_greedy(token);
    }
  }
  EXPECT_EQ(text, ids_of(conversation));
}

TEST(Conversation, AssignKeepsTheCommonPrefix) {
  Session session;
  for (const char* folder : golden_folders) {
    SCOPED_TRACE(folder);
    const auto model = golden(folder);
    const auto continuation = [&](const Ids& ids) {
      Conversation fresh(*model, chunks_of(16));
      fresh.append(ids);
      return fresh.generate(tokens(6)).ids;
    };
    Conversation conversation(*model, chunks_of(16));
    conversation.append(some_ids(150));
    conversation.generate(tokens(6));
    // The reply is told anew, and another turn follows.
    Ids text = some_ids(150);
    text.insert(text.end(), {5, 6, 7, 8});
    EXPECT_EQ(conversation.assign(text), 150);
    EXPECT_EQ(conversation.generate(tokens(6)).ids, continuation(text));
    // The windows no longer hold what position 20 sees.
    text.resize(20);
    text.push_back(9);
    EXPECT_EQ(conversation.assign(text), 0);
    EXPECT_EQ(conversation.generate(tokens(6)).ids, continuation(text));
    // A prefix of what is there: its last token is computed again, for its logits.
    text.pop_back();
    EXPECT_EQ(conversation.assign(text), 20);
    EXPECT_EQ(conversation.generate(tokens(6)).ids, continuation(text));
    EXPECT_EQ(conversation.assign({}), 0);
    EXPECT_EQ(error_of([&] { conversation.generate(tokens(1)); }),
              "generate: the text is empty; expected at least one token");
  }
}

void save(const Conversation& conversation, const std::string& path) {
  OutputFile file(path);
  conversation.save(file);
}

// The bits of a conversation: its text, and the keys and values of what is computed.
std::string bits_of(const Conversation& conversation) {
  test::TemporaryFolder files;
  const std::string path = files.path() + "/cache.safetensors";
  save(conversation, path);
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// A client that sends the whole text each time gets what one that adds to it gets.
TEST(Conversation, AssignedAndAppendedTextsAgree) {
  Session session;
  for (const char* folder : golden_folders) {
    SCOPED_TRACE(folder);
    const auto model = golden(folder);
    Conversation assigned(*model, chunks_of(16)), appended(*model, chunks_of(16));
    for (int turn = 0; turn < 4; ++turn) {
      appended.append(some_ids(19, turn));
      assigned.assign(appended.ids());
      EXPECT_EQ(assigned.generate(tokens(8)).ids, appended.generate(tokens(8)).ids) << "turn " << turn;
      EXPECT_TRUE(bits_of(assigned) == bits_of(appended)) << "turn " << turn;
    }
  }
}

TEST(Conversation, ACallbackThatThrowsLeavesTheTextAsItWas) {
  Session session;
  for (const char* folder : golden_folders) {
    SCOPED_TRACE(folder);
    const auto model = golden(folder);
    Conversation interrupted(*model, chunks_of(16)), plain(*model, chunks_of(16));
    for (Conversation* conversation : {&interrupted, &plain}) conversation->append(some_ids(140));
    GenerateOptions options = tokens(16);
    int seen = 0;
    options.on_token = [&](std::int32_t, const std::string&) -> bool {
      if (++seen == 5) throw Error("enough");
      return true;
    };
    EXPECT_EQ(error_of([&] { interrupted.generate(options); }), "enough");
    EXPECT_EQ(ids_of(interrupted), some_ids(140));
    EXPECT_LE(interrupted.computed(), 140);
    EXPECT_EQ(interrupted.generate(tokens(8)).ids, plain.generate(tokens(8)).ids);
    EXPECT_EQ(ids_of(interrupted), ids_of(plain));
  }
}

// Whatever a failed step had in hand, caches included, is computed again.
TEST(Conversation, GoesOnAfterStepsThatFailed) {
  const Session session;
  const auto model = golden("gemma3-dense");
  for (const std::int64_t chunk : {std::int64_t{1}, std::int64_t{4}, RunnerOptions::whole_prompt})
    for (const std::size_t length : {1u, 6u}) {
      const auto begin = [&] {
        Conversation conversation(*model, chunks_of(chunk));
        conversation.append(some_ids(length));
        return conversation;
      };
      const Ids expected = begin().generate(tokens(5)).ids;
      for (const int failing : {0, 2}) {
        Conversation conversation = begin();
        std::stop_source stop;
        if (failing == 0) stop.request_stop();
        GenerateOptions options = tokens(5);
        int seen = 0;
        options.on_token = [&](std::int32_t, const std::string&) {
          if (++seen == failing) stop.request_stop();
          return true;
        };
        const std::string error = test::error_of([&] {
          const LimitRuns limits({.stop = stop.get_token()});
          conversation.generate(options);
        });
        EXPECT_TRUE(failing != 0 || error != "no error");
        if (error == "no error") continue;  // it was through by then
        EXPECT_EQ(conversation.generate(tokens(5)).ids, expected) << chunk << ", after: " << error;
      }
    }
}

// What was generated stands, whether or not the step that looked ahead has failed by then.
TEST(Generate, IsNotLostWithAStepThatLookedAhead) {
  const Session session;
  const auto model = golden("gemma3-dense");
  Runner runner(*model, chunks_of(4));
  std::stop_source stop;
  GenerateOptions options = tokens(8);
  int seen = 0;
  options.on_token = [&](std::int32_t, const std::string&) {
    if (++seen == 2) stop.request_stop();
    runner.settle();
    return seen < 3;
  };
  const std::string error = test::error_of([&] {
    const LimitRuns limits({.stop = stop.get_token()});
    generate(runner, nullptr, some_ids(6), options);
  });
  EXPECT_EQ(error.find("truncate"), std::string::npos) << error;
  runner.truncate(0);
  EXPECT_NO_THROW(wait(runner.decode_greedy(Array::from<std::int32_t>({5}, {1}))));
}

TEST(Conversation, SavedAndLoadedIsAsNotHavingStopped) {
  test::TemporaryFolder files;
  const std::string path = files.path() + "/cache.safetensors";
  for (const char* folder : golden_folders) {
    SCOPED_TRACE(folder);
    Ids expected, resumed, after_turn;
    {
      Session session;
      const auto model = golden(folder);
      Conversation whole(*model, chunks_of(16)), first(*model, chunks_of(16));
      // Past the end of the rings, which have 64 rows.
      whole.append(some_ids(140));
      first.append(some_ids(140));
      first.generate(tokens(8));
      save(first, path);
      expected = whole.generate(tokens(16)).ids;
      first.append(some_ids(11, 3));
      after_turn = first.generate(tokens(8)).ids;
    }
    for (const std::int64_t chunk : {16, 200, 3}) {
      Session session;
      const auto model = golden(folder);
      Conversation second(*model, chunks_of(chunk));
      second.load(path);
      EXPECT_EQ(second.computed(), 147);
      EXPECT_EQ(second.ids().size(), 148u);
      Ids ids(expected.begin(), expected.begin() + 8);
      for (const std::int32_t id : second.generate(tokens(8)).ids) ids.push_back(id);
      EXPECT_EQ(ids, expected) << "chunk " << chunk;
      second.load(path);
      second.append(some_ids(11, 3));
      EXPECT_EQ(second.generate(tokens(8)).ids, after_turn) << "chunk " << chunk;
    }
  }
}

TEST(Conversation, RefusesCachesOfAnotherModelOrSetting) {
  test::TemporaryFolder files;
  const std::string path = files.path() + "/cache.safetensors";
  Session session;
  const auto model = golden("gemma3-dense");
  Conversation conversation(*model, chunks_of(16));
  EXPECT_EQ(error_of([&] { save(conversation, path); }),
            "save: nothing has been computed yet, expected at least one token in the caches");
  EXPECT_FALSE(std::filesystem::exists(path));
  conversation.append(some_ids(30));
  conversation.generate(tokens(2));
  save(conversation, path);
  const Ids text = ids_of(conversation);

  const auto refusal = [&](Conversation& other, const std::string& file) {
    return error_of([&] { other.load(file); });
  };
  RunnerOptions wide;
  wide.kv_dtype = DType::f32;
  Conversation other_type(*model, wide);
  EXPECT_EQ(refusal(other_type, path), path + ": a cache of another model or setting: kv is f16, expected f32");
  RunnerOptions short_context;
  short_context.context = 20;
  Conversation too_short(*model, short_context);
  EXPECT_EQ(refusal(too_short, path), path + ": restore: 31 positions, the context holds 1 to 20");
  const auto gemma4 = golden("gemma4-dense");
  Conversation other_model(*gemma4);
  const std::string differences = refusal(other_model, path);
  for (const char* part : {"architecture is gemma3, expected gemma4", "layers is 7, expected 6", "weights is ",
                           "caches is 5 of 1x32 window 8, 1 of 1x32, 1 of 1x32 window 8, expected "})
    EXPECT_NE(differences.find(part), std::string::npos) << differences;
  EXPECT_EQ(differences.find('\n'), std::string::npos);
  const std::string weights = test::test_data_path("goldens/gemma3-dense/model.safetensors");
  EXPECT_NE(refusal(conversation, weights).find("expected a file"), std::string::npos);

  // Files that were cut or changed.
  std::string bytes;
  {
    std::ifstream stream(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(stream), {});
  }
  files.write("short", bytes.substr(0, bytes.size() - 4));
  EXPECT_NE(refusal(conversation, files.path() + "/short").find("but the file has"), std::string::npos);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string copy = bytes;
    copy.replace(copy.find(from), from.size(), to);
    files.write("changed", copy);
    return refusal(conversation, files.path() + "/changed");
  };
  EXPECT_NE(changed("\"length\":\"31\"", "\"length\":\"99\"").find("expected a number from 0 to 32"),
            std::string::npos);
  EXPECT_NE(changed("\"length\":\"31\"", "\"length\":\"30\"").find("restore: cache"), std::string::npos);
  EXPECT_NE(changed("\"k.3\"", "\"q.3\"").find("tensor k.3 is missing"), std::string::npos);
  std::string last = bytes;
  last.back() = '\x7f';
  files.write("changed", last);
  EXPECT_NE(refusal(conversation, files.path() + "/changed").find("outside the vocabulary"), std::string::npos);
  EXPECT_EQ(ids_of(conversation), text) << "a refused file changes nothing";
}

// The likeliest tokens of a checkpoint, one after the other forbidden by generation_config.json.
TEST(Generate, NeverTakesSuppressedTokens) {
  Session session;
  test::CheckpointCopy copy("gemma3-dense");
  copy.write_tokenizer({{2, "<bos>"}});
  Ids suppressed;
  SamplerOptions sampled;
  sampled.temperature = 100;
  for (int round = 0; round < 4; ++round) {
    copy.write("generation_config.json", {{"suppress_tokens", suppressed}});
    const auto model = load_model(copy.path());
    const auto tokenizer = model->tokenizer();
    ASSERT_NE(tokenizer, nullptr);
    Runner runner(*model, {});
    const Ids greedy = generate(runner, tokenizer, some_ids(30), tokens(12)).ids;
    GenerateOptions options = tokens(200);
    options.sampler = sampled;
    const Ids drawn = generate(runner, tokenizer, some_ids(30, 1), options).ids;
    EXPECT_EQ(greedy.size(), 12u);
    for (const std::int32_t id : suppressed) {
      EXPECT_EQ(std::ranges::count(greedy, id), 0) << id;
      EXPECT_EQ(std::ranges::count(drawn, id), 0) << id;
    }
    suppressed.push_back(greedy.front());
    suppressed.push_back(greedy.back());
    suppressed.push_back(100000);  // outside: nothing to suppress
  }
}

// Models that forbid nothing have no op for it.
TEST(Generate, NothingSuppressedIsNothingAdded) {
  Session session;
  test::CheckpointCopy copy("gemma3-dense");
  const auto ops = [&] {
    const auto model = load_model(copy.path());
    Runner runner(*model, {});
    const Runner::Step step = runner.decode_step();
    return step.function.graph(step.arguments).nodes.size();
  };
  const std::size_t without_tokenizer = ops();
  copy.write_tokenizer({{2, "<bos>"}});
  EXPECT_EQ(ops(), without_tokenizer);
  copy.write("generation_config.json", {{"suppress_tokens", {7, 9}}});
  EXPECT_EQ(ops(), without_tokenizer + 2) << "the mask and its addition";
}

TEST(Generate, EveryEndTokenEnds) {
  Session session;
  test::CheckpointCopy copy("gemma3-dense");
  copy.write_tokenizer({{0, "<pad>"}, {1, "<eos>"}, {2, "<bos>"}});
  const auto run = [&](bool ignore_eos) {
    const auto model = load_model(copy.path());
    Runner runner(*model, {});
    GenerateOptions options = tokens(12);
    options.ignore_eos = ignore_eos;
    return generate(runner, model->tokenizer(), some_ids(30), options);
  };
  const Ids ids = run(true).ids;
  ASSERT_EQ(ids.size(), 12u);
  const auto first_of = [&](std::int32_t id) { return std::ranges::find(ids, id) - ids.begin(); };
  const nlohmann::json scalar = ids[5], with_eos = {1, ids[7]}, two = {ids[9], ids[3]};
  for (const nlohmann::json& ends : {scalar, with_eos, two}) {
    copy.write("generation_config.json", {{"eos_token_id", ends}});
    std::ptrdiff_t expected = 12;
    for (const auto& end : ends.is_array() ? ends : nlohmann::json::array({ends}))
      expected = std::min(expected, first_of(end.get<std::int32_t>()));
    const GenerateResult result = run(false);
    EXPECT_EQ(result.stop, StopReason::end_of_generation) << ends;
    EXPECT_EQ(result.ids, Ids(ids.begin(), ids.begin() + expected)) << ends;
  }
  // tokenizer_config.json names one more; config.json counts where generation_config.json is silent.
  copy.write("generation_config.json", nlohmann::json::object());
  copy.set_config("eos_token_id", ids[8]);
  copy.write("tokenizer_config.json", {{"eos_token", fmt::format("t{} ", ids[4])}});
  EXPECT_EQ(run(false).ids.size(), static_cast<std::size_t>(std::min(first_of(ids[8]), first_of(ids[4]))));
}

}  // namespace
}  // namespace lazuli
