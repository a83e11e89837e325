#include <lazuli/graph/error.h>
#include <lazuli/models/output_file.h>
#include <lazuli/models/synth/synth.h>
#include <lazuli/tools/interrupt.h>
#include <lazuli/tools/synthetic_model.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace lazuli::tool {
namespace {

void write(const synth::PlannedFile& file, const std::string& path, int threads) {
  OutputFile output(path);
  output.write_at(0, file.header.data(), file.header.size());
  synth::write_tensors(
      file, /*seed=*/1, threads,
      [&](std::uint64_t offset, std::span<const std::byte> bytes) {
        output.write_at(offset, bytes.data(), bytes.size());
      },
      [](std::int64_t) { check_interrupt(); });
  output.set_size(file.bytes);
  output.commit();
}

}  // namespace

SyntheticModel::SyntheticModel(int threads) {
  constexpr std::int64_t layers = 4;
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  if (error) fail("folder for temporary files (TMPDIR): {}", error.message());
  folder_ = (temporary / "lazuli_tune.XXXXXX").string();
  if (mkdtemp(folder_.data()) == nullptr) fail("{}: {}", folder_, std::strerror(errno));
  path_ = folder_ + "/synthetic.gguf";
  try {
    write(synth::plan_gguf(synth::shortened(synth::find_architecture("gemma3-270m"), layers),
                           synth::Quantisation::q4_0),
          path_, threads);
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
