// Tests neither read nor write this user's caches: what an earlier build left there must not decide whether they pass.
#include <gtest/gtest.h>

#include <cstdlib>

namespace lazuli {
namespace {

class NoUserCache : public testing::Environment {
  void SetUp() override { setenv("LAZULI_CACHE", "off", 1); }
};

const testing::Environment* const no_user_cache = testing::AddGlobalTestEnvironment(new NoUserCache);

TEST(TestEnvironment, HasNoUserCache) { EXPECT_STREQ(std::getenv("LAZULI_CACHE"), "off"); }

}  // namespace
}  // namespace lazuli
