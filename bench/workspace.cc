// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/range.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/bench/workspace.h>
#include <lazuli/graph/types/philox.h>

#include <algorithm>
#include <vector>

namespace lazuli::bench {
namespace {

// The numbers repeat after this many: a prime, so that no two rows of a matrix are the same.
constexpr std::int64_t period = 262'139;

std::vector<float> one_period() {
  std::vector<float> values(period);
  for (std::int64_t i = 0; i < period; ++i)
    values[static_cast<std::size_t>(i)] = static_cast<float>(random_normal(/*key=*/7, i));
  return values;
}

}  // namespace

const BufferRef& Workspace::operands(std::int64_t count) {
  const auto bytes = static_cast<std::size_t>(count) * sizeof(float);
  if (operands_ && operands_->size() >= bytes) return operands_;
  operands_.reset();
  operands_ = Buffer::allocate(bytes);
  const std::vector<float> values = one_period();
  ThreadPool pool;
  pool.run_on_all([&](int worker) {
    const Range part = share((count + period - 1) / period, worker, pool.size());
    for (std::int64_t i = part.begin; i < part.end; ++i)
      std::copy_n(values.data(), std::min(period, count - i * period), operands_->as<float>() + i * period);
  });
  return operands_;
}

const BufferRef& Workspace::results(std::int64_t bytes) {
  if (!results_ || results_->size() < static_cast<std::size_t>(bytes)) {
    results_.reset();
    results_ = Buffer::allocate(static_cast<std::size_t>(bytes));
  }
  return results_;
}

}  // namespace lazuli::bench
