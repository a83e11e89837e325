// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/schedule.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// Memory a step touches: a buffer of the caller, or a range of the arena (kind arena, all in one space).
struct Region {
  std::int64_t space;  // -1: the arena; otherwise the buffer
  std::int64_t begin, end;

  bool overlaps(const Region& other) const { return space == other.space && begin < other.end && other.begin < end; }
};

Region region_of(const Lowered& program, int buffer) {
  const BufferInfo& info = program.buffers[static_cast<std::size_t>(buffer)];
  if (info.kind != BufferKind::arena) return {buffer, 0, 1};
  const auto offset = static_cast<std::int64_t>(info.arena_offset);
  return {-1, offset, offset + info.bytes};
}

bool any_overlap(const std::vector<Region>& a, const std::vector<Region>& b) {
  return std::any_of(a.begin(), a.end(), [&](const Region& x) {
    return std::any_of(b.begin(), b.end(), [&](const Region& y) { return x.overlaps(y); });
  });
}

// What has been touched since the workers last met, by worker 0 alone and by all.
struct Touched {
  std::vector<Region> read, written;

  bool conflicts(const std::vector<Region>& reads, const std::vector<Region>& writes) const {
    return any_overlap(written, reads) || any_overlap(written, writes) || any_overlap(read, writes);
  }
  void add(const std::vector<Region>& reads, const std::vector<Region>& writes) {
    read.insert(read.end(), reads.begin(), reads.end());
    written.insert(written.end(), writes.begin(), writes.end());
  }
};

}  // namespace

Arena plan_memory(Lowered& program) {
  constexpr std::int64_t unused = -1;
  std::vector<Interval> lives(program.buffers.size(), Interval{unused, unused, 0});
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    for (const std::vector<int>* list : {&program.steps[i].reads, &program.steps[i].writes})
      for (int buffer : *list) {
        Interval& life = lives[static_cast<std::size_t>(buffer)];
        if (life.first == unused) life.first = static_cast<std::int64_t>(i);
        life.last = static_cast<std::int64_t>(i);
      }
  }
  Arena arena;
  std::vector<std::size_t> planned;
  for (std::size_t buffer = 0; buffer < program.buffers.size(); ++buffer) {
    const BufferInfo& info = program.buffers[buffer];
    if (info.kind != BufferKind::arena || lives[buffer].first == unused) continue;
    lives[buffer].bytes = static_cast<std::size_t>(info.bytes);
    planned.push_back(buffer);
    arena.intervals.push_back(lives[buffer]);
    arena.names.push_back(info.name);
  }
  arena.plan = plan_arena(arena.intervals);
  for (std::size_t i = 0; i < planned.size(); ++i) program.buffers[planned[i]].arena_offset = arena.plan.offsets[i];
  return arena;
}

void place_barriers(Lowered& program) {
  Touched alone, split;
  for (Step& step : program.steps) {
    std::vector<Region> reads, writes;
    for (int buffer : step.reads) reads.push_back(region_of(program, buffer));
    for (int buffer : step.writes) writes.push_back(region_of(program, buffer));
    step.barrier = split.conflicts(reads, writes) || (step.split && alone.conflicts(reads, writes));
    if (step.barrier) alone = split = {};
    (step.split ? split : alone).add(reads, writes);
  }
}

}  // namespace lazuli::cpu
