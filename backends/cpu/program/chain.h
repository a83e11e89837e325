// SPDX-License-Identifier: MIT
// Chains: a run of steps that divide along one axis becomes one step. Each worker takes its share of the axis tile by
// tile and runs all members on a tile before it goes on to the next, so that what one member writes is still in its
// cache when the next reads it, and no barrier stands between them. The members are the same kernels on the same
// values: a chain changes no bit.
#pragma once

#include <lazuli/backends/cpu/program/lowered.h>
#include <lazuli/passes/verdict_sink.h>

#include <string>
#include <vector>

namespace lazuli::cpu {

// A buffer that exists for one tile at a time: every worker has its own copy of `bytes` in it, and while a tile that
// begins at position p is computed its base is p * position_bytes before that copy. A kernel that addresses columns of
// the whole array then meets those of the tile, if its rows lie as far apart as the tile is wide.
struct TileLocal {
  int buffer;
  std::int64_t bytes;
  std::int64_t position_bytes;
};

struct ChainMember {
  Step step;
  Division division;
};

struct ChainShape {
  std::int64_t tile = 1;  // positions of one tile; rounded up to the granules of the members
  bool split = true;      // over all workers
  std::vector<TileLocal> locals;
  std::vector<int> inner;  // other buffers that no other step reads; these and the locals are not memory traffic
  // The named dimension that the positions follow; -1: none.
  int dimension = -1;
  std::int64_t bound = 1;
};

// Joins members, in their order, which have one extent. Where a member touches what an earlier one wrote, or writes
// what an earlier one touched, it must be the own part of both.
Step make_chain(std::vector<ChainMember> members, ChainShape shape, std::span<const BufferInfo> buffers,
                std::string name);

// "linear_gelu_mul": the names of the steps without repetition, or `otherwise` where they are too many.
std::string chain_name(const std::vector<ChainMember>& members, const std::string& otherwise);

// Puts steps that prepare an operand (Step::moves_up) before those that could be one chain with the step behind them.
void move_preparations_up(std::vector<Step>& steps);

// Joins neighbouring steps that divide by the same rows, and neighbouring steps that worker 0 runs alone.
void chain_rows(Lowered& program, int workers, const VerdictSink& verdicts);

}  // namespace lazuli::cpu
