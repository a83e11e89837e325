// SPDX-License-Identifier: MIT
#include <lazuli/tests/support/paths.h>

namespace lazuli::test {

constinit const char* const data_folder = LAZULI_TEST_DATA;
constinit const char* const rules_folder = LAZULI_TEST_RULES;
constinit const char* const build_folder = LAZULI_TEST_BUILD;
constinit const char* const cmake_program = LAZULI_CMAKE;
constinit const char* const tool_program = LAZULI_TOOL;
constinit const char* const modules_folder = LAZULI_TEST_MODULES;

}  // namespace lazuli::test
