// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/plan.h>
#include <lazuli/graph/base/fail.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <set>
#include <utility>

namespace lazuli {
namespace {

using Index = std::uint32_t;

std::size_t align_up(std::size_t offset, std::size_t alignment) { return (offset + alignment - 1) & ~(alignment - 1); }

void check(std::span<const Interval> intervals) {
  if (intervals.size() >= std::numeric_limits<Index>::max())
    fail_internal("plan_arena: {} buffers are too many", intervals.size());
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    const Interval& interval = intervals[i];
    if (interval.first > interval.last)
      fail_internal("plan_arena: buffer {} lives from {} to {}", i, interval.first, interval.last);
    if (!std::has_single_bit(interval.alignment))
      fail_internal("plan_arena: buffer {} has alignment {}, expected a power of two", i, interval.alignment);
  }
}

// `neighbours` are in order of offset.
std::size_t best_fit(const Interval& interval, std::span<const Index> neighbours, std::span<const Interval> intervals,
                     const std::vector<std::size_t>& offsets) {
  std::size_t free_from = 0, best_offset = 0, min_waste = std::numeric_limits<std::size_t>::max();
  for (const Index neighbour : neighbours) {
    const std::size_t candidate = align_up(free_from, interval.alignment);
    const std::size_t gap_end = offsets[neighbour];
    if (candidate + interval.bytes <= gap_end && gap_end - free_from - interval.bytes < min_waste) {
      min_waste = gap_end - free_from - interval.bytes;
      best_offset = candidate;
    }
    free_from = std::max(free_from, gap_end + intervals[neighbour].bytes);
  }
  const bool found = min_waste != std::numeric_limits<std::size_t>::max();
  return found ? best_offset : align_up(free_from, interval.alignment);
}

// Buffers by their lifetimes: finds those alive at the same time as another one in time that grows with their number
// and not with that of all.
class Lifetimes {
 public:
  explicit Lifetimes(std::span<const Interval> intervals) : intervals_(intervals) {
    for (const Interval& interval : intervals) begins_.push_back(interval.first);
    std::sort(begins_.begin(), begins_.end());
    begins_.erase(std::unique(begins_.begin(), begins_.end()), begins_.end());
    alive_.resize(2 * begins_.size());
  }

  void add(Index i) {
    begun_.emplace(intervals_[i].first, i);
    std::size_t from = begins_.size() + rank(intervals_[i].first), to = begins_.size() + rank(intervals_[i].last + 1);
    for (; from < to; from /= 2, to /= 2) {
      if (from % 2 == 1) alive_[from++].push_back(i);
      if (to % 2 == 1) alive_[--to].push_back(i);
    }
  }

  // Those alive when it begins, and those that begin during its life; in no order.
  void find(const Interval& interval, std::vector<Index>& found) const {
    for (std::size_t node = begins_.size() + rank(interval.first); node > 0; node /= 2)
      found.insert(found.end(), alive_[node].begin(), alive_[node].end());
    for (auto next = begun_.lower_bound({interval.first + 1, 0}); next != begun_.end() && next->first <= interval.last;
         ++next)
      found.push_back(next->second);
  }

 private:
  std::size_t rank(std::int64_t instruction) const {
    return static_cast<std::size_t>(std::lower_bound(begins_.begin(), begins_.end(), instruction) - begins_.begin());
  }

  std::span<const Interval> intervals_;
  std::vector<std::int64_t> begins_;                // each once, ascending
  std::vector<std::vector<Index>> alive_;           // a segment tree over them
  std::set<std::pair<std::int64_t, Index>> begun_;  // in the order in which they begin
};

// Buffers that have an offset. Up to some thousand it is fastest to look at each of them, in order of offset.
class Placed {
 public:
  Placed(std::span<const Interval> intervals, const std::vector<std::size_t>& offsets)
      : intervals_(intervals), offsets_(offsets) {
    if (intervals.size() > 4096) lifetimes_.emplace(intervals);
  }

  void add(Index i) {
    if (lifetimes_) return lifetimes_->add(i);
    const auto place = std::ranges::upper_bound(ordered_, i, [this](Index a, Index b) { return lower(a, b); });
    ordered_.insert(place, i);
  }

  // In order of offset. Until the next call.
  std::span<const Index> alive_with(const Interval& interval) {
    alive_.clear();
    if (lifetimes_) {
      lifetimes_->find(interval, alive_);
      std::ranges::sort(alive_, [this](Index a, Index b) { return lower(a, b); });
    } else {
      for (const Index other : ordered_)
        if (intervals_[other].first <= interval.last && intervals_[other].last >= interval.first)
          alive_.push_back(other);
    }
    return alive_;
  }

 private:
  bool lower(Index a, Index b) const { return std::pair(offsets_[a], a) < std::pair(offsets_[b], b); }

  std::span<const Interval> intervals_;
  const std::vector<std::size_t>& offsets_;
  std::optional<Lifetimes> lifetimes_;
  std::vector<Index> ordered_, alive_;
};

}  // namespace

// 0.3 ms for the 460 buffers of the longest decode step, 3 s for a million.
Plan plan_arena(std::span<const Interval> intervals) {
  check(intervals);
  Plan plan{std::vector<std::size_t>(intervals.size(), 0), 0};
  std::vector<Index> biggest_first;
  for (Index i = 0; i < intervals.size(); ++i)
    if (intervals[i].bytes != 0) biggest_first.push_back(i);
  std::stable_sort(biggest_first.begin(), biggest_first.end(),
                   [&](Index a, Index b) { return intervals[a].bytes > intervals[b].bytes; });

  Placed placed(intervals, plan.offsets);
  for (const Index i : biggest_first) {
    const Interval& interval = intervals[i];
    plan.offsets[i] = best_fit(interval, placed.alive_with(interval), intervals, plan.offsets);
    plan.peak = std::max(plan.peak, plan.offsets[i] + interval.bytes);
    placed.add(i);
  }
  return plan;
}

std::size_t max_live_bytes(std::span<const Interval> intervals) {
  std::vector<std::pair<std::int64_t, std::size_t>> begins, ends;
  for (const Interval& interval : intervals) {
    begins.emplace_back(interval.first, interval.bytes);
    ends.emplace_back(interval.last, interval.bytes);
  }
  std::sort(begins.begin(), begins.end());
  std::sort(ends.begin(), ends.end());
  std::size_t live = 0, most = 0;
  auto end = ends.begin();
  for (const auto& [first, bytes] : begins) {
    for (; end->first < first; ++end) live -= end->second;
    live += bytes;
    most = std::max(most, live);
  }
  return most;
}

std::string describe(const Plan& plan, std::span<const Interval> intervals, std::span<const std::string> names) {
  if (plan.offsets.size() != intervals.size() || (!names.empty() && names.size() != intervals.size()))
    fail_internal("describe: {} offsets and {} names for {} buffers", plan.offsets.size(), names.size(),
                  intervals.size());
  std::size_t naive = 0;
  for (const Interval& interval : intervals) naive += interval.bytes;
  std::string text = fmt::format("arena: peak {} bytes, at least {}, without sharing {}, {} buffers\n", plan.peak,
                                 max_live_bytes(intervals), naive, intervals.size());
  if (intervals.empty()) return text;
  text += fmt::format("{:>12} {:>12} {:>8} {:>8}  {}\n", "offset", "bytes", "first", "last", "buffer");
  for (std::size_t i = 0; i < intervals.size(); ++i)
    text += fmt::format("{:>12} {:>12} {:>8} {:>8}  {}\n", plan.offsets[i], intervals[i].bytes, intervals[i].first,
                        intervals[i].last, names.empty() ? fmt::format("{}", i) : names[i]);
  return text;
}

}  // namespace lazuli
