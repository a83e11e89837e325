// SPDX-License-Identifier: MIT
// Where tests find the real model and the reference data.
#pragma once

#include <gtest/gtest.h>
#include <lazuli/tests/support/paths.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace lazuli::test {

// Path of gemma-3-270m-q4_k_m.gguf from the environment variable LAZULI_TEST_MODEL (scripts/fetch-model.sh prints it),
// or "" when the variable is unset or names no file.
inline std::string test_model_path() {
  const char* path = std::getenv("LAZULI_TEST_MODEL");
  std::error_code error;
  return path != nullptr && std::filesystem::is_regular_file(path, error) ? path : "";
}

inline std::string no_test_model_message() {
  const char* path = std::getenv("LAZULI_TEST_MODEL");
  const std::string found = path == nullptr ? "is not set" : "names no file: \"" + std::string(path) + '"';
  return "LAZULI_TEST_MODEL " + found + "; expected the file that scripts/fetch-model.sh fetches";
}

// A file of tests/data, such as "gemma3-270m/golden.json".
inline std::string test_data_path(const std::string& name) { return std::string(data_folder) + "/" + name; }

}  // namespace lazuli::test

// First line of a test that needs the real model: without it the test is skipped, but fails under CI, where a missing
// model must not look like success.
#define LAZULI_NEEDS_TEST_MODEL()                                                        \
  if (::lazuli::test::test_model_path().empty()) {                                       \
    if (std::getenv("CI") != nullptr) FAIL() << ::lazuli::test::no_test_model_message(); \
    GTEST_SKIP() << ::lazuli::test::no_test_model_message();                             \
  }                                                                                      \
  static_assert(true, "")
