// SPDX-License-Identifier: MIT
// Where the tests' files and the program under test lie. One source knows: paths of this build are in no other object.
#pragma once

namespace lazuli::test {

extern const char* const data_folder;   // tests/data
extern const char* const rules_folder;  // tests/passes/rules
extern const char* const build_folder;  // tests/build
extern const char* const cmake_program;
extern const char* const tool_program;    // the command line
extern const char* const modules_folder;  // modules that are not the code generator of this build

}  // namespace lazuli::test
