// SPDX-License-Identifier: MIT
// Files that take their name when they are complete.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/tests/support/safetensors_writer.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace lazuli {
namespace {

std::string contents(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(OutputFile, NamesThatAProcessLeftArePassedOver) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/file", left = fmt::format("{}.tmp.{}", path, ::getpid());
  for (const std::string& name : {left, left + ".1"}) std::ofstream(name) << "left";
  {
    OutputFile file(path);
    file.write("whole");
    EXPECT_FALSE(std::filesystem::exists(path));
    file.commit();
  }
  EXPECT_EQ(contents(path), "whole");
  EXPECT_EQ(contents(left), "left");
  EXPECT_EQ(contents(left + ".1"), "left");
  EXPECT_FALSE(std::filesystem::exists(left + ".2"));
}

}  // namespace
}  // namespace lazuli
