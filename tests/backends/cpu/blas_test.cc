// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/cpu/kernels/blas.h>
#include <lazuli/graph/base/error.h>

#include <array>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace lazuli {
namespace {

// A product with room between the rows, and its answer in double precision.
class Problem {
 public:
  Problem(RightOperand layout, std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t padding = 3) {
    const bool nk = layout == RightOperand::rows_are_columns_of_c;
    product_ = {layout, m, n, k, nullptr, k + padding, nullptr, (nk ? k : n) + padding, nullptr, n + padding};
    a_ = random_values(m * product_.lda, 1);
    b_ = random_values((nk ? n : k) * product_.ldb, 2);
    c_.assign(m * product_.ldc, untouched);
    product_.a = a_.data();
    product_.b = b_.data();
    product_.c = c_.data();
  }

  const Sgemm& product() const { return product_; }

  void expect_solved() const {
    const bool nk = product_.layout == RightOperand::rows_are_columns_of_c;
    for (std::int64_t row = 0; row < product_.m; ++row) {
      for (std::int64_t column = 0; column < product_.ldc; ++column) {
        const float got = c_[row * product_.ldc + column];
        if (column >= product_.n) {
          ASSERT_EQ(got, untouched) << "written past row " << row;
          continue;
        }
        double expected = 0;
        for (std::int64_t i = 0; i < product_.k; ++i)
          expected += double{a_[row * product_.lda + i]} *
                      double{b_[nk ? column * product_.ldb + i : i * product_.ldb + column]};
        // Values are below 1, so k products and sums err by less than k rounding steps of a number below k.
        const double k = static_cast<double>(product_.k);
        ASSERT_NEAR(got, expected, k * k * 0x1p-24 + 1e-30) << "row " << row << ", column " << column;
      }
    }
  }

 private:
  static constexpr float untouched = 12345.0f;

  static std::vector<float> random_values(std::int64_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    std::vector<float> values(count);
    for (float& value : values) value = uniform(random);
    return values;
  }

  Sgemm product_;
  std::vector<float> a_, b_, c_;
};

constexpr RightOperand layouts[] = {RightOperand::rows_are_columns_of_c, RightOperand::rows_are_inner};

TEST(Blas, BothLayoutsAndOddSizes) {
  const std::int64_t sizes[][3] = {{1, 1, 1}, {1, 70, 33}, {33, 1, 20}, {5, 17, 129}, {64, 48, 32}, {31, 130, 257}};
  for (const RightOperand layout : layouts) {
    for (const auto& [m, n, k] : sizes) {
      const Problem problem(layout, m, n, k);
      sgemm(problem.product());
      problem.expect_solved();
    }
  }
}

TEST(Blas, EmptyProducts) {
  for (const RightOperand layout : layouts) {
    for (const auto& [m, n, k] : {std::array{0, 4, 4}, std::array{4, 0, 4}, std::array{4, 4, 0}}) {
      const Problem problem(layout, m, n, k);
      sgemm(problem.product());
      problem.expect_solved();
    }
  }
}

TEST(Blas, TilesCoverTheProductOnce) {
  for (const RightOperand layout : layouts) {
    for (const auto& [m, n] : {std::pair{7, 300}, std::pair{300, 7}, std::pair{40, 40}, std::pair{3, 5}}) {
      for (const int tiles : {1, 2, 3, 8}) {
        const Problem problem(layout, m, n, 50);
        std::int64_t cells = 0;
        for (int tile = 0; tile < tiles; ++tile) {
          const Sgemm part = sgemm_tile(problem.product(), tile, tiles);
          cells += part.m * part.n;
          sgemm(part);
        }
        EXPECT_EQ(cells, m * n);
        problem.expect_solved();
      }
    }
  }
}

TEST(Blas, SeveralThreadsAtOnce) {
  ThreadPool pool(3);
  for (int run = 0; run < 20; ++run) {
    const Problem problem(layouts[run % 2], 37, 200, 64);
    pool.run_on_all([&](int worker) { sgemm(sgemm_tile(problem.product(), worker, pool.size())); });
    problem.expect_solved();
  }
}

TEST(Blas, RejectsSizesTheLibraryCannotTake) {
  const Problem problem(RightOperand::rows_are_inner, 4, 4, 4, 0);
  Sgemm product = problem.product();
  product.lda = 3;
  EXPECT_THROW(sgemm(product), Error);
  product = problem.product();
  product.n = std::int64_t{1} << 31;
  EXPECT_THROW(sgemm(product), Error);
  product = problem.product();
  product.m = -1;
  EXPECT_THROW(sgemm(product), Error);
}

TEST(Blas, TakesTheWidestKernels) {
  if (std::getenv("OPENBLAS_CORETYPE")) GTEST_SKIP() << "OPENBLAS_CORETYPE is set";
  const BlasInfo info = blas_info();
  EXPECT_NE(info.config.find("OpenBLAS"), std::string::npos) << info.config;
  const bool avx512 =
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  if (avx512) {
    EXPECT_EQ(info.core, "SkylakeX");
  }
  EXPECT_EQ(std::getenv("OPENBLAS_CORETYPE"), nullptr) << "our setting outlived the load";
}

TEST(Blas, SaysWhichLibraryAndPackageIsMissing) {
  const char* const files[] = {"libno_such_blas.so.7"};
  try {
    load_blas(files);
    FAIL() << "loaded";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("libno_such_blas.so.7"), std::string::npos) << text;
    EXPECT_NE(text.find("libopenblas0"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace lazuli
