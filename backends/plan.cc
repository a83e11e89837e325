#include <fmt/format.h>
#include <lazuli/backends/plan.h>
#include <lazuli/graph/base/fail.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>
#include <numeric>
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

// The buffers placed so far. Finds those alive at the same time as a new one, in order of offset: by a tree over
// lifetimes when they are few (a long chain: thousands of buffers, a handful alive), by a scan of all placed ones when
// they are many (where walking the tree and sorting would cost more).
class PlacedBuffers {
 public:
  PlacedBuffers(std::span<const Interval> intervals, const std::vector<std::size_t>& offsets)
      : intervals_(intervals), offsets_(offsets), by_first_(intervals.size()), rank_(intervals.size()) {
    std::iota(by_first_.begin(), by_first_.end(), Index{0});
    std::stable_sort(by_first_.begin(), by_first_.end(),
                     [&](Index a, Index b) { return intervals_[a].first < intervals_[b].first; });
    for (Index rank = 0; rank < by_first_.size(); ++rank) rank_[by_first_[rank]] = rank;
    firsts_.reserve(intervals.size());
    lasts_.reserve(intervals.size());
    for (const Interval& interval : intervals) {
      firsts_.push_back(interval.first);
      lasts_.push_back(interval.last);
    }
    std::sort(firsts_.begin(), firsts_.end());
    std::sort(lasts_.begin(), lasts_.end());
    leaves_ = std::bit_ceil(std::max<std::size_t>(1, intervals.size()));
    latest_.assign(2 * leaves_, not_placed);
  }

  void add(Index buffer) {
    unsorted_.push_back(buffer);
    for (std::size_t node = leaves_ + rank_[buffer]; node != 0; node /= 2)
      latest_[node] = std::max(latest_[node], intervals_[buffer].last);
  }

  // Valid until the next call.
  std::span<const Index> alive_with(const Interval& interval) {
    // Those that begin before its end, less those that end before its beginning; placed or not.
    const std::size_t begun = std::upper_bound(firsts_.begin(), firsts_.end(), interval.last) - firsts_.begin();
    const std::size_t ended = std::lower_bound(lasts_.begin(), lasts_.end(), interval.first) - lasts_.begin();
    found_.clear();
    // One find by the tree, with its share of the sort, against one step of a scan.
    constexpr std::size_t tree_cost = 16;
    if ((begun - ended) * tree_cost < sorted_.size() + unsorted_.size())
      search_tree(interval.first, begun);
    else
      scan(interval);
    return found_;
  }

 private:
  static constexpr std::int64_t not_placed = std::numeric_limits<std::int64_t>::min();

  bool lower(Index a, Index b) const { return std::pair(offsets_[a], a) < std::pair(offsets_[b], b); }

  // Among the first `begun` ranks, those that end at `first` or later.
  void search_tree(std::int64_t first, std::size_t begun) {
    if (begun == 0) return;
    stack_.assign(1, 1);
    while (!stack_.empty()) {
      const std::size_t node = stack_.back();
      stack_.pop_back();
      if (latest_[node] < first || latest_[node] == not_placed) continue;
      const int height = std::bit_width(leaves_) - std::bit_width(node);
      const std::size_t first_rank = (node << height) - leaves_;
      if (first_rank >= begun) continue;
      if (height == 0) {
        found_.push_back(by_first_[first_rank]);
      } else {
        stack_.push_back(2 * node);
        stack_.push_back(2 * node + 1);
      }
    }
    std::sort(found_.begin(), found_.end(), [&](Index a, Index b) { return lower(a, b); });
  }

  void scan(const Interval& interval) {
    // Sorting waits until a scan needs it: the scan's own cost covers the merge.
    const auto by_offset = [&](Index a, Index b) { return lower(a, b); };
    std::sort(unsorted_.begin(), unsorted_.end(), by_offset);
    const auto middle = static_cast<std::ptrdiff_t>(sorted_.size());
    sorted_.insert(sorted_.end(), unsorted_.begin(), unsorted_.end());
    std::inplace_merge(sorted_.begin(), sorted_.begin() + middle, sorted_.end(), by_offset);
    unsorted_.clear();
    for (const Index buffer : sorted_)
      if (intervals_[buffer].first <= interval.last && intervals_[buffer].last >= interval.first)
        found_.push_back(buffer);
  }

  std::span<const Interval> intervals_;
  const std::vector<std::size_t>& offsets_;
  std::vector<Index> by_first_, rank_;        // buffers by the beginning of their life, and the inverse
  std::vector<std::int64_t> firsts_, lasts_;  // each sorted
  std::size_t leaves_ = 1;
  std::vector<std::int64_t> latest_;      // binary tree over ranks: the latest end of life among the placed
  std::vector<Index> sorted_, unsorted_;  // the placed buffers, by offset, and those not yet merged in
  std::vector<Index> found_;
  std::vector<std::size_t> stack_;
};

// `neighbours` are in order of offset.
std::size_t best_fit(const Interval& interval, std::span<const Index> neighbours, std::span<const Interval> intervals,
                     const std::vector<std::size_t>& offsets) {
  std::size_t free_from = 0, best_offset = 0, least_waste = std::numeric_limits<std::size_t>::max();
  for (const Index neighbour : neighbours) {
    const std::size_t candidate = align_up(free_from, interval.alignment);
    const std::size_t gap_end = offsets[neighbour];
    if (candidate + interval.bytes <= gap_end && gap_end - free_from - interval.bytes < least_waste) {
      least_waste = gap_end - free_from - interval.bytes;
      best_offset = candidate;
    }
    free_from = std::max(free_from, gap_end + intervals[neighbour].bytes);
  }
  const bool found = least_waste != std::numeric_limits<std::size_t>::max();
  return found ? best_offset : align_up(free_from, interval.alignment);
}

}  // namespace

Plan plan_arena(std::span<const Interval> intervals) {
  check(intervals);
  Plan plan{std::vector<std::size_t>(intervals.size(), 0), 0};
  std::vector<Index> biggest_first;
  for (Index i = 0; i < intervals.size(); ++i)
    if (intervals[i].bytes != 0) biggest_first.push_back(i);
  std::stable_sort(biggest_first.begin(), biggest_first.end(),
                   [&](Index a, Index b) { return intervals[a].bytes > intervals[b].bytes; });

  PlacedBuffers placed(intervals, plan.offsets);
  for (const Index i : biggest_first) {
    plan.offsets[i] = best_fit(intervals[i], placed.alive_with(intervals[i]), intervals, plan.offsets);
    plan.peak = std::max(plan.peak, plan.offsets[i] + intervals[i].bytes);
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
