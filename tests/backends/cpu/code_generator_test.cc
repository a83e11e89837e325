// SPDX-License-Identifier: MIT
// Where the code generator is looked for, and what is said of what is found there.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/jit/build_id.h>
#include <lazuli/backends/cpu/jit/find_generator.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/paths.h>

#include <string>
#include <string_view>

namespace lazuli::cpu::jit {
namespace {

using test::error_of;

std::string load_error(const std::vector<std::string>& folders, const std::string& name) {
  return error_of<CompileError>([&] { load_generator(folders, name); });
}

TEST(FindGenerator, OfThisBuild) {
  const CodeGenerator& generator = code_generator();
  EXPECT_STREQ(generator.build, build_id());
  EXPECT_NE(std::string_view(build_id()).find(fmt::format(" llvm {}", build_llvm_version())), std::string_view::npos);
  EXPECT_EQ(&code_generator(), &generator);
}

TEST(FindGenerator, Missing) {
  const std::string text = load_error({"/nonexistent/here", "/nonexistent/there"}, "lazuli-nowhere.so");
  EXPECT_TRUE(
      text.starts_with("code generator: expected lazuli-nowhere.so in /nonexistent/here, /nonexistent/there or "
                       "where the dynamic loader looks, found none ("))
      << text;
  EXPECT_TRUE(text.ends_with("; install lazuli's component codegen (in Debian's package liblazuli0)")) << text;
}

TEST(FindGenerator, OfAnotherBuild) {
  EXPECT_EQ(load_error({"/nonexistent", test::modules_folder}, "foreign.so"),
            fmt::format("code generator: expected build {}, found build another in {}/foreign.so", build_id(),
                        test::modules_folder));
}

TEST(FindGenerator, AModuleOfSomethingElse) {
  EXPECT_EQ(load_error({test::modules_folder}, "empty.so"),
            fmt::format("code generator: expected lazuli_codegen_1 in {}/empty.so, found no such function",
                        test::modules_folder));
}

TEST(FindGenerator, AFileThatIsNoModule) {
  const std::string text = load_error({test::build_folder}, "licence_test.cmake");
  EXPECT_TRUE(text.starts_with(
      fmt::format("code generator: expected a module in {}/licence_test.cmake, found: ", test::build_folder)))
      << text;
}

}  // namespace
}  // namespace lazuli::cpu::jit
