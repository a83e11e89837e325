// SPDX-License-Identifier: MIT
// What an operator is told of a session: its log, and the programs it keeps.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/environment_variable.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lazuli {
namespace {

// Keeps what is logged, "info: kernel ...".
class Log {
 public:
  LogSink sink() {
    return [this](LogLevel level, std::string_view text) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(std::string(to_string(level)) + ": " + std::string(text));
    };
  }
  std::ptrdiff_t count(const std::string& begin, const std::string& part = {}) const {
    const std::lock_guard lock(mutex_);
    return std::count_if(lines_.begin(), lines_.end(), [&](const std::string& line) {
      return line.starts_with(begin) && line.find(part) != line.npos && line.find('\n') == line.npos;
    });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

SessionOptions logged(Log& log) {
  SessionOptions options;
  options.disk_cache = false;
  options.on_log = log.sink();
  return options;
}

Array constant_of(std::int64_t rows, std::string label) {
  const Type type{DType::f32, {rows, 64}};
  BufferRef data = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  std::fill_n(data->as<float>(), type.elements(), 1.0f);
  return Array::constant(std::move(data), type, std::move(label));
}

TEST(Log, TellsOfWhatWasMade) {
  Log log;
  Session session(logged(log));
  const Array x = full({2, 64}, 1) + 0.0;
  session.eval(tanh(linear(x, constant_of(32, "head"))));
  EXPECT_GE(log.count("info: kernel ", ": compiled in "), 1);
  EXPECT_EQ(log.count("info: weight head f32[32,64]: laid out in ", " bytes"), 1);
  EXPECT_EQ(log.count("info: program any(", ": compiled in "), 1);
  EXPECT_EQ(log.count("warning"), 0);
}

TEST(Log, TellsOfProgramsThatHadToGo) {
  Log log;
  SessionOptions options = logged(log);
  options.memory_limit = 50'000;
  Session session(options);
  for (std::int64_t size = 1; size <= 20; ++size) session.eval(sum(full({size}, 2) + 1.0, {0}));
  EXPECT_GE(log.count("info: program any(", "evicted after 1 runs"), 10);
}

TEST(Log, TellsOfNumbersThatKeepChanging) {
  Log log;
  Session session(logged(log));
  const Array x = full({2, 64}, 2) + 0.0, w = constant_of(1, "w");
  session.eval(x);
  // The product of a weight and a number is folded for a few values.
  for (int i = 0; i < 10; ++i) session.eval(x + w * (0.5 + i));
  EXPECT_EQ(log.count("info: program any(", "for numbers that may change, as 4 others serve some values alone"), 1);
}

TEST(Log, SaysWhyNothingIsKeptOnDisk) {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "lazuli_log_test";
  std::ofstream(file).put('x');
  const test::EnvironmentVariable cache("LAZULI_CACHE", nullptr), folder("XDG_CACHE_HOME", file.c_str());
  Log log;
  SessionOptions options = logged(log);
  options.disk_cache = true;
  const Session session(options);
  EXPECT_EQ(log.count("warning: packed weights are not kept on disk: " + file.string(), "Not a directory"), 1);
  EXPECT_GE(log.count("warning: kernels are not kept on disk: "), 1);
  std::filesystem::remove(file);
}

TEST(Log, WhatTheSinkThrowsIsDropped) {
  SessionOptions options;
  options.disk_cache = false;
  int messages = 0;
  options.on_log = [&](LogLevel, std::string_view) {
    ++messages;
    throw std::runtime_error("disk full");
  };
  Session session(options);
  EXPECT_EQ((full({5}, 2) + 1.0).data<float>()[4], 3);
  EXPECT_GE(messages, 1);
}

TEST(Log, MessagesComeOneAtATime) {
  int inside = 0, messages = 0;  // plain: a race would be seen
  SessionOptions options;
  options.disk_cache = false;
  options.on_log = [&](LogLevel, std::string_view) {
    EXPECT_EQ(++inside, 1);
    ++messages;
    --inside;
  };
  Session session(options);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] { session.eval(full({8 + thread}, 2) * full({8 + thread}, 3)); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(messages, 4);
}

TEST(Programs, SayWhatTheyAreAndTake) {
  Session session;
  CompileOptions decode;
  decode.phase = Phase::decode;
  const Array weight = constant_of(32, "w");
  const CompiledFunction step =
      compile([&](const std::vector<Array>& x) { return std::vector{tanh(linear(x[0], weight)) + x[1]}; }, decode);
  const Array x = full({2, 64}, 1) + 0.0, y = full({2, 32}, 1) + 0.0;
  session.eval({x, y});
  for (int run = 0; run < 3; ++run) session.call(step, {x, y});
  const std::vector<ProgramStatistics> programs = session.programs();
  ASSERT_EQ(static_cast<std::int64_t>(programs.size()), session.statistics().programs);
  const ProgramStatistics& last = programs.front();
  EXPECT_EQ(last.name, "decode(f32[2,64], f32[2,32])");
  EXPECT_EQ(last.phase, Phase::decode);
  EXPECT_EQ(last.runs, 3);
  EXPECT_GT(last.bytes, 0);
  EXPECT_LE(last.bytes, session.statistics().program_bytes);
  EXPECT_EQ(last.weight_bytes, 32 * 64 * 4);
  EXPECT_GE(last.kernels, 1);
  EXPECT_GE(last.arena_bytes, 0);
  EXPECT_GT(last.compile_seconds, 0);
}

TEST(Programs, ComeInTheOrderOfTheirLastUse) {
  Session session;
  const auto program_of = [](std::int64_t size) {
    const Array x = Array::from(std::vector<float>(static_cast<std::size_t>(size), 1.0f), {size});
    return x + x;
  };
  const auto first = [&] { return session.programs().front().name; };
  session.eval(program_of(3));
  session.eval(program_of(4));
  EXPECT_EQ(first(), "any(f32[4])");
  session.eval(program_of(3));
  EXPECT_EQ(first(), "any(f32[3])");
  EXPECT_EQ(session.programs().front().runs, 2);
  const CompiledFunction twice = compile([](const std::vector<Array>& x) { return std::vector{x[0] * x[0]}; });
  const Array x = Array::from(std::vector<float>(5, 2.0f), {5});
  session.call(twice, {x});
  session.eval(program_of(4));
  session.call(twice, {x});  // looks nothing up, and counts all the same
  EXPECT_EQ(first(), "any(f32[5])");
  session.clear();
  EXPECT_TRUE(session.programs().empty());
}

TEST(Programs, NameTheFirstInputsAlone) {
  Session session;
  std::vector<Array> parts;
  for (int i = 0; i < 6; ++i) parts.push_back(Array::from({1.0f}, {1}));
  session.eval(concatenate(parts, 0));
  EXPECT_EQ(session.programs().front().name, "any(f32[1], f32[1], f32[1], f32[1], 2 more)");
}

}  // namespace
}  // namespace lazuli
