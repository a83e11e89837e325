// SPDX-License-Identifier: MIT
// Runner on tiny checkpoints with windows of 8: what its caches keep, how far they can be cut back, and long contexts.
#include <fmt/format.h>
#include <lazuli/tests/support/checkpoint_copy.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/golden_model.h>

namespace lazuli {
namespace {

using Ids = std::vector<std::int32_t>;
using test::error_of;

constexpr std::int64_t window = 8;

std::unique_ptr<LanguageModel> golden(const std::string& folder) {
  const std::string path = test::test_data_path("goldens/" + folder), gguf = path + "/model.gguf";
  return load_model(std::filesystem::exists(gguf) ? gguf : path);
}

Ids some_ids(std::int64_t count) {
  Ids ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>((i * i + 7 * i + 3) % 320);
  return ids;
}

std::span<const std::int32_t> part(const Ids& ids, std::int64_t begin, std::int64_t end) {
  return std::span(ids).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

std::vector<float> values_of(const Array& logits) { return {logits.data<float>().begin(), logits.data<float>().end()}; }

Runner runner_of(const LanguageModel& model, std::int64_t chunk, std::int64_t context = 0) {
  RunnerOptions options;
  options.chunk = chunk;
  options.context = context;
  return Runner(model, options);
}

// The last logits of a prompt that ends in the given chunks are those of the whole prompt at once.
void expect_same_bits(const LanguageModel& model, const Ids& ids, std::int64_t chunk) {
  Runner whole = runner_of(model, RunnerOptions::whole_prompt), chunked = runner_of(model, chunk);
  EXPECT_EQ(values_of(whole.prefill(ids)), values_of(chunked.prefill(ids))) << ids.size() << " by " << chunk;
}

// Padding costs as much as rows do, and every size of a step a program.
TEST(Runner, StepsOfAPromptComeInFewSizes) {
  Session session;
  const auto model = golden("gemma3-dense");
  Runner runner = runner_of(*model, 512);
  const auto rows_of_step = [&](std::int64_t rows) { return runner.prefill_step(rows).arguments[0].size(0); };
  const std::pair<std::int64_t, std::int64_t> sizes[] = {{1, 1},     {3, 4},     {65, 128},  {128, 128}, {129, 160},
                                                         {160, 160}, {250, 256}, {257, 320}, {384, 384}, {449, 512}};
  for (const auto& [rows, expected] : sizes) EXPECT_EQ(rows_of_step(rows), expected) << rows;
  EXPECT_EQ(runner_of(*model, 300).prefill_step(290).arguments[0].size(0), 300) << "never more than a chunk";
}

// 255 rows by 100: the padding behind the last 55 reaches past the 256 rows that would do for the prompt, and must not
// wrap around onto rows in use. The window of this model is longer than that.
TEST(Runner, PaddingNeverOverwritesRowsInUse) {
  Session session;
  test::CheckpointCopy copy("gemma3-dense");
  copy.set_config("sliding_window", 512);
  const auto model = load_model(copy.path());
  for (const std::int64_t chunk : {100, 64, 7}) expect_same_bits(*model, some_ids(255), chunk);
}

// Which rows run together, on how many threads, and in how many launches changes no bit. Shared layers read one row
// here, experts a few, and chunks end on, before and behind the blocks of all kernels.
TEST(Runner, ChunksThreadsAndFusionChangeNoBit) {
  const Ids ids = some_ids(261);
  for (const char* folder : {"gemma3n-gguf-q8_0", "gemma4-e-gguf-q4_0", "gemma4-moe-gguf-q5_0"}) {
    std::vector<float> expected;
    for (const int threads : {2, 1, 3, 8})
      for (const char* fusion : {"all", "none"}) {
        SessionOptions options;
        options.threads = threads;
        options.fusion = fusion;
        Session session(options);
        const auto model = golden(folder);
        const bool is_first = expected.empty();
        if (is_first) expected = values_of(runner_of(*model, RunnerOptions::whole_prompt).prefill(ids));
        for (const std::int64_t chunk : {1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 129, 255, 256, 257}) {
          if (!is_first && chunk % 16 == 1) continue;
          if (threads == 8 && chunk < 100) continue;  // of short chunks threads without a core only make long tests
          EXPECT_EQ(values_of(runner_of(*model, chunk).prefill(ids)), expected)
              << folder << " chunk " << chunk << ", " << threads << " threads, " << fusion;
        }
      }
  }
}

TEST(Runner, CutsBackToWhatRingsStillHold) {
  Session session;
  for (const char* folder : {"gemma3-dense", "gemma3n", "gemma4-e"}) {
    SCOPED_TRACE(folder);
    const auto model = golden(folder);
    const Ids ids = some_ids(197), other = some_ids(230);
    Runner runner = runner_of(*model, 16);
    // A ring has 64 rows here, of which the last 7 before the cut are seen again.
    runner.prefill(ids);
    EXPECT_EQ(runner.keepable(197), 197);
    EXPECT_EQ(runner.keepable(192), 192) << "before the last step";
    EXPECT_EQ(runner.keepable(100), 0);
    EXPECT_EQ(runner.keepable(0), 0);
    std::int64_t lowest = 197;
    while (runner.keepable(lowest - 1) != 0) --lowest;
    EXPECT_EQ(lowest, 200 - 64 + window - 1) << "the last 5 rows are padded to 8";
    EXPECT_EQ(
        error_of([&] { runner.truncate(lowest - 1); }),
        fmt::format("truncate: to {} of 197 positions: a sliding window has overwritten keys that position {} sees",
                    lowest - 1, lowest - 1));
    runner.truncate(lowest);
    EXPECT_EQ(runner.length(), lowest);
    const std::vector<float> continued = values_of(runner.prefill(part(other, lowest, 230)));
    // What the second prompt has in common with the first is the same by construction of some_ids.
    Runner fresh = runner_of(*model, 16);
    EXPECT_EQ(continued, values_of(fresh.prefill(other)));
    runner.truncate(0);
    EXPECT_EQ(values_of(runner.prefill(other)), continued);
  }
}

TEST(Runner, RestoresIntoRingsOfAnotherLength) {
  Session session;
  for (const char* folder : {"gemma3-dense", "gemma3n", "gemma4-e-gguf-q4_0"}) {
    SCOPED_TRACE(folder);
    const auto model = golden(folder);
    const Ids ids = some_ids(300);
    for (const auto& [from, to] : {std::pair{256, 4}, {4, 256}, {16, 16}}) {
      Runner source = runner_of(*model, from), target = runner_of(*model, to);
      source.prefill(part(ids, 0, 280));
      std::vector<Runner::CacheView> views;
      for (const auto& [rows, first] : source.cache_views()) {
        const std::int64_t capacity = rows.size(0);
        std::vector<std::int32_t> order;
        for (std::int64_t p = first; p < 280; ++p) order.push_back(static_cast<std::int32_t>(p % capacity));
        views.push_back({take_rows(rows, Array::from(order, {280 - first})), first});
      }
      target.restore(280, views);
      EXPECT_EQ(values_of(target.prefill(part(ids, 280, 300))), values_of(source.prefill(part(ids, 280, 300))))
          << from << " to " << to;
    }
  }
}

TEST(Runner, RefusesCachesThatDoNotFit) {
  Session session;
  const auto model = golden("gemma3-dense");
  Runner source = runner_of(*model, 16), target = runner_of(*model, 16, 64);
  source.prefill(some_ids(40));
  std::vector<Runner::CacheView> views = source.cache_views();
  EXPECT_EQ(error_of([&] { target.restore(65, views); }), "restore: 65 positions, the context holds 1 to 64");
  EXPECT_EQ(error_of([&] { target.restore(40, std::span(views).first(3)); }), "restore: 3 caches, expected 14");
  EXPECT_NE(error_of([&] { target.restore(40, views); }).find("restore: cache 0 is f16["), std::string::npos);
  views[0].first = 40;
  EXPECT_EQ(error_of([&] { target.restore(40, views); }), "restore: cache 0 begins at position 40, expected 0 to 33");
  EXPECT_EQ(target.length(), 0);
}

// 32,768 positions at two chunk sizes, of a model that was made for 512.
TEST(Runner, LongContextsKeepTheirBitsAndBoundTheirRings) {
  Session session;
  constexpr std::int64_t positions = 32768;
  const auto model = golden("gemma3-dense");
  ASSERT_EQ(model->info().context_length, 512);
  const Ids ids = some_ids(positions - 4);
  std::vector<std::vector<float>> last;
  for (const std::int64_t chunk : {512, 1000}) {
    Runner runner = runner_of(*model, chunk, positions);
    Array logits = runner.prefill(ids);
    for (int step = 0; step < 4; ++step) logits = runner.decode(argmax(logits));
    last.push_back(values_of(logits));
    EXPECT_EQ(error_of([&] { runner.decode(argmax(logits)); }), "the context of 32768 positions is full");
    std::int64_t expected = 0;
    for (const KvCacheShape& shape : model->caches()) {
      const std::int64_t rows = shape.window > 0 ? (shape.window - 1 + chunk + 63) / 64 * 64 : positions;
      expected += 2 * rows * shape.kv_heads * shape.head_dim * 2;
    }
    EXPECT_EQ(runner.cache_bytes(), expected) << "k and v, in f16";
  }
  EXPECT_EQ(last[0], last[1]);
  Runner full = runner_of(*model, 512, 100);
  EXPECT_EQ(error_of([&] { full.prefill(part(ids, 0, 101)); }),
            "the prompt needs 101 positions, the context holds 100");
}

}  // namespace
}  // namespace lazuli
