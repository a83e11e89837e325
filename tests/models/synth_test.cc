// SPDX-License-Identifier: MIT
// Checkpoints with random weights: published sizes, and one model whatever the container and the quantisation.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/models/load.h>
#include <lazuli/models/synth/synth.h>
#include <lazuli/models/synth/vocabulary.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/safetensors_writer.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

namespace lazuli::synth {
namespace {

std::int64_t parameters(const std::vector<Tensor>& tensors) {
  std::int64_t total = 0;
  for (const Tensor& tensor : tensors) total += lazuli::element_count(tensor.shape);
  return total;
}

// Millions of parameters of the text models, as computed from their published configurations, without most norms.
TEST(SynthArchitecture, HasThePublishedNumberOfParameters) {
  const std::map<std::string, double> published = {
      {"gemma3-270m", 268.1},    {"gemma3-1b", 999.9}, {"gemma3-4b", 3880},  {"gemma3n-e2b", 4456},
      {"gemma3n-e4b", 6867},     {"gemma4-e2b", 4647}, {"gemma4-e4b", 7518}, {"gemma4-12b", 11907},
      {"gemma4-26b-a4b", 25232}, {"gemma4-31b", 30696}};
  ASSERT_EQ(published_architectures().size(), published.size());
  for (const Architecture& architecture : published_architectures()) {
    const double millions = published.at(architecture.name), tolerance = 3e-4 * millions;
    for (const bool mlx : {false, true})
      EXPECT_NEAR(static_cast<double>(parameters(folder_tensors(architecture, mlx))) / 1e6, millions, tolerance)
          << architecture.name;
  }
}

// The types of the published gemma-3-270m-q4_k_m.gguf, whose rows of 640 take no k-types.
TEST(SynthArchitecture, MixesTypesAsThePublishedFileDoes) {
  std::map<DType, int> types;
  for (const PlacedTensor& placed : plan_gguf(find_architecture("gemma3-270m"), Quantisation::q4_k_m).tensors)
    ++types[placed.dtype];
  EXPECT_EQ(types, (std::map<DType, int>{
                       {DType::f32, 109}, {DType::q4_k, 27}, {DType::q5_0, 81}, {DType::q6_k, 9}, {DType::q8_0, 10}}));
}

TEST(SynthArchitecture, ShortensInProportionWhereEverySharerFindsAnOwner) {
  const Architecture& e2b = find_architecture("gemma3n-e2b");
  const Architecture half = shortened(e2b, 15);
  EXPECT_EQ(half.layers, 15);
  EXPECT_EQ(half.shared_kv_layers, 5);
  EXPECT_EQ(half.sparse_layers, 5);
  EXPECT_EQ(shortened(e2b, 4).shared_kv_layers, 1);
  EXPECT_EQ(shortened(e2b, 5).shared_kv_layers, 0);  // the last layer is the only global one
  EXPECT_EQ(shortened(e2b, 30).shared_kv_layers, 10);
  EXPECT_FALSE(shortened(find_architecture("gemma4-31b"), 2).is_sliding(1));
  EXPECT_TRUE(shortened(find_architecture("gemma3-4b"), 2).is_sliding(1));
  EXPECT_THROW(shortened(e2b, 0), Error);
  EXPECT_THROW(shortened(e2b, 31), Error);
  EXPECT_THROW(find_architecture("gemma5"), Error);
}

TEST(SynthValues, AreAFunctionOfSeedTensorAndIndex) {
  const std::int64_t key = stream_key(7, "blk.0.attn_q.weight");
  EXPECT_NE(key, stream_key(8, "blk.0.attn_q.weight"));
  EXPECT_NE(key, stream_key(7, "blk.0.attn_k.weight"));
  std::vector<float> whole(5000), parts(5000);
  fill_random(key, 0, {.deviation = 0.5f}, whole);
  for (std::size_t begin = 0, size = 1; begin < parts.size(); begin += size, size = size * 3 + 2)
    fill_random(key, static_cast<std::int64_t>(begin), {.deviation = 0.5f},
                std::span(parts).subspan(begin, std::min(size, parts.size() - begin)));
  EXPECT_EQ(whole, parts);
}

TEST(SynthValues, HaveTheirSpreadAndFitBf16) {
  std::vector<float> values(1 << 16), shifted(1 << 16);
  const std::int64_t key = stream_key(0, "t");
  fill_random(key, 0, {.centre = 0.25f, .deviation = 0.125f}, values);
  double sum = 0, squares = 0;
  for (const float value : values) {
    sum += value;
    squares += (value - 0.25) * (value - 0.25);
    ASSERT_EQ(bf16_to_f32(f32_to_bf16(value)), value);
  }
  EXPECT_NEAR(sum / static_cast<double>(values.size()), 0.25, 2e-3);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(values.size())), 0.125, 2e-3);
  fill_random(key, 0, {.centre = 0.25f, .deviation = 0.125f, .offset = 1}, shifted);
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(shifted[i], values[i] + 1);
}

// ---- files ----

std::string contents(const PlannedFile& file, std::int64_t seed = 1, int threads = 2) {
  std::string bytes = file.header;
  bytes.resize(file.bytes);
  write_tensors(
      file, seed, threads,
      [&](std::uint64_t offset, std::span<const std::byte> part) {
        ASSERT_GE(offset, file.header.size());
        ASSERT_LE(offset + part.size(), bytes.size());
        std::memcpy(bytes.data() + offset, part.data(), part.size());
      },
      [](std::int64_t) {});
  return bytes;
}

// A published shape made small: two kinds of layers, and whatever else the family has.
Architecture small(const std::string& name) {
  Architecture a = find_architecture(name);
  // GGUF does not say which layers of Gemma 3 are global: every sixth.
  const std::int64_t layers = a.family == Family::gemma3 ? 6 : 5;
  a.hidden_size = 256;
  a.intermediate_size = 512;
  a.heads = 4;
  a.kv_heads = 2;
  a.head_dim = 64;
  if (a.family != Family::gemma3) a.period = 2;
  a.window = 8;
  a.tokens = 640;
  a.vocab_size = a.family == Family::gemma4 ? a.tokens : a.tokens + 64;
  if (a.per_layer_width > 0) a.per_layer_width = 64;
  if (a.global_head_dim > 0) a.global_head_dim = 128;
  if (a.global_kv_heads > 0) a.global_kv_heads = 1;
  if (a.experts > 0) {
    a.experts = 8;
    a.experts_per_token = 2;
    a.expert_size = 192;
  }
  return shortened(std::move(a), layers);
}

class SynthFiles : public testing::TestWithParam<const char*> {
 protected:
  // Path of the checkpoint, in a folder of the test.
  std::string write(const Architecture& architecture, Quantisation quantisation, bool gguf,
                    std::uint64_t shard_bytes = std::uint64_t{1} << 40) {
    const std::string name = fmt::format("{}{}", count_++, gguf ? ".gguf" : "");
    if (gguf) {
      folder_.write(name, contents(plan_gguf(architecture, quantisation)));
    } else {
      std::filesystem::create_directory(folder_.path() + '/' + name);
      for (const PlannedFile& file : plan_folder(architecture, quantisation, shard_bytes))
        folder_.write(name + '/' + file.name, contents(file));
    }
    return folder_.path() + '/' + name;
  }

  // Of every position of a prompt longer than the window, everything in f32.
  static std::vector<float> logits_of(const std::string& path) {
    SessionOptions options;
    options.precision = Precision::f32;
    options.threads = 1;
    Session session(options);
    const auto model = load_model(path);
    RunnerOptions runner_options;
    runner_options.kv_dtype = DType::f32;
    Runner runner(*model, runner_options);
    const std::vector<std::int32_t> ids = {2, 495, 517, 138, 600, 601, 602, 571, 107, 300, 494, 639};
    std::vector<float> logits;
    runner.prefill_logits(ids, [&](std::int64_t, const Array& rows, std::int64_t count) {
      const std::span<const float> values = rows.data<float>();
      for (std::int64_t row = 0; row < count; ++row) {
        const float* begin = values.data() + row * model->info().vocab_size;
        logits.insert(logits.end(), begin, begin + 640);  // the rows every container has
      }
    });
    EXPECT_EQ(logits.size(), ids.size() * 640);
    return logits;
  }

  test::TemporaryFolder folder_;
  int count_ = 0;
};

// Root of the mean square of a − b, relative to b's.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, magnitude = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    magnitude += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / magnitude);
}

TEST_P(SynthFiles, HoldOneModel) {
  const Architecture architecture = small(GetParam());
  const std::vector<float> plain = logits_of(write(architecture, Quantisation::bf16, false));
  double magnitude = 0;
  for (const float logit : plain) magnitude += std::abs(static_cast<double>(logit));
  magnitude /= static_cast<double>(plain.size());
  EXPECT_GT(magnitude, 0.3);
  EXPECT_LT(magnitude, 10);

  const struct {
    Quantisation quantisation;
    bool gguf;
    double tolerance;  // what the quantisation's error becomes over the layers
  } others[] = {{Quantisation::bf16, true, 1e-5}, {Quantisation::q8_0, true, 0.05},  {Quantisation::mlx8, false, 0.05},
                {Quantisation::q4_0, true, 0.6},  {Quantisation::q4_k_m, true, 0.6}, {Quantisation::mlx4, false, 0.6},
                {Quantisation::nvfp4, false, 0.8}};
  for (const auto& [quantisation, gguf, tolerance] : others) {
    SCOPED_TRACE(fmt::format("{} {}", quantisation_names[static_cast<std::size_t>(quantisation)], gguf));
    // A row that is all but undecided between two experts goes to the other one.
    const double rerouted = architecture.experts > 0 && quantisation != Quantisation::bf16 ? 0.15 : 0;
    EXPECT_LE(distance(logits_of(write(architecture, quantisation, gguf)), plain), tolerance + rerouted);
  }
}

TEST_P(SynthFiles, ShardsHoldTheSameTensors) {
  const Architecture architecture = small(GetParam());
  const std::vector<PlannedFile> whole = plan_folder(architecture, Quantisation::mlx4),
                                 shards = plan_folder(architecture, Quantisation::mlx4, 400'000);
  EXPECT_GT(shards.size(), whole.size() + 2);
  const auto a = CheckpointFolder::open(write(architecture, Quantisation::mlx4, false)).list_tensors();
  const auto b = CheckpointFolder::open(write(architecture, Quantisation::mlx4, false, 400'000)).list_tensors();
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, stored] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    const Array &array = stored.array, &other = b.at(name).array;
    EXPECT_EQ(array.type(), other.type()) << name;
    EXPECT_EQ(std::memcmp(array.bytes(), other.bytes(), static_cast<std::size_t>(array.type().bytes())), 0) << name;
  }
}

TEST_P(SynthFiles, TokenizeAlike) {
  Architecture architecture = small(GetParam());
  architecture.tokens = architecture.vocab_size = 262144;
  architecture.hidden_size = 64;
  architecture.layers = 1;
  architecture.shared_kv_layers = 0;
  const PlannedFile gguf = plan_gguf(architecture, Quantisation::bf16);
  folder_.write("model.gguf", contents(gguf));
  const auto from_gguf = Tokenizer::from_gguf(GgufFile::open(folder_.path() + "/model.gguf"));
  const auto from_folder = load_model(write(architecture, Quantisation::bf16, false))->tokenizer();
  ASSERT_NE(from_gguf, nullptr);
  ASSERT_NE(from_folder, nullptr);
  EXPECT_EQ(from_gguf->encode("ba katu Hello\n\n"),
            (std::vector<std::int32_t>{2, 495, 5902, 236743, 236783, 236812, 236819, 571, 108}));
  for (const char* text : {"ba katu  Hello\n", " \t ", "dufa  babebi \xf0\x9f\xa6\x99 \xc3\xa4", ""}) {
    EXPECT_EQ(from_gguf->encode(text), from_folder->encode(text)) << text;
    EXPECT_EQ(from_gguf->decode(from_gguf->encode(text)), text);
  }
  EXPECT_EQ(from_gguf->encode("<bos>", {.add_bos = false, .parse_special = true}), std::vector<std::int32_t>{2});
  EXPECT_TRUE(from_gguf->is_end_of_generation(end_of_turn_token));
  EXPECT_TRUE(from_folder->is_end_of_generation(end_of_turn_token));
}

INSTANTIATE_TEST_SUITE_P(Families, SynthFiles,
                         testing::Values("gemma3-1b", "gemma3-4b", "gemma3n-e2b", "gemma4-e2b", "gemma4-26b-a4b"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(SynthWriting, ThreadsAndSeedsDecideAsTheyShould) {
  const PlannedFile file = plan_gguf(small("gemma3n-e2b"), Quantisation::q4_0);
  const std::string one = contents(file, 1, 1);
  EXPECT_TRUE(one == contents(file, 1, 3));
  EXPECT_FALSE(one == contents(file, 2, 1));
}

TEST(SynthWriting, ReportsProgressAndPassesErrorsOn) {
  const PlannedFile file = plan_gguf(small("gemma3-1b"), Quantisation::bf16);
  std::int64_t last = 0;
  write_tensors(
      file, 1, 1, [](auto, auto) {},
      [&](std::int64_t elements) {
        EXPECT_GT(elements, last);
        last = elements;
      });
  EXPECT_EQ(last, element_count(file));
  EXPECT_THROW(write_tensors(file, 1, 3, [](auto, auto) { fail("full"); }, [](auto) {}), Error);
  EXPECT_THROW(write_tensors(file, 1, 3, [](auto, auto) {}, [](auto) { fail("stop"); }), Error);
  EXPECT_THROW(plan_gguf(small("gemma3-1b"), Quantisation::mlx4), Error);
  EXPECT_THROW(plan_folder(small("gemma3-1b"), Quantisation::q4_0), Error);
}

}  // namespace
}  // namespace lazuli::synth
