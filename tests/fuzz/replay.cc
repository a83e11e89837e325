// SPDX-License-Identifier: MIT
// Gives stored inputs to a fuzzer, without libFuzzer: what any compiler builds and every run of the tests does.
//   lazuli_fuzz_inputs FUZZER FOLDER...       each file below the folders; one that is missing holds none
// A broken property, or an exception that is no Error, ends the program; the name of the input stands on standard
// error.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#define LAZULI_FUZZER(name) extern "C" int fuzz_##name(const std::uint8_t* data, std::size_t size);
#include <lazuli/tests/fuzz/targets.def>
#undef LAZULI_FUZZER

namespace {

namespace fs = std::filesystem;

struct Fuzzer {
  const char* name;
  int (*run)(const std::uint8_t*, std::size_t);
};

constexpr Fuzzer fuzzers[] = {
#define LAZULI_FUZZER(name) {#name, fuzz_##name},
#include <lazuli/tests/fuzz/targets.def>
#undef LAZULI_FUZZER
};

// Inputs are small: what asks for more than this was led to by a number in one.
constexpr long most_kilobytes = 512 * 1024;

std::string current;  // the input that is being read

void name_input(int signal) {
  const auto write_text = [](const char* text, std::size_t size) {
    if (write(STDERR_FILENO, text, size) < 0) _exit(1);
  };
  constexpr char before[] = "the input is ";
  write_text(before, sizeof before - 1);
  write_text(current.data(), current.size());
  write_text("\n", 1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

std::vector<std::uint8_t> bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

long peak_kilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

int replay(const Fuzzer& fuzzer, const std::vector<fs::path>& files) {
  for (const fs::path& path : files) {
    current = path.string();
    const long before = peak_kilobytes();
    const std::vector<std::uint8_t> bytes = bytes_of(path);
    fuzzer.run(bytes.data(), bytes.size());
    if (peak_kilobytes() - before > most_kilobytes) {
      std::fprintf(stderr, "%s: %ld MB of memory\n", current.c_str(), (peak_kilobytes() - before) / 1024);
      return 1;
    }
  }
  std::printf("%s: %zu inputs\n", fuzzer.name, files.size());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const auto* fuzzer = std::ranges::find_if(
      fuzzers, [&](const Fuzzer& known) { return count > 1 && std::strcmp(known.name, arguments[1]) == 0; });
  if (fuzzer == std::end(fuzzers)) {
    std::fprintf(stderr, "usage: lazuli_fuzz_inputs FUZZER FOLDER...\n");
    return 2;
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, name_input);
  std::vector<fs::path> files;
  for (int i = 2; i < count; ++i) std::ranges::copy(files_in(arguments[i]), std::back_inserter(files));
  // A folder that was moved must not look like success.
  if (files.empty()) {
    std::fprintf(stderr, "%s: found no inputs\n", fuzzer->name);
    return 1;
  }
  return replay(*fuzzer, files);
}
