// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/run_sizes.h>
#include <lazuli/backends/cpu/program/chain_parts.h>

#include <algorithm>
#include <utility>

namespace lazuli::cpu {
namespace {

class SizedStep {
 public:
  SizedStep(ProgramBuilder& builder, std::int32_t id, Step& step) : builder_(builder), id_(id), step_(step) {}

  void follow() {
    const int dimension = find_dimension();
    if (dimension < 0) return;
    // What lies in between has the rows of what it was made of.
    for (const int buffer : step_.writes)
      if (builder_.buffer(buffer).in_between) builder_.buffer(buffer).dimension = dimension;
    const std::int64_t bound = builder_.dimensions()[static_cast<std::size_t>(dimension)].bound;
    step_.sized = {bound, dimension, bound};
    for (Part& part : step_.parts) part.sized = step_.sized;
    if (step_.follows) return;
    step_.dimension = dimension;
    step_.bound = bound;
    if (cut_by_rows(step_.bound) || cut_by_rows(step_.rows) || cut_units()) return;
    builder_.reject(id_, fmt::format("the step {} does not divide by the rows of {}", step_.described.name(),
                                     *builder_.dimensions()[static_cast<std::size_t>(dimension)].name));
  }

 private:
  // That of a value it computes; a step of other buffers alone has that of what it reads.
  int find_dimension() const {
    bool computes_value = false;
    for (const int buffer : step_.writes) {
      const BufferInfo& info = builder_.buffer(buffer);
      if (info.dimension >= 0 && !info.in_between) return info.dimension;
      computes_value = computes_value || !info.in_between;
    }
    if (computes_value) return -1;
    for (const int buffer : step_.reads)
      if (const int dimension = builder_.buffer(buffer).dimension; dimension >= 0) return dimension;
    return -1;
  }

  Extent extent(std::int64_t at_bound) const { return {at_bound, step_.dimension, step_.bound}; }

  bool cut_by_rows(std::int64_t rows) {
    if (!step_.by_rows || rows < step_.bound || rows % step_.bound != 0) return false;
    std::optional<Division> division = step_.by_rows(rows);
    if (!division) return false;
    const std::int64_t granule = division->granule;
    step_.run = [run = std::move(division->run), positions = extent(rows), granule](Memory& memory, std::int64_t begin,
                                                                                    std::int64_t end, int worker) {
      run(memory, begin * granule, std::min(end * granule, memory.now(positions)), worker);
    };
    step_.rows = rows;
    step_.units = (rows + granule - 1) / granule;
    step_.units_now = [positions = extent(rows), granule](const Memory& memory) {
      return (memory.now(positions) + granule - 1) / granule;
    };
    return true;
  }

  bool cut_units() {
    if (!step_.row_major || step_.units % step_.bound != 0) return false;
    step_.units_now = [units = extent(step_.units)](const Memory& memory) { return memory.now(units); };
    return true;
  }

  ProgramBuilder& builder_;
  std::int32_t id_;
  Step& step_;
};

// A step or a part of one. Weights are read all the same.
template <class Counted>
void leave_out(Counted& counted) {
  if (counted.sized.dimension < 0 || counted.skipped) return;
  counted.skipped = [rows = counted.sized, bytes = counted.bytes - counted.weight_bytes,
                     operations = counted.operations](const Memory& memory) -> Skipped {
    const std::int64_t absent = rows.bound - memory.now(rows);
    return {bytes / rows.bound * absent, operations / rows.bound * absent};
  };
}

}  // namespace

void leave_out_absent_rows(Lowered& program) {
  if (program.bounds.empty()) return;
  for (Step& step : program.steps) {
    leave_out(step);
    for (Part& part : step.parts) leave_out(part);
    if (auto skipped = skipped_by(step.parts)) step.skipped = std::move(skipped);
  }
}

void follow_sizes(ProgramBuilder& builder, std::int32_t id, std::size_t first_step) {
  if (builder.dimensions().empty()) return;
  std::vector<Step>& steps = builder.program().steps;
  for (std::size_t i = first_step; i < steps.size(); ++i) SizedStep(builder, id, steps[i]).follow();
}

}  // namespace lazuli::cpu
