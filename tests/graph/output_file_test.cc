// SPDX-License-Identifier: MIT
// Files that take their name when they are complete.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/graph/files/unfinished.h>
#include <lazuli/tests/support/safetensors_writer.h>
#include <sys/wait.h>
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

// As a command does that a signal ends.
TEST(OutputFile, AChildLeavesItsParentsFilesAlone) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  OutputFile file(path);
  file.write("whole");
  const pid_t process = fork();
  if (process == 0) {
    alarm(60);
    const auto lock = remove_unfinished();
    _exit(0);
  }
  int status = -1;
  waitpid(process, &status, 0);
  EXPECT_EQ(status, 0);
  file.commit();
  EXPECT_EQ(contents(path), "whole");
}

// The lock is another thread's then, which is missing in the child.
TEST(OutputFile, AChildWritesFilesWhereverItsParentWas) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  auto held = remove_unfinished();
  const pid_t process = fork();
  if (process == 0) {
    alarm(20);
    OutputFile file(path);
    file.write("whole");
    file.commit();
    _exit(0);
  }
  held.unlock();
  int status = -1;
  waitpid(process, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(contents(path), "whole");
}

}  // namespace
}  // namespace lazuli
