// SPDX-License-Identifier: MIT
// Keys and values of a text in a file, read into the runner of a small model. What was read is written and read again,
// and is the same; a file that is refused leaves the runner as it was. The first byte chooses the type of the caches.
#include <lazuli/graph/files/output_file.h>
#include <lazuli/models/generation/cache_file.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/memory_folder.h>
#include <lazuli/tests/fuzz/small_model.h>

#include <iterator>

namespace lazuli::fuzz {
namespace {

constexpr DType kv_dtypes[] = {DType::f32, DType::f16, DType::q8_0};

void check_written_again(const Runner& runner, const CachedText& text, const std::string& path, DType dtype) {
  static const SmallModel model;
  OutputFile file(path);
  write_cache(file, runner, text);
  Runner second(model, {.kv_dtype = dtype});
  const CachedText again = read_cache(path, second);
  require(again.ids == text.ids && again.generated.begin == text.generated.begin &&
              again.generated.end == text.generated.end && second.length() == runner.length(),
          "saved caches come back");
}

}  // namespace
}  // namespace lazuli::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  static const fuzz::MemoryFolder folder;
  static const fuzz::SmallModel model;
  if (size == 0) return 0;
  const DType dtype = fuzz::kv_dtypes[data[0] % std::size(fuzz::kv_dtypes)];
  const std::string path = folder.write("caches", fuzz::text_of(data + 1, size - 1));
  Runner runner(model, {.kv_dtype = dtype});
  CachedText text;
  if (fuzz::accepted([&] { text = read_cache(path, runner); })) {
    fuzz::check_written_again(runner, text, folder.file("again"), dtype);
    for (const Runner::CacheView& view : runner.cache_views())
      fuzz::read_all({view.rows.bytes(), static_cast<std::size_t>(view.rows.type().bytes())});
  } else {
    fuzz::require(runner.length() == 0 && runner.cache_views().empty(), "a refused file leaves the runner as it was");
  }
  return 0;
}
