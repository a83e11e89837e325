// SPDX-License-Identifier: MIT
// Where faults are put: which points of how many, and what must hold after each.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lazuli::test {

// LAZULI_FAULTS=exhaustive: every point. Otherwise LAZULI_FAULTS_ROUND=N takes the N-th of the samples that together
// are all.
bool is_exhaustive();

// At most `budget` of them, a stride apart, or all.
std::vector<std::int64_t> sampled(const std::vector<std::int64_t>& points, std::int64_t budget);
std::vector<std::int64_t> up_to(std::int64_t last);  // 1, 2, ..., last

// For the report of a process that dies: "generate: allocation 17 of 4021, once".
void set_current_point(const std::string& what, std::int64_t point);
const char* current_point();

// Prints "what: 120 of 4021 points tried", and keeps it with the test's result.
void report_points(const std::string& what, std::int64_t tried, std::int64_t of);

// What `call` does while the fault is there: "" where it succeeds, else the text of its error, until the next call.
// Anything but std::bad_alloc or an Error of one line is a failure of the test.
const char* error_under_fault(const std::function<void()>& call);

// What a process may leave behind: open files, and files in folders.
class Left {
 public:
  explicit Left(std::vector<std::string> folders);
  // A failure of the test for whatever is more than there was, but for entries of caches.
  void expect_as_before() const;

 private:
  std::vector<std::string> names() const;

  std::vector<std::string> folders_, before_;
  std::int64_t open_files_;
};

}  // namespace lazuli::test
