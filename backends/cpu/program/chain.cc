// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/backends/cpu/program/chain.h>
#include <lazuli/backends/cpu/program/chain_parts.h>
#include <lazuli/backends/cpu/program/stopwatch.h>
#include <lazuli/graph/base/round_up.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>
#include <numeric>

namespace lazuli::cpu {
namespace {

bool contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}
void add_once(std::vector<int>& list, int value) {
  if (!contains(list, value)) list.push_back(value);
}

std::int64_t common_granule(const std::vector<ChainMember>& members) {
  std::int64_t granule = 1;
  for (const ChainMember& member : members) granule = std::lcm(granule, member.division.granule);
  return granule;
}

// What the chain touches, as one step: operands from outside, then what others read, then memory of its own.
void join_operands(const std::vector<ChainMember>& members, const std::vector<int>& inner,
                   std::span<const BufferInfo> buffers, Step& chain) {
  std::vector<int> scratch;
  const auto count = [&](int buffer) {
    if (contains(inner, buffer)) chain.bytes -= buffers[static_cast<std::size_t>(buffer)].bytes;
  };
  for (const auto& [step, division] : members) {
    chain.bytes += step.bytes;
    chain.weight_bytes += step.weight_bytes;
    chain.operations += step.operations;
    for (const KernelUse& kernel : step.kernels) add_kernel(chain.kernels, kernel);
    if (step.kind < chain.kind) {
      chain.kind = step.kind;
      chain.arithmetic = step.arithmetic;
    }
    for (int buffer : step.reads) {
      if (!contains(chain.writes, buffer) && !contains(scratch, buffer)) add_once(chain.reads, buffer);
      count(buffer);
    }
    for (std::size_t i = 0; i < step.writes.size(); ++i) {
      const bool is_result = i < step.results;
      add_once(is_result && !contains(inner, step.writes[i]) ? chain.writes : scratch, step.writes[i]);
      if (is_result) count(step.writes[i]);
    }
  }
  chain.results = chain.writes.size();
  for (int buffer : scratch) add_once(chain.writes, buffer);
}

// Runs the members on one tile after the other.
class ChainRun {
 public:
  struct Member {
    Run run;
    int first_part;  // among Step::parts
    bool is_chain;   // which tells its parts itself
  };

  ChainRun(std::vector<Member> members, std::vector<TileLocal> locals, const Extent& extent, std::int64_t granule,
           std::int64_t tile)
      : members_(std::move(members)), locals_(std::move(locals)), extent_(extent), granule_(granule), tile_(tile) {}

  // Units are granules.
  void operator()(Memory& memory, std::int64_t begin, std::int64_t end, int worker) const {
    const std::int64_t stop = std::min(memory.now(extent_), end * granule_);
    Stopwatch* const watch = memory.stopwatch();
    for (std::int64_t first = begin * granule_; first < stop; first += tile_) {
      const std::int64_t last = std::min(stop, first + tile_);
      move_locals(memory, first, worker, 1);
      for (const Member& member : members_) {
        if (watch)
          run_timed(member, memory, first, last, worker, *watch);
        else
          member.run(memory, first, last, worker);
      }
      move_locals(memory, first, worker, -1);
    }
  }

 private:
  static void run_timed(const Member& member, Memory& memory, std::int64_t first, std::int64_t last, int worker,
                        Stopwatch& watch) {
    watch.move_parts(member.first_part);
    member.run(memory, first, last, worker);
    if (!member.is_chain) watch.lap_part(0);
    watch.move_parts(-member.first_part);
  }

  void move_locals(Memory& memory, std::int64_t first, int worker, std::int64_t sign) const {
    for (const TileLocal& local : locals_)
      memory.set_base(local.buffer,
                      memory.base(local.buffer) + sign * (worker * local.bytes - first * local.position_bytes));
  }

  std::vector<Member> members_;
  std::vector<TileLocal> locals_;
  Extent extent_;
  std::int64_t granule_, tile_;
};

}  // namespace

std::string chain_name(const std::vector<ChainMember>& members, const std::string& otherwise) {
  constexpr std::size_t max_names = 3;
  std::vector<std::string_view> names;
  for (const auto& [step, division] : members) {
    const std::string_view name = step.described.name();
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names.size() <= max_names ? fmt::format("{}", fmt::join(names, "_")) : otherwise;
}

Step make_chain(std::vector<ChainMember> members, ChainShape shape, std::span<const BufferInfo> buffers,
                std::string name) {
  const std::int64_t granule = common_granule(members), extent = members[0].division.extent;
  Step chain;
  chain.described.op = Op::fused;
  chain.described.attrs = FusedAttrs{std::move(name)};
  chain.described.scope = members[0].step.described.scope;
  for (const auto& [step, division] : members) {
    chain.described.scope = common_scope(chain.described.scope, step.described.scope);
    chain.described.from = merge_sources(chain.described.from, step.described.from);
  }
  for (const TileLocal& local : shape.locals) shape.inner.push_back(local.buffer);
  join_operands(members, shape.inner, buffers, chain);
  chain.units = (extent + granule - 1) / granule;
  chain.units_at_once = round_up(shape.tile, granule) / granule;
  chain.split = shape.split && chain.units > 1;
  const Extent positions{extent, shape.dimension, shape.bound};
  if (shape.dimension >= 0) {
    chain.dimension = shape.dimension;
    chain.bound = shape.bound;
    chain.units_now = [=](const Memory& memory) { return (memory.now(positions) + granule - 1) / granule; };
  }
  chain.parts = parts_of(members, shape.inner, buffers);
  chain.skipped = skipped_by(chain.parts);
  std::vector<ChainRun::Member> runs;
  runs.reserve(members.size());
  int part = 0;
  for (ChainMember& member : members) {
    const auto own_parts = static_cast<int>(member.step.parts.size());
    runs.push_back({std::move(member.division.run), part, own_parts > 0});
    part += std::max(own_parts, 1);
  }
  chain.run = ChainRun(std::move(runs), std::move(shape.locals), positions, granule, round_up(shape.tile, granule));
  return chain;
}

namespace {

// Finds runs of neighbours that can be chains.
class RowChains {
 public:
  RowChains(Lowered& program, int workers, const VerdictSink& verdicts)
      : program_(program), workers_(workers), verdicts_(verdicts), readers_(program.buffers.size(), 0) {
    for (const Step& step : program.steps)
      for (int buffer : step.reads) ++readers_[static_cast<std::size_t>(buffer)];
  }

  void run() {
    std::vector<Step> joined;
    std::vector<Step>& steps = program_.steps;
    for (std::size_t first = 0; first < steps.size();) {
      const std::size_t alone = end_of_serial(first);
      why_ended_.clear();
      Divisions divisions = divide(first);
      note(first, std::max(alone - first, divisions.size()));
      if (std::max(alone - first, divisions.size()) < 2) {
        joined.push_back(std::move(steps[first++]));
        continue;
      }
      const bool serial = alone - first >= divisions.size();
      const std::size_t count = serial ? alone - first : divisions.size();
      std::vector<ChainMember> members;
      for (std::size_t i = 0; i < count; ++i) {
        Step& step = steps[first + i];
        Division division = serial ? whole(step) : std::move(divisions[i]);
        members.push_back({std::move(step), std::move(division)});
      }
      joined.push_back(join(std::move(members), !serial));
      first += count;
    }
    steps = std::move(joined);
  }

 private:
  using Divisions = std::vector<Division>;

  // Rows of one tile: enough to make calls cheap, few enough to stay in the cache.
  static constexpr std::int64_t tile_rows = 16;

  std::size_t end_of_serial(std::size_t first) const {
    std::size_t end = first;
    while (end < program_.steps.size() && !program_.steps[end].split && !program_.steps[end].control) ++end;
    return end;
  }

  static Division whole(const Step& step) {
    return {1,
            1,
            {},
            [run = step.run, units = step.units, units_now = step.units_now](Memory& memory, std::int64_t, std::int64_t,
                                                                             int worker) {
              run(memory, 0, units_now ? units_now(memory) : units, worker);
            }};
  }

  // Steps [first, first + count) are one launch, or, for a count below 2, the first one that divides by rows is not
  // joined to the next.
  void note(std::size_t first, std::size_t count) const {
    const bool fired = count > 1;
    if (!verdicts_.note || (!fired && why_ended_.empty())) return;
    const Step& begin = program_.steps[first];
    Verdict verdict{"row_chain", fired, fired ? std::string() : why_ended_, begin.node, begin.described.scope};
    for (std::size_t i = first; i < first + std::max<std::size_t>(count, 1); ++i) {
      const GraphNode& member = program_.steps[i].described;
      verdict.scope = common_scope(verdict.scope, member.scope);
      verdict.from = merge_sources(verdict.from, member.from);
    }
    verdicts_.note(std::move(verdict));
  }

  // The divisions of the longest chain by rows that begins here.
  Divisions divide(std::size_t first) {
    Divisions divisions;
    const std::int64_t extent = program_.steps[first].rows;
    std::int64_t granule = 1;
    for (std::size_t i = first; extent > 1 && i < program_.steps.size(); ++i) {
      const Step& step = program_.steps[i];
      const bool alike = step.dimension == program_.steps[first].dimension;
      std::optional<Division> division = step.by_rows && alike ? step.by_rows(extent) : std::nullopt;
      if (!division) {
        if (step.rows > 1) why_ended_ = fmt::format("the {} divides by other rows", step.described.name());
        break;
      }
      if (conflicts(first, divisions, step, *division)) {
        why_ended_ = fmt::format("the {} touches other rows of what is written before it", step.described.name());
        break;
      }
      granule = std::lcm(granule, division->granule);
      if ((extent + granule - 1) / granule < workers_) {
        why_ended_ = fmt::format("{} rows at a time leave some of {} threads without work", granule, workers_);
        break;
      }
      divisions.push_back(std::move(*division));
    }
    return divisions;
  }

  bool conflicts(std::size_t first, const Divisions& earlier, const Step& step, const Division& division) const {
    for (std::size_t i = 0; i < earlier.size(); ++i) {
      const Step& other = program_.steps[first + i];
      const auto shared = [&](const std::vector<int>& a, const std::vector<int>& b) {
        return std::any_of(a.begin(), a.end(), [&](int buffer) {
          return contains(b, buffer) && !(contains(earlier[i].own, buffer) && contains(division.own, buffer));
        });
      };
      if (shared(other.writes, step.reads) || shared(other.writes, step.writes) || shared(other.reads, step.writes))
        return true;
    }
    return false;
  }

  Step join(std::vector<ChainMember> members, bool by_rows) const {
    const std::string name = chain_name(members, "row_chain");
    const auto is_split = [](const ChainMember& member) { return member.step.split; };
    const bool split = by_rows && std::any_of(members.begin(), members.end(), is_split);
    std::vector<int> inner = inner_buffers(members);
    ChainShape shape{tile_rows, split, {}, std::move(inner)};
    if (by_rows) {
      shape.dimension = members[0].step.dimension;
      shape.bound = members[0].step.bound;
    }
    return make_chain(std::move(members), std::move(shape), program_.buffers, name);
  }

  // Intermediates that members write before they read them, and nobody else reads.
  std::vector<int> inner_buffers(const std::vector<ChainMember>& members) const {
    std::vector<int> written, read_first, reads;
    for (const auto& [step, division] : members) {
      for (int buffer : step.reads) {
        if (!contains(written, buffer)) add_once(read_first, buffer);
        reads.push_back(buffer);
      }
      for (int buffer : step.writes) add_once(written, buffer);
    }
    std::erase_if(written, [&](int buffer) {
      const auto count = std::count(reads.begin(), reads.end(), buffer);
      const auto index = static_cast<std::size_t>(buffer);
      return program_.buffers[index].kind != BufferKind::arena || count == 0 || count != readers_[index] ||
             contains(read_first, buffer);
    });
    return written;
  }

  Lowered& program_;
  int workers_;
  const VerdictSink& verdicts_;
  std::string why_ended_;     // the chain by rows that was divided last
  std::vector<int> readers_;  // of each buffer: steps
};

}  // namespace

void move_preparations_up(std::vector<Step>& steps) {
  const auto touches = [](const Step& step, const Step& preparation) {
    const auto any = [](const std::vector<int>& a, const std::vector<int>& b) {
      return std::any_of(a.begin(), a.end(), [&](int buffer) { return contains(b, buffer); });
    };
    return any(step.writes, preparation.reads) || any(step.writes, preparation.writes) ||
           any(step.reads, preparation.writes);
  };
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    const std::int64_t rows = steps[i + 1].rows;
    if (!steps[i].moves_up || rows == 0) continue;
    std::size_t to = i;
    while (to > 0 && steps[to - 1].by_rows && steps[to - 1].by_rows(rows) && !touches(steps[to - 1], steps[i])) --to;
    std::rotate(steps.begin() + static_cast<std::ptrdiff_t>(to), steps.begin() + static_cast<std::ptrdiff_t>(i),
                steps.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
}

void chain_rows(Lowered& program, int workers, const VerdictSink& verdicts) {
  RowChains(program, workers, verdicts).run();
}

}  // namespace lazuli::cpu
