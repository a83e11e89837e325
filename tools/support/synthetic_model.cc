// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/synth/synth.h>
#include <lazuli/tools/support/interrupt.h>
#include <lazuli/tools/support/synthetic_model.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace lazuli::tool {
SyntheticModel::SyntheticModel(int threads) {
  constexpr std::int64_t layers = 4;
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  if (error) fail("folder for temporary files (TMPDIR): {}", error.message());
  folder_ = (temporary / "lazuli_tune.XXXXXX").string();
  if (mkdtemp(folder_.data()) == nullptr) fail("{}: {}", folder_, std::strerror(errno));
  path_ = folder_ + "/synthetic.gguf";
  try {
    const synth::PlannedFile file =
        synth::plan_gguf(synth::shortened(synth::find_architecture("gemma3-270m"), layers), synth::Quantisation::q4_0);
    synth::write_file(file, path_, /*seed=*/1, threads, [](std::int64_t) { check_interrupt(); });
  } catch (...) {
    std::filesystem::remove_all(folder_, error);
    throw;
  }
}

SyntheticModel::~SyntheticModel() {
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
}

}  // namespace lazuli::tool
