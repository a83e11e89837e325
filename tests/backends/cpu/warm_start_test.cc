// SPDX-License-Identifier: MIT
// What one session leaves on disk and the next one finds: generated kernels and packed weights.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/environment_variable.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lazuli {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t rows = 80, cols = 256;

// Whole blocks of any type: every code is a number, scales of f16 included, as long as no byte reaches 0x7c.
std::vector<std::byte> some_blocks(DType dtype, std::int64_t elements) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(byte_size(dtype, elements)));
  std::uint32_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>((state >> 24) % 0x3c);
  }
  return bytes;
}

class WarmStart : public testing::Test {
 protected:
  struct Outcome {
    SessionStatistics statistics;
    std::vector<float> values;
  };

  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "lazuli_warm_start_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    home_.emplace("XDG_CACHE_HOME", folder_.c_str());
    cache_.emplace("LAZULI_CACHE", nullptr);
  }
  void TearDown() override {
    cache_.reset();
    home_.reset();
    fs::remove_all(folder_);
  }

  // gelu(x W^T) x W^T in a session of its own.
  Outcome run(const std::string& origin, DType dtype = DType::q8_0) const {
    const std::vector<std::byte> blocks = some_blocks(dtype, rows * cols);
    const BufferRef data = Buffer::allocate(blocks.size());
    std::memcpy(data->data(), blocks.data(), blocks.size());
    data->set_origin(origin);
    SessionOptions options;
    options.threads = 2;
    Session session(options);
    const Array weight = Array::constant(data, {dtype, {rows, cols}}, "weight");
    std::vector<float> x(2 * cols);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.001f * static_cast<float>(i % 97) - 0.05f;
    const Array product = linear(Array::from(x, {2, cols}), weight);
    const Array y = gelu_tanh(product) * product;
    session.eval(y);
    const std::span<const float> values = y.data<float>();
    return {session.statistics(), {values.begin(), values.end()}};
  }
  std::vector<fs::path> files(const char* kind) const {
    std::vector<fs::path> found;
    std::error_code none;
    for (const fs::directory_entry& file : fs::directory_iterator(folder_ / "lazuli" / kind, none))
      found.push_back(file.path());
    return found;
  }

  fs::path folder_;
  std::optional<test::EnvironmentVariable> home_, cache_;
};

TEST_F(WarmStart, ASecondSessionCompilesAndPacksNothing) {
  const Outcome first = run("file A");
  EXPECT_GT(first.statistics.loops, 0);
  EXPECT_EQ(first.statistics.compiled_loops, first.statistics.loops);
  EXPECT_EQ(first.statistics.laid_out_weights, 1);
  const Outcome second = run("file A");
  EXPECT_EQ(second.statistics.loops, first.statistics.loops);
  EXPECT_EQ(second.statistics.compiled_loops, 0);
  EXPECT_EQ(second.statistics.laid_out_weights, 0);
  EXPECT_EQ(second.statistics.weight_bytes, first.statistics.weight_bytes);
  EXPECT_EQ(second.values, first.values);
  EXPECT_EQ(files("kernels").size(), static_cast<std::size_t>(first.statistics.loops));
  EXPECT_EQ(files("weights").size(), 1u);
}

TEST_F(WarmStart, OtherBytesAreOtherWeights) {
  run("file A");
  EXPECT_EQ(run("file B").statistics.laid_out_weights, 1);
  EXPECT_EQ(run("file A", DType::q4_0).statistics.laid_out_weights, 1);
  EXPECT_EQ(run("file A").statistics.laid_out_weights, 0);
  EXPECT_EQ(files("weights").size(), 3u);
}

TEST_F(WarmStart, WeightsOfUnknownOriginStayInMemory) {
  for (int start = 0; start < 2; ++start) EXPECT_EQ(run("").statistics.laid_out_weights, 1);
  EXPECT_TRUE(files("weights").empty());
}

TEST_F(WarmStart, DamagedFilesAreMadeAnew) {
  const Outcome first = run("file A");
  for (const char* kind : {"kernels", "weights"}) {
    for (const fs::path& file : files(kind)) {
      std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
      stream.seekp(static_cast<std::streamoff>(4096 + 100));
      stream << "damage";
    }
  }
  const Outcome second = run("file A");
  EXPECT_EQ(second.statistics.compiled_loops, first.statistics.compiled_loops);
  EXPECT_EQ(second.statistics.laid_out_weights, 1);
  EXPECT_EQ(second.values, first.values);
  const Outcome third = run("file A");
  EXPECT_EQ(third.statistics.compiled_loops, 0);
  EXPECT_EQ(third.statistics.laid_out_weights, 0);
  EXPECT_EQ(third.values, first.values);
}

TEST_F(WarmStart, OffMeansOff) {
  setenv("LAZULI_CACHE", "off", 1);
  const Outcome first = run("file A"), second = run("file A");
  EXPECT_EQ(second.statistics.compiled_loops, first.statistics.loops);
  EXPECT_EQ(second.statistics.laid_out_weights, 1);
  EXPECT_TRUE(fs::is_empty(folder_));
}

// Packed weights of earlier versions lie on people's disks. Where one of these numbers changes, packed_layout_version
// has to go up, or those would be read in the new layout.
TEST(PackedLayout, ChangesWithItsVersion) {
  ASSERT_EQ(packed_layout_version, 1);
  const struct {
    DType dtype;
    std::uint64_t sum;
  } known[] = {
      {DType::f32, 0x6f46f08b89a237a0u},  {DType::f16, 0xc04d92c621234a53u},  {DType::bf16, 0xc04d92c621234a53u},
      {DType::q4_0, 0x941947319e204afdu}, {DType::q4_1, 0xefdce522e634190fu}, {DType::q5_0, 0xee166447882861d6u},
      {DType::q5_1, 0x1b61901fc1a11f11u}, {DType::q8_0, 0xb9a83c9de55733cfu}, {DType::q4_k, 0xc2def3b5cdf77f1cu},
      {DType::q5_k, 0x153f8693aebdca61u}, {DType::q6_k, 0x567529e1a0fac0b0u},
  };
  for (const auto& [dtype, sum] : known) {
    const std::vector<std::byte> blocks = some_blocks(dtype, rows * cols);
    PackedWeight weight = allocate_packed(dtype, rows, cols);
    pack_rows(blocks.data(), weight, 0, weight.groups());
    const std::span<const std::byte> packed(weight.data->data(), weight.data->size());
    EXPECT_EQ(cpu::checksum(packed), sum) << to_string(dtype);
  }
}

}  // namespace
}  // namespace lazuli
