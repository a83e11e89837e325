// SPDX-License-Identifier: MIT
// What kept programs take, and which go for want of memory.
#include <gtest/gtest.h>
#include <lazuli/runtime/program_cache.h>

#include <string>

namespace lazuli {
namespace {

constexpr std::int64_t megabyte = 1 << 20;

// A program of one node that holds these constants, each once.
std::shared_ptr<CompiledGraph> program_of(const std::vector<BufferRef>& constants) {
  auto compiled = std::make_shared<CompiledGraph>();
  for (const BufferRef& constant : constants) {
    GraphNode node;
    node.op = Op::constant;
    node.types = {{DType::u8, {static_cast<std::int64_t>(constant->size())}}};
    node.constant = constant;
    compiled->built.add(std::move(node));
    compiled->constants.push_back({constant, 1});
  }
  return compiled;
}

class ProgramCacheBytes : public testing::Test {
 protected:
  void insert(const std::vector<BufferRef>& constants) {
    cache_.insert("program " + std::to_string(cache_.size()), {}, {}, program_of(constants));
  }
  static BufferRef constant(std::int64_t megabytes) {
    return Buffer::allocate(static_cast<std::size_t>(megabytes * megabyte));
  }

  ProgramCache cache_;
};

TEST_F(ProgramCacheBytes, ConstantsOfOthersAreNotTheirs) {
  insert({constant(3)});
  const std::int64_t own = cache_.bytes();
  EXPECT_GT(own, 3 * megabyte);
  EXPECT_LT(own, 4 * megabyte);
  BufferRef shared = constant(16);
  insert({shared});
  EXPECT_LT(cache_.bytes(), 4 * megabyte);
  shared.reset();
  EXPECT_GT(cache_.bytes(), 19 * megabyte);
}

TEST_F(ProgramCacheBytes, SharedConstantsCountOnce) {
  BufferRef shared = constant(8);
  insert({shared, constant(1)});
  insert({shared, constant(1)});
  shared.reset();
  EXPECT_GT(cache_.bytes(), 10 * megabyte);
  EXPECT_LT(cache_.bytes(), 11 * megabyte);
}

TEST_F(ProgramCacheBytes, TheOldestGoUntilTheRestFits) {
  BufferRef elsewhere = constant(64);
  for (int i = 0; i < 8; ++i) insert({constant(4), elsewhere});
  ASSERT_EQ(cache_.size(), 8);
  const std::vector<std::shared_ptr<CompiledGraph>> before = cache_.list();
  EXPECT_TRUE(cache_.evict(33 * megabyte).empty());
  std::vector<std::shared_ptr<CompiledGraph>> evicted = cache_.evict(13 * megabyte);
  ASSERT_EQ(evicted.size(), 5u);
  for (std::size_t i = 0; i < evicted.size(); ++i) EXPECT_EQ(evicted[i], before[7 - i]) << i;
  EXPECT_EQ(cache_.size(), 3);
  EXPECT_LT(cache_.bytes(), 13 * megabyte);
  EXPECT_GT(cache_.bytes(), 12 * megabyte);
  EXPECT_EQ(cache_.evict(0).size(), 2u) << "the last one stays";
  EXPECT_EQ(cache_.clear().size(), 1u);
  EXPECT_EQ(cache_.bytes(), 0);
}

// What two programs hold goes with the second of them.
TEST_F(ProgramCacheBytes, OfSharedConstantsTheLastProgramFreesThem) {
  BufferRef shared = constant(32);
  for (int i = 0; i < 3; ++i) insert(i < 2 ? std::vector<BufferRef>{shared, constant(1)} : std::vector{constant(1)});
  shared.reset();
  EXPECT_EQ(cache_.evict(34 * megabyte).size(), 1u);
  EXPECT_GT(cache_.bytes(), 34 * megabyte) << "of the two left, one holds it";
  EXPECT_EQ(cache_.evict(2 * megabyte).size(), 1u);
  EXPECT_LT(cache_.bytes(), 2 * megabyte);
}

}  // namespace
}  // namespace lazuli
