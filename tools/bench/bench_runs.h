// SPDX-License-Identifier: MIT
// The measurements of `lazuli bench`: one repetition of each case in turn, so that what the host does meanwhile meets
// all of them alike.
#pragma once

#include <lazuli/models/generation/runner.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tools/bench/bench_plan.h>
#include <lazuli/tools/support/graph_file.h>

#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace lazuli::tool {

struct BenchSamples {
  std::vector<double> rates;   // tokens or calls a second of each repetition
  std::uint64_t checksum = 0;  // fnv1a of the logits of the prompt's last row, of the generated ids, or of all results
  int threads = 0;
};

// Cases share a session where they can. Everything is prepared before the first repetition.
class BenchRuns {
 public:
  // Sessions come first: what is wrong with the options shows before a model is read. `cases` is not empty, and
  // outlives the object.
  explicit BenchRuns(std::span<const BenchCase> cases);
  // Of a graph, which outlives the object.
  BenchRuns(std::span<const BenchCase> cases, const GraphFile& file);
  ~BenchRuns();
  BenchRuns(const BenchRuns&) = delete;
  BenchRuns& operator=(const BenchRuns&) = delete;

  ModelInfo model() const;  // of the first case, as is, where there are models
  int threads() const;
  Isa isa() const;
  // One entry a case. The first `warmup` repetitions are not counted; `advance` is called after each run. Throws
  // Interrupted.
  std::vector<BenchSamples> measure(int warmup, int repetitions, const std::function<void()>& advance);

 private:
  struct Lane;
  struct ModelLane;
  struct GraphLane;
  struct Models;

  Session& session_for(const CommonOptions& options);

  std::span<const BenchCase> cases_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::unique_ptr<Models> models_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace lazuli::tool
