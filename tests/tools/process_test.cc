// SPDX-License-Identifier: MIT
// The command line as a process among others: signals, closed descriptors, full devices, files that change under it.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/tests/support/tool_process.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace lazuli {
namespace {

using test::Arguments;
using test::Json;
using test::Outcome;
using test::read_whole;
namespace fs = std::filesystem;

class ProcessTest : public test::ToolTest {
 protected:
  // A model without a tokenizer's text, small enough for each test to make its own.
  std::string model() {
    const std::string file = path("model.gguf");
    if (!fs::exists(file)) {
      EXPECT_EQ(run({"synth", "--arch", "gemma3-270m", "--quant", "q8_0", "--layers", "1", "-o", file}).status, 0);
    }
    return file;
  }
  // Each command that writes a file, with the files.
  std::vector<std::pair<Arguments, std::vector<std::string>>> writers() {
    const std::string m = model();
    return {
        {{"generate", "-m", m, "--ids", "2,5", "-n", "2", "--save-cache", path("w2")}, {path("w2")}},
        {{"logits", "-m", m, "--ids", "2,5", "-o", path("w3")}, {path("w3")}},
        {{"graph", "-m", m, "-o", path("w4.json")}, {path("w4.json")}},
        {{"graph", "-m", m, "--save", path("w5"), "--weights", "by-reference"}, {path("w5")}},
        {{"profile", "-m", m, "--seconds", "0", "--html", path("w6"), "--trace", path("w7")}, {path("w6"), path("w7")}},
        {{"bench", "-m", m, "-p", "4", "-n", "0", "--reps", "1", "--warmup", "0", "--sweep", "chunk=2,4", "--plot",
          path("w8")},
         {path("w8")}},
    };
  }
  // Through a shell, with redirections.
  int shell(const Arguments& arguments, const std::string& redirections) {
    std::string line = std::string("exec ") + test::tool_program;
    for (const std::string& argument : arguments) line += " '" + argument + "'";
    const int status = std::system((line + " " + redirections).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::vector<std::string> unfinished() const {
    std::vector<std::string> left;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (entry.path().filename().string().find(".tmp.") != std::string::npos) left.push_back(entry.path());
    return left;
  }
  void wait_until(const std::function<bool()>& reached) {
    for (int i = 0; i < 1200 && !reached(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(25));
  }
};

TEST_F(ProcessTest, ClosedDescriptorsHarmNoFile) {
  for (const auto& [arguments, files] : writers()) {
    std::vector<std::size_t> sizes;
    EXPECT_EQ(shell(arguments, "</dev/null >/dev/null 2>/dev/null"), 0);
    for (const std::string& file : files) sizes.push_back(read_whole(file).size());
    for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"}) {
      SCOPED_TRACE(arguments[0] + " " + closed);
      for (const std::string& file : files) fs::remove(file);
      const std::string redirections = std::string("</dev/null >/dev/null 2>/dev/null ") + closed;
      const bool has_output = (" " + redirections).find(" >&-") == std::string::npos;
      EXPECT_EQ(shell(arguments, redirections), has_output ? 0 : 1);
      for (std::size_t i = 0; i < files.size(); ++i) {
        if (!fs::exists(files[i])) continue;
        const std::string text = read_whole(files[i]);
        EXPECT_EQ(text.find("lazuli:"), std::string::npos);
        EXPECT_EQ(text.find("memory: peak"), std::string::npos);
        EXPECT_GT(text.size(), sizes[i] / 2) << files[i];
        EXPECT_LT(text.size(), sizes[i] * 2) << files[i];
      }
    }
  }
  shell({"synth", "--arch", "gemma3-270m", "--quant", "q8_0", "--layers", "1", "-o", path("x.gguf")}, ">&- 2>&-");
  EXPECT_EQ(read_whole(path("x.gguf")), read_whole(model()));
}

TEST_F(ProcessTest, AFullDeviceIsAFailureOfEveryCommand) {
  const std::string m = model();
  std::vector<Arguments> commands = {{"--version"},
                                     {"--help"},
                                     {"generate", "--help"},
                                     {"info"},
                                     {"info", "-m", m},
                                     {"explain", "-m", m},
                                     {"perplexity", "-m", m, "--ids-file", path("ids")}};
  test::write_whole(path("ids"), "2,3,4");
  for (const auto& [arguments, files] : writers()) commands.push_back(arguments);
  commands.push_back({"synth", "--arch", "gemma3-270m", "--quant", "q8_0", "--layers", "1", "-o", path("x.gguf")});
  for (const Arguments& arguments : commands) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    const Outcome outcome = run(arguments, "", "/dev/full");
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.err, "lazuli: standard output: cannot write: No space left on device\n");
  }
  expect_error({"logits", "-m", m, "--ids", "2,5", "-o", "/dev/full"}, 1, "/dev/full: cannot write");
}

TEST_F(ProcessTest, ThreadsAreBounded) {
  const Outcome outcome = run({"info", "--json", "--threads", "4096"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err.rfind("note: 4096 threads asked for, more than the ", 0), 0u) << outcome.err;
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1);
  for (const Json& choice : Json::parse(outcome.out)["choices"])
    if (choice["name"] == "threads") {
      EXPECT_EQ(choice["value"], std::to_string(usable_cores()));
    }
  EXPECT_EQ(run({"info", "--json", "--threads", "1"}).err, "");
  expect_error({"info", "--threads", "4097"}, 2, "--threads");
}

TEST_F(ProcessTest, SignalsEndEveryCommandAndLeaveNothing) {
  const std::string m = model();
  std::string many = "2";
  for (int i = 0; i < 6000; ++i) many += ",5";
  test::write_whole(path("many"), many);
  const std::vector<Arguments> commands = {
      {"generate", "-m", m, "--ids", "2", "-n", "100000", "--ignore-eos", "--save-cache", path("cache")},
      {"logits", "-m", m, "--ids", many, "-o", path("logits")},
      {"perplexity", "-m", m, "--ids-file", path("many")},
      {"bench", "-m", m, "--reps", "100000", "--sweep", "chunk=2,4", "--plot", path("plot")},
      {"profile", "-m", m, "--seconds", "600", "--html", path("html"), "--trace", path("trace")},
      {"tune", "-m", m, "--budget", "600"},
      {"synth", "--arch", "gemma3-4b", "--quant", "bf16", "-o", path("folder")},
      {"synth", "--arch", "gemma3-4b", "--quant", "bf16", "-o", path("file.gguf")},
  };
  for (const Arguments& arguments : commands)
    for (const int number : {SIGINT, SIGTERM}) {
      SCOPED_TRACE(arguments[0]);
      const pid_t process = start(arguments);
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      kill(process, number);
      EXPECT_EQ(finish(process).status, 128 + number);
      EXPECT_EQ(unfinished(), std::vector<std::string>());
    }
}

TEST_F(ProcessTest, AModelCutShortIsNamed) {
  const std::string m = model();
  const pid_t process =
      start({"generate", "-m", m, "--ids", "2", "-n", "100000", "--ignore-eos", "--save-cache", path("c")});
  wait_until([&] { return read_whole(out_).size() > 8; });
  fs::resize_file(m, 4096);
  const Outcome outcome = finish(process);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err,
            "lazuli: " + m + ": cannot be read any more: it was cut short while it was in use, or its disk failed\n");
  EXPECT_EQ(unfinished(), std::vector<std::string>());
}

}  // namespace
}  // namespace lazuli
