// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/work_stealing.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// At most so many grains at once: with what a worker has taken no other can help.
constexpr std::int64_t max_at_once = 8;

constexpr std::uint64_t encode(std::uint32_t step, Range left) {
  return std::uint64_t{step} << 32 | static_cast<std::uint64_t>(left.begin) << 16 |
         static_cast<std::uint64_t>(left.end);
}
constexpr std::uint32_t step_of(std::uint64_t code) { return static_cast<std::uint32_t>(code >> 32); }
constexpr Range range_of(std::uint64_t code) {
  return {static_cast<std::int64_t>(code >> 16 & 0xffff), static_cast<std::int64_t>(code & 0xffff)};
}

// Ever fewer towards the end, so that all finish at about the same time.
constexpr std::int64_t grains_to_take(Range left) {
  return std::clamp<std::int64_t>((left.end - left.begin) / 4, 1, max_at_once);
}

constexpr std::int64_t grain_bytes = 32 * 1024;  // two microseconds at the memory's speed

}  // namespace

std::int64_t grain_of(std::int64_t units, std::int64_t bytes) {
  const std::int64_t grains = std::clamp<std::int64_t>(bytes / grain_bytes, 1, std::min(units, max_grains));
  return (units + grains - 1) / grains;
}

void WorkStealing::open(int worker, std::uint32_t step, std::int64_t grains) {
  const Range own = share(grains, worker, static_cast<int>(shares_.size()));
  shares_[static_cast<std::size_t>(worker)].left.store(encode(step, own), std::memory_order_relaxed);
}

// Relaxed throughout: the numbers guard no memory. What steps read and write is ordered by barriers.
std::optional<Range> WorkStealing::take(int worker, std::uint32_t step) {
  const std::size_t workers = shares_.size();
  for (std::size_t i = 0; i < workers; ++i) {
    std::atomic<std::uint64_t>& share = shares_[(static_cast<std::size_t>(worker) + i) % workers].left;
    std::uint64_t code = share.load(std::memory_order_relaxed);
    while (step_of(code) == step) {
      const Range left = range_of(code);
      if (left.begin == left.end) break;
      const std::int64_t count = grains_to_take(left);
      const Range taken = i == 0 ? Range{left.begin, left.begin + count} : Range{left.end - count, left.end};
      const Range rest = i == 0 ? Range{taken.end, left.end} : Range{left.begin, taken.begin};
      if (share.compare_exchange_weak(code, encode(step, rest), std::memory_order_relaxed)) return taken;
    }
  }
  return std::nullopt;
}

}  // namespace lazuli::cpu
