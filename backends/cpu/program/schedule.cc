// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/control_flow.h>
#include <lazuli/backends/cpu/program/schedule.h>

#include <algorithm>
#include <span>

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

constexpr std::int64_t unused = -1;

// When buffers are in use, in instants: one for each step, those of bodies among them. What a step with bodies touches
// itself is in use during all of theirs; what their steps alone touch is made anew in each iteration.
class Lives {
 public:
  explicit Lives(std::size_t buffers) : lives_(buffers, Interval{unused, unused, 0}) {}

  // The first instant behind the steps.
  std::int64_t add(std::span<const Step> steps, std::int64_t now) {
    for (const Step& step : steps) {
      const std::int64_t begin = now++;
      if (step.control)
        for (const Body& body : step.control->bodies) now = add(body.steps, now);
      for (const std::vector<int>* list : {&step.reads, &step.writes})
        for (int buffer : *list) use(buffer, begin, now - 1);
    }
    return now;
  }
  Interval& of(std::size_t buffer) { return lives_[buffer]; }

 private:
  void use(int buffer, std::int64_t first, std::int64_t last) {
    Interval& life = lives_[static_cast<std::size_t>(buffer)];
    life.first = life.first == unused ? first : std::min(life.first, first);
    life.last = std::max(life.last, last);
  }

  std::vector<Interval> lives_;
};

}  // namespace

Arena plan_memory(Lowered& program) {
  Arena arena;
  Lives lives(program.buffers.size());
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const auto begin = static_cast<std::int64_t>(arena.step_at.size());
    arena.step_at.resize(static_cast<std::size_t>(lives.add({&program.steps[i], 1}, begin)), i);
  }
  std::vector<std::size_t> planned;
  for (std::size_t buffer = 0; buffer < program.buffers.size(); ++buffer) {
    const BufferInfo& info = program.buffers[buffer];
    Interval& life = lives.of(buffer);
    if (info.kind != BufferKind::arena || life.first == unused) continue;
    life.bytes = static_cast<std::size_t>(info.bytes);
    planned.push_back(buffer);
    arena.intervals.push_back(life);
    arena.names.push_back(info.name);
  }
  arena.plan = plan_arena(arena.intervals);
  for (std::size_t i = 0; i < planned.size(); ++i) program.buffers[planned[i]].arena_offset = arena.plan.offsets[i];
  return arena;
}

namespace {

// Before a list of a body all workers have met, or nothing that its steps touch is in use.
void place_barriers(const Lowered& program, std::vector<Step>& steps) {
  Touched alone, split;
  for (Step& step : steps) {
    std::vector<Region> reads, writes;
    for_each_step(std::span(&step, 1), [&](const Step& part) {
      for (int buffer : part.reads) reads.push_back(region_of(program, buffer));
      for (int buffer : part.writes) writes.push_back(region_of(program, buffer));
    });
    step.barrier = split.conflicts(reads, writes) || (step.split && alone.conflicts(reads, writes));
    if (step.barrier) alone = split = {};
    (step.split ? split : alone).add(reads, writes);
    if (!step.control) continue;
    for (Body& body : step.control->bodies) place_barriers(program, body.steps);
  }
}

}  // namespace

void place_barriers(Lowered& program) { place_barriers(program, program.steps); }

}  // namespace lazuli::cpu
