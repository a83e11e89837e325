// SPDX-License-Identifier: MIT
// Tests neither read nor write the caches of the user who runs them, nor follow that user's choices: what an earlier
// build left there, or a shell exports, must not decide whether they pass.
#include <gtest/gtest.h>

#include <cstdlib>

namespace lazuli {
namespace {

class NoUserSettings : public testing::Environment {
  void SetUp() override {
    setenv("LAZULI_CACHE", "off", 1);
    for (const char* name : {"LAZULI_FUSION", "LAZULI_THREADS", "LAZULI_CHUNK", "LAZULI_ALTUP", "LAZULI_SPLIT_BYTES"})
      unsetenv(name);
  }
};

const testing::Environment* const no_user_settings = testing::AddGlobalTestEnvironment(new NoUserSettings);

TEST(TestEnvironment, HasNoUserCache) { EXPECT_STREQ(std::getenv("LAZULI_CACHE"), "off"); }

}  // namespace
}  // namespace lazuli
