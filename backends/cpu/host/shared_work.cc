#include <lazuli/backends/cpu/host/shared_work.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// At most so many pieces at once: what one has taken nobody else can help with.
constexpr std::int64_t most_at_once = 8;

constexpr std::uint64_t encode(std::uint32_t step, Range left) {
  return std::uint64_t{step} << 32 | static_cast<std::uint64_t>(left.begin) << 16 |
         static_cast<std::uint64_t>(left.end);
}
constexpr std::uint32_t step_of(std::uint64_t code) { return static_cast<std::uint32_t>(code >> 32); }
constexpr Range range_of(std::uint64_t code) {
  return {static_cast<std::int64_t>(code >> 16 & 0xffff), static_cast<std::int64_t>(code & 0xffff)};
}

// Ever fewer towards the end, so that all finish at about the same time.
constexpr std::int64_t portion(Range left) {
  return std::clamp<std::int64_t>((left.end - left.begin) / 4, 1, most_at_once);
}

constexpr std::int64_t most_pieces = 65535;
constexpr std::int64_t piece_bytes = 32 * 1024;  // two microseconds at the memory's speed

}  // namespace

std::int64_t piece_of(std::int64_t units, std::int64_t bytes) {
  const std::int64_t pieces = std::clamp<std::int64_t>(bytes / piece_bytes, 1, std::min(units, most_pieces));
  return (units + pieces - 1) / pieces;
}

void SharedWork::open(int worker, std::uint32_t step, std::int64_t pieces) {
  const Range own = share(pieces, worker, static_cast<int>(shares_.size()));
  shares_[static_cast<std::size_t>(worker)].left.store(encode(step, own), std::memory_order_relaxed);
}

// Relaxed throughout: the numbers guard no memory. What steps read and write is ordered by barriers.
std::optional<Range> SharedWork::take(int worker, std::uint32_t step) {
  const std::size_t workers = shares_.size();
  for (std::size_t i = 0; i < workers; ++i) {
    std::atomic<std::uint64_t>& share = shares_[(static_cast<std::size_t>(worker) + i) % workers].left;
    std::uint64_t code = share.load(std::memory_order_relaxed);
    while (step_of(code) == step) {
      const Range left = range_of(code);
      if (left.begin == left.end) break;
      const std::int64_t count = portion(left);
      const Range taken = i == 0 ? Range{left.begin, left.begin + count} : Range{left.end - count, left.end};
      const Range rest = i == 0 ? Range{taken.end, left.end} : Range{left.begin, taken.begin};
      if (share.compare_exchange_weak(code, encode(step, rest), std::memory_order_relaxed)) return taken;
    }
  }
  return std::nullopt;
}

}  // namespace lazuli::cpu
