// SPDX-License-Identifier: MIT
// Every test has a deadline, a cache folder of its own, and says what was tried when a fault ends the process.
#include <execinfo.h>
#include <gtest/gtest.h>
#include <lazuli/tests/faults/json_code.h>
#include <lazuli/tests/faults/points.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>

namespace {

void say(const char* text) { static_cast<void>(!write(STDERR_FILENO, text, std::char_traits<char>::length(text))); }

void say_where() {
  say(lazuli::test::current_point());
  say("\n");
  void* stack[64];
  backtrace_symbols_fd(stack, backtrace(stack, 64), STDERR_FILENO);
}

void on_alarm(int) {
  say("faults: a wait without end: ");
  say_where();
  _exit(3);
}

[[noreturn]] void on_terminate() {
  say("faults: the process was to end: ");
  say_where();
  _exit(4);
}

class EachTest final : public testing::EmptyTestEventListener {
 public:
  void OnTestStart(const testing::TestInfo& test) override {
    std::string pattern = (std::filesystem::temp_directory_path() / "lazuli_faults.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    folder_ = pattern;
    setenv("XDG_CACHE_HOME", folder_.c_str(), 1);
    unsetenv("LAZULI_CACHE");
    lazuli::test::set_current_point(test.name(), 0);
  }
  void OnTestEnd(const testing::TestInfo&) override {
    alarm(0);
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }

 private:
  std::string folder_;
};

}  // namespace

int main(int argc, char** argv) {
  void* stack[2];
  backtrace(stack, 2);  // loads what it needs
  lazuli::test::called_from_json();
  std::set_terminate(on_terminate);
  std::signal(SIGALRM, on_alarm);
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new EachTest);
  return RUN_ALL_TESTS();
}
