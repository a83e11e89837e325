// SPDX-License-Identifier: MIT
// The file by which perf knows generated code: FOLDER/jit-PID.dump, in the format of Linux's
// tools/perf/Documentation/jitdump-specification.txt, version 1.
//   JITDUMPDIR=/tmp perf record -k mono PROGRAM; perf inject -j -i perf.data -o jitted.data; perf report -i jitted.data
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lazuli::cpu::jit {

// One thread at a time. A file that cannot be made or written is left alone.
class PerfDump {
 public:
  // Null: nothing is written.
  explicit PerfDump(const char* folder);
  ~PerfDump();
  PerfDump(const PerfDump&) = delete;
  PerfDump& operator=(const PerfDump&) = delete;

  void add(const std::string& symbol, std::span<const std::byte> code);

 private:
  void end();

  int file_ = -1;
  void* mark_ = nullptr;  // a mapping of the file, by which perf finds it in the list of what the process maps
  std::uint64_t index_ = 0;
};

}  // namespace lazuli::cpu::jit
