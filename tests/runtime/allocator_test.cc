// SPDX-License-Identifier: MIT
// Memory from an allocator of the program's: what comes from it, that it goes back, and what happens where it refuses.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace lazuli {
namespace {

using test::caught;

// Counts what is out, and checks that it comes back as it went.
class CountingAllocator final : public Allocator {
 public:
  ~CountingAllocator() override { EXPECT_TRUE(out_.empty()); }

  void* allocate(std::size_t bytes, std::size_t alignment) override {
    const std::lock_guard lock(mutex_);
    if (bytes > limit) return nullptr;
    void* memory = std::aligned_alloc(alignment, bytes);
    out_[memory] = {bytes, alignment};
    total_ += bytes;
    return memory;
  }
  void deallocate(void* memory, std::size_t bytes, std::size_t alignment) noexcept override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(out_[memory], std::pair(bytes, alignment));
    out_.erase(memory);
    std::free(memory);
  }
  bool holds(const void* memory) const {
    const std::lock_guard lock(mutex_);
    return out_.contains(const_cast<void*>(memory));
  }
  std::size_t out() const {
    const std::lock_guard lock(mutex_);
    return out_.size();
  }
  std::size_t total() const {
    const std::lock_guard lock(mutex_);
    return total_;
  }

  std::atomic<std::size_t> limit{SIZE_MAX};

 private:
  mutable std::mutex mutex_;
  std::map<void*, std::pair<std::size_t, std::size_t>> out_;
  std::size_t total_ = 0;
};

class ThrowingAllocator final : public Allocator {
 public:
  void* allocate(std::size_t, std::size_t) override { throw std::runtime_error("the pool is closed"); }
  void deallocate(void*, std::size_t, std::size_t) noexcept override {}
};

SessionOptions with(AllocatorRef allocator, int threads = 1) {
  SessionOptions options;
  options.allocator = std::move(allocator);
  options.threads = threads;
  return options;
}

struct Default {
  explicit Default(AllocatorRef allocator) { set_default_allocator(std::move(allocator)); }
  ~Default() { set_default_allocator(nullptr); }
};

TEST(Allocator, GivesResultsIntermediateValuesAndWeights) {
  const auto allocator = std::make_shared<CountingAllocator>();
  Array y;
  {
    Session session(with(allocator));
    const Array x = full({64, 64}, 1) + 0.0;
    session.eval(x);
    EXPECT_TRUE(allocator->holds(x.bytes()));
    y = matmul(matmul(x, x), x);
    const std::size_t before = allocator->total();
    session.eval(y);
    EXPECT_GE(allocator->total() - before, 2 * 64 * 64 * sizeof(float));  // the result and the arena
    const Type type{DType::f32, {64, 64}};
    BufferRef data = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
    std::fill_n(data->as<float>(), type.elements(), 1.0f);
    const Array weight = Array::constant(data, type, "w");
    const std::size_t before_weight = allocator->out();
    session.eval(linear(x, weight));
    EXPECT_GE(allocator->out(), before_weight + 1);  // the weight as it is laid out
    EXPECT_FALSE(allocator->holds(data->data()));
  }
  EXPECT_EQ(allocator->out(), 1);
  EXPECT_EQ(y.data<float>()[0], 64 * 64);
  y = Array();
  EXPECT_EQ(allocator->out(), 0);
}

TEST(Allocator, OfTheProcessGivesWhatNoSessionIsAskedFor) {
  const auto allocator = std::make_shared<CountingAllocator>();
  const Array before = Array::from({1.0f, 2.0f}, {2});
  Array inside;
  {
    const Default chosen(allocator);
    EXPECT_EQ(default_allocator(), allocator);
    inside = Array::from({3.0f, 4.0f}, {2});
    EXPECT_TRUE(allocator->holds(inside.bytes()));
    const Session session;
    EXPECT_EQ((before + inside).data<float>()[1], 6);
  }
  EXPECT_EQ(default_allocator(), nullptr);
  const Array after = Array::from({5.0f}, {1});
  EXPECT_FALSE(allocator->holds(before.bytes()));
  EXPECT_FALSE(allocator->holds(after.bytes()));
  EXPECT_EQ(allocator->out(), 1);
  inside = Array();
  EXPECT_EQ(allocator->out(), 0);
}

TEST(Allocator, RefusalsAreErrorsAndLeaveTheSessionUsable) {
  const auto allocator = std::make_shared<CountingAllocator>();
  Session session(with(allocator));
  allocator->limit = 4096;
  const Array large = full({64, 64}, 1) + 0.0, small = full({16}, 2) + 0.0;
  const auto error = caught([&] { session.eval(large); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::memory);
  EXPECT_EQ(error->details().expected, "16384 bytes");
  EXPECT_STREQ(error->what(), "out of memory: cannot allocate 16384 bytes");
  session.eval(small);
  EXPECT_EQ(small.data<float>()[15], 2);
  allocator->limit = SIZE_MAX;
  session.eval(large);
  EXPECT_EQ(large.data<float>()[0], 1);
}

// The result fits, the intermediate value does not.
TEST(Allocator, RefusingTheArenaFailsTheRun) {
  const auto allocator = std::make_shared<CountingAllocator>();
  Session session(with(allocator));
  const Array x = full({64, 64}, 1) + 0.0;
  session.eval(x);
  const CompiledFunction total =
      compile([](const std::vector<Array>& x) { return std::vector{sum(matmul(matmul(x[0], x[0]), x[0]), {0, 1})}; });
  allocator->limit = 4096;
  EXPECT_EQ(caught([&] { session.call(total, {x})[0].item<float>(); })->kind(), ErrorKind::memory);
  allocator->limit = SIZE_MAX;
  EXPECT_EQ(session.call(total, {x})[0].item<float>(), 64.0f * 64 * 64 * 64);
}

TEST(Allocator, WhatItThrowsIsTheReason) {
  Session session(with(std::make_shared<ThrowingAllocator>()));
  const auto error = caught([&] { session.eval(full({4}, 1) + 0.0); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::memory);
  EXPECT_EQ(error->details().found, "the pool is closed");
}

TEST(Allocator, ServesThreadsAtOnceAndMayChangeMeanwhile) {
  const auto allocator = std::make_shared<CountingAllocator>(), other = std::make_shared<CountingAllocator>();
  {
    Session session(with(allocator, 2));
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread)
      threads.emplace_back([&, thread] {
        for (int round = 0; round < 20; ++round) {
          if (thread == 0) set_default_allocator(round % 2 == 0 ? other : nullptr);
          const Array x = Array::from(std::vector<float>(64, static_cast<float>(thread)), {64}) + 1.0;
          session.eval(x);
          EXPECT_EQ(x.data<float>()[63], static_cast<float>(thread + 1));
        }
      });
    for (std::thread& thread : threads) thread.join();
    set_default_allocator(nullptr);
  }
  EXPECT_EQ(allocator->out(), 0);
  EXPECT_EQ(other->out(), 0);
}

}  // namespace
}  // namespace lazuli
