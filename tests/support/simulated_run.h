// SPDX-License-Identifier: MIT
// Runs that never took place: what a recorder would hold, had every step taken as long as a test says.
#pragma once

#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/session.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

namespace lazuli::test {

// Nanoseconds that a step takes on a worker.
using StepDuration = std::function<std::int64_t(int step, int worker)>;

// Workers walk the steps as a schedule makes them: they share split steps, worker 0 runs the others, and all meet at
// barriers. The run begins at `begin_ns`, worker w starts 100 w ns later.
inline RunRecord simulated_run(const Program& program, int workers, const StepDuration& duration,
                               std::int64_t begin_ns = 5000) {
  RunRecord record;
  record.begin_ns = begin_ns;
  record.workers.resize(static_cast<std::size_t>(workers));
  std::vector<std::int64_t> now;
  for (int worker = 0; worker < workers; ++worker) now.push_back(begin_ns + 100 * worker);
  const auto add = [&](int worker, int step, std::int64_t end) {
    std::int64_t& at = now[static_cast<std::size_t>(worker)];
    record.workers[static_cast<std::size_t>(worker)].push_back({step, at, end});
    at = end;
  };
  for (int step = 0; step < static_cast<int>(program.steps().size()); ++step) {
    const ProgramStep& description = program.steps()[static_cast<std::size_t>(step)];
    if (description.barrier) {
      const std::int64_t last = *std::max_element(now.begin(), now.end());
      for (int worker = 0; worker < workers; ++worker) add(worker, RunSpan::waiting, last);
    }
    for (int worker = 0; worker < (description.split ? workers : 1); ++worker)
      add(worker, step, now[static_cast<std::size_t>(worker)] + duration(step, worker));
  }
  record.end_ns = *std::max_element(now.begin(), now.end());
  return record;
}

inline Array constant_weight(Shape shape, const std::string& label) {
  const Type type{DType::f32, std::move(shape)};
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  std::fill_n(buffer->as<float>(), type.elements(), 0.01f);
  return Array::constant(std::move(buffer), type, label);
}

// Two matmuls, which are split, and a norm between them, which is not: [1, 64] to [1, 128] to [1, 64].
struct SmallModel {
  CompiledFunction function;
  std::vector<Array> arguments;
  std::int64_t weight_bytes = (128 * 64 + 128 + 64 * 128) * 4;

  SmallModel() {
    const Array up = constant_weight({128, 64}, "up"), scale = constant_weight({128}, "scale"),
                down = constant_weight({64, 128}, "down");
    function = compile([=](const std::vector<Array>& in) {
      const Scope outer("layers", 3), inner("mlp");
      return std::vector<Array>{linear(rms_norm(linear(in[0], up), scale, 1e-6), down)};
    });
    arguments = {Array::from(std::vector<float>(64, 1.0f), {1, 64})};
  }

  std::shared_ptr<CompiledGraph> compiled() const {
    return std::static_pointer_cast<CompiledGraph>(function.executable(arguments));
  }
  std::vector<float> run() const {
    const Array result = function(arguments)[0];
    const auto values = result.data<float>();
    return {values.begin(), values.end()};
  }
};

inline SessionOptions two_threads() {
  SessionOptions options;
  options.threads = 2;
  return options;
}

}  // namespace lazuli::test
