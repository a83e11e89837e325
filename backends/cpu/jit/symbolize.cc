// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/jit/symbolize.h>
#include <llvm/DebugInfo/Symbolize/Symbolize.h>

#include <exception>
#include <mutex>

namespace lazuli::cpu::jit {
namespace {

// One thread at a time. It lives on for errors that are made at exit.
llvm::symbolize::LLVMSymbolizer& symbolizer() {
  static llvm::symbolize::LLVMSymbolizer& shared = *new llvm::symbolize::LLVMSymbolizer;
  return shared;
}

std::vector<SourceFrame> frames_at(const std::string& module, std::uint64_t offset) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  auto found = symbolizer().symbolizeInlinedCode(module, {offset});
  if (!found) {
    llvm::consumeError(found.takeError());
    return {};
  }
  std::vector<SourceFrame> frames;
  for (std::uint32_t i = 0; i < found->getNumberOfFrames(); ++i) {
    const llvm::DILineInfo& line = found->getFrame(i);
    SourceFrame frame;
    if (line.FunctionName != llvm::DILineInfo::BadString) frame.function = line.FunctionName;
    if (line.FileName != llvm::DILineInfo::BadString && line.Line != 0) frame.file = line.FileName;
    frame.line = line.Line;
    if (line.StartAddress) frame.into_function = offset - *line.StartAddress;
    frames.push_back(std::move(frame));
  }
  return frames;
}

}  // namespace

void symbolize(const std::string& module, std::uint64_t offset, std::vector<SourceFrame>& frames) noexcept {
  try {
    frames = frames_at(module, offset);
  } catch (const std::exception&) {
    frames.clear();  // the place is told without them
  }
}

}  // namespace lazuli::cpu::jit
