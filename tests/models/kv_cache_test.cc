// SPDX-License-Identifier: MIT
// Key/value caches of 8 bits on tiny checkpoints of every architecture: their error, their bits, and their files.
#include <lazuli/graph/files/output_file.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/tests/support/checkpoint_copy.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/golden_model.h>

#include <cmath>
#include <functional>

namespace lazuli {
namespace {

using test::error_of;
using test::ForcedIsa;
using Ids = std::vector<std::int32_t>;

// Grouped heads, windows, keys shared by layers, keys that are values, experts.
constexpr const char* folders[] = {"gemma3-dense", "gemma3n", "gemma4-dense", "gemma4-e", "gemma4-moe"};

RunnerOptions q8(std::int64_t chunk = 16) {
  RunnerOptions options;
  options.chunk = chunk;
  options.kv_dtype = DType::q8_0;
  return options;
}

SessionOptions session_options(const std::string& fusion = "all", int threads = 2) {
  SessionOptions options;
  options.fusion = fusion;
  options.threads = threads;
  options.verify = true;
  return options;
}

Ids some_ids(std::int64_t count) {
  Ids ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>((i * i + 7 * i + 3) % 320);
  return ids;
}

std::vector<float> values_of(const Array& logits) { return {logits.data<float>().begin(), logits.data<float>().end()}; }

// The root of the mean square of what is wrong with the golden logits, as a share of theirs.
double error_of_logits(const std::string& folder, const SessionOptions& settings, DType kv_dtype) {
  Session session(settings);
  const auto model = load_model(test::golden_model_path(folder));
  RunnerOptions options = q8();
  options.kv_dtype = kv_dtype;
  double wrong = 0, all = 0;
  for (const test::GoldenPrompt& prompt : test::read_golden(test::golden_path(folder) + "/golden.safetensors")) {
    Runner runner(*model, options);
    std::size_t i = 0;
    runner.prefill_logits(prompt.ids, [&](std::int64_t, const Array& logits, std::int64_t rows) {
      const auto count = static_cast<std::size_t>(rows * model->info().vocab_size);
      for (const float value : logits.data<float>().first(count)) {
        const double expected = prompt.logits.at(i++);
        wrong += (value - expected) * (value - expected);
        all += expected * expected;
      }
    });
    EXPECT_EQ(i, prompt.logits.size());
  }
  return std::sqrt(wrong / all);
}

SessionOptions f32_options(const std::string& backend, const std::string& fusion) {
  SessionOptions settings = session_options(fusion);
  settings.backend = backend;
  settings.precision = Precision::f32;
  return settings;
}

// These checkpoints have random weights and amplify rounding: an absolute bound would say little. Of 32 normal values
// blocks lose 3.4 times what bf16 does: their step is 1/127 of the largest, 2.4 deviations; that of bf16 2^-7 of the
// power of two below each value, 0.7 deviations.
constexpr double blocks_to_bf16 = 5;

TEST(KvQ8, LosesAFewTimesWhatBf16Does) {
  for (const test::GoldenFolder& folder : test::golden_folders) {
    const double bf16 = error_of_logits(folder.name, f32_options("cpu", "all"), DType::bf16);
    EXPECT_LE(error_of_logits(folder.name, f32_options("cpu", "all"), DType::q8_0), blocks_to_bf16 * bf16)
        << folder.name;
  }
}

TEST(KvQ8, AnyBackendSpellingAndLevelLosesAsMuch) {
  for (const char* folder : folders) {
    const double bf16 = error_of_logits(folder, f32_options("cpu", "all"), DType::bf16);
    for (const auto& [backend, fusion] :
         {std::pair{"cpu", "primitive"}, {"reference", "all"}, {"reference", "primitive"}})
      EXPECT_LE(error_of_logits(folder, f32_options(backend, fusion), DType::q8_0), blocks_to_bf16 * bf16)
          << folder << ", " << backend << ", " << fusion;
    for (const Isa isa : test::usable_isas()) {
      const ForcedIsa level(isa);
      const double f16 = error_of_logits(folder, session_options(), DType::f16);  // of the matmuls and attention
      EXPECT_LE(error_of_logits(folder, session_options(), DType::q8_0), f16 + blocks_to_bf16 * bf16)
          << folder << ", " << to_string(isa);
    }
  }
}

// The logits of the last row of a prompt, and those of the decode steps behind it.
std::vector<std::vector<float>> logits_of(const char* folder, const SessionOptions& settings, std::int64_t chunk) {
  Session session(settings);
  const auto model = load_model(test::golden_model_path(folder));
  Runner runner(*model, q8(chunk));
  std::vector<std::vector<float>> rows;
  Array logits = runner.prefill(some_ids(250));
  for (int step = 0; step < 12; ++step) {  // past 256 rows: caches grow
    rows.push_back(values_of(logits));
    logits = runner.decode(argmax(logits));
  }
  return rows;
}

TEST(KvQ8, ChunksThreadsAndFusionChangeNoBit) {
  for (const Isa isa : test::usable_isas()) {
    const ForcedIsa level(isa);
    for (const char* folder : folders) {
      const auto expected = logits_of(folder, session_options(), 16);
      EXPECT_EQ(logits_of(folder, session_options("all", 1), 7), expected) << folder << ", " << to_string(isa);
      EXPECT_EQ(logits_of(folder, session_options("none", 2), RunnerOptions::whole_prompt), expected)
          << folder << ", " << to_string(isa);
    }
  }
}

// Caches and rings that are laid out anew hold what those hold that were large from the start.
TEST(KvQ8, GrowingChangesNoBit) {
  Session session;
  for (const char* folder : folders) {
    const auto model = load_model(test::golden_model_path(folder));
    const Ids ids = some_ids(700);
    RunnerOptions options = q8(64);
    options.context = 1024;
    Runner at_once(*model, options), grown(*model, options);
    const std::vector<float> expected = values_of(at_once.prefill(ids));
    std::size_t begin = 0;
    for (const std::size_t end : {3, 20, 200, 300, 700}) {
      const std::vector<float> last = values_of(grown.prefill(std::span(ids).subspan(begin, end - begin)));
      if (end == 700) {
        EXPECT_EQ(last, expected) << folder;
      }
      begin = end;
    }
  }
}

TEST(KvQ8, TakesSeventeenBitsForTwoValues) {
  Session session;
  const auto model = load_model(test::golden_model_path("gemma4-e"));
  Runner blocks(*model, q8()), floats(*model, {.chunk = 16, .kv_dtype = DType::f32});
  blocks.prefill(some_ids(20));
  floats.prefill(some_ids(20));
  EXPECT_EQ(blocks.cache_bytes() * 32 * 4, floats.cache_bytes() * 34);
}

TEST(KvQ8, SavedAndLoadedIsAsNotHavingStopped) {
  test::TemporaryFolder files;
  const std::string path = files.path() + "/cache.safetensors";
  GenerateOptions eight;
  eight.max_tokens = 8;
  Session session;
  for (const char* folder : folders) {
    SCOPED_TRACE(folder);
    const auto model = load_model(test::golden_model_path(folder));
    Conversation first(*model, q8());
    first.append(some_ids(140));  // past the end of the rings
    first.generate(eight);
    OutputFile file(path);
    first.save(file);
    const Ids expected = first.generate(eight).ids;
    for (const std::int64_t chunk : {16, 3, 200}) {
      Conversation second(*model, q8(chunk));
      second.load(path);
      EXPECT_EQ(second.generate(eight).ids, expected) << "chunk " << chunk;
    }
    Conversation half(*model);
    EXPECT_EQ(error_of([&] { half.load(path); }),
              path + ": a cache of another model or setting: kv is q8_0, expected f16");
  }
}

class OneCache : public LanguageModel {
 public:
  explicit OneCache(std::int64_t head_dim) : caches_{{1, head_dim, 0}} { info_.context_length = 8; }
  const ModelInfo& info() const override { return info_; }
  const std::vector<KvCacheShape>& caches() const override { return caches_; }
  StepOutputs forward(const StepInputs&) const override { return {}; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return nullptr; }

 private:
  ModelInfo info_;
  std::vector<KvCacheShape> caches_;
};

TEST(KvQ8, HeadsAreWholeBlocks) {
  Session session;
  const OneCache odd(80), even(96);
  EXPECT_EQ(error_of([&] { Runner(odd, q8()); }),
            "kv: heads of cache 0 have 80 values, expected a multiple of q8_0's block of 32");
  EXPECT_EQ(error_of([&] { Runner(even, q8()); }), "no error");
  RunnerOptions fours;
  fours.kv_dtype = DType::q4_0;
  EXPECT_EQ(error_of([&] { Runner(even, fours); }), "kv: q4_0 given, expected f16, bf16, f32 or q8_0");
}

TEST(KvQ8, ErrorsNameBlocksAndTypes) {
  const auto input = [](DType dtype, Shape shape) { return placeholder({dtype, std::move(shape)}); };
  const Array base = input(DType::q8_0, {4, 2, 64});
  EXPECT_EQ(error_of([&] { slice_update(base, input(DType::f16, {1, 2, 64}), 0, 0); }),
            "slice_update: operand 1 is f16[1,2,64], expected f32");
  EXPECT_EQ(error_of([&] { slice_update(base, input(DType::f32, {4, 2, 32}), 0, 2); }),
            "slice_update: base is q8_0[4,2,64], axis 2; expected rows of whole blocks of 32");
  EXPECT_EQ(error_of([&] { slice_update(input(DType::mxfp4, {4, 64}), input(DType::f32, {1, 64}), 0, 0); }),
            "slice_update: base is mxfp4[4,64], to which nothing can be encoded");
  const auto attend = [&](const Array& k, const Array& v) {
    return error_of([&] { attention(input(DType::f32, {1, 2, 64}), k, v, input(DType::i32, {1}), 1, {}); });
  };
  EXPECT_EQ(attend(base, base), "no error");
  EXPECT_EQ(attend(base, input(DType::f32, {4, 2, 64})),
            "attention: dtypes differ: q8_0[4,2,64] and f32[4,2,64]; cast one of them");
  EXPECT_EQ(attend(input(DType::q4_0, {4, 2, 64}), base),
            "attention: operand 1 is q4_0[4,2,64], expected q8_0, or f32, f16, bf16");
}

}  // namespace
}  // namespace lazuli
