// SPDX-License-Identifier: MIT
// oneDNN's bf16 matmul, as a measure for ours: x and y lie row by row, weights in whatever layout it likes best, as
// ours do. Its x is given in bf16; ours is f32, and converting it is part of the time measured.
#include <fmt/format.h>
#include <lazuli/bench/cases.h>
#include <lazuli/bench/register.h>

#ifdef LAZULI_BENCH_ONEDNN
#include <benchmark/benchmark.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>
#include <memory>
#include <vector>

namespace lazuli::bench {
namespace {

using dnnl::memory;

struct Matmul {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::matmul::primitive_desc description;
  dnnl::matmul primitive;
  memory x, weight, y;

  void run() {
    primitive.execute(stream, {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weight}, {DNNL_ARG_DST, y}});
    stream.wait();
  }
};

// f32 values as oneDNN lays out `target`.
void reorder_into(const Matmul& matmul, const float* values, const memory::dims& sizes, memory::format_tag order,
                  memory& target) {
  memory plain({sizes, memory::data_type::f32, order}, matmul.engine, const_cast<float*>(values));
  dnnl::stream stream = matmul.stream;
  dnnl::reorder(plain, target).execute(stream, plain, target);
  stream.wait();
}

// Of oneDNN 3, and of 2 before it, in which a description had one of its own.
dnnl::matmul::primitive_desc describe(const dnnl::engine& engine, const memory::desc& x, const memory::desc& weight,
                                      const memory::desc& y) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, x, weight, y};
#else
  return {{x, weight, y}, engine};
#endif
}

// [rows, inputs] times the transpose of [outputs, inputs].
std::unique_ptr<Matmul> prepare(std::int64_t rows, std::int64_t inputs, std::int64_t outputs, Workspace& workspace) {
  auto matmul = std::make_unique<Matmul>();
  using Tag = memory::format_tag;
  const memory::desc x({rows, inputs}, memory::data_type::bf16, Tag::ab),
      weight({inputs, outputs}, memory::data_type::bf16, Tag::any), y({rows, outputs}, memory::data_type::f32, Tag::ab);
  matmul->description = describe(matmul->engine, x, weight, y);
  matmul->primitive = dnnl::matmul(matmul->description);
  matmul->x = memory(matmul->description.src_desc(), matmul->engine);
  matmul->weight = memory(matmul->description.weights_desc(), matmul->engine);
  matmul->y = memory(matmul->description.dst_desc(), matmul->engine, workspace.results(rows * outputs * 4)->data());
  const float* values = workspace.operands(std::max(rows, outputs) * inputs)->as<float>();
  reorder_into(*matmul, values, {rows, inputs}, Tag::ab, matmul->x);
  reorder_into(*matmul, values, {inputs, outputs}, Tag::ba, matmul->weight);
  return matmul;
}

void measure(benchmark::State& state, std::int64_t rows, Workspace& workspace) {
  omp_set_num_threads(usable_cores());
  const auto matmul = prepare(rows, compared_inputs, compared_outputs, workspace);
  matmul->run();
  for (auto _ : state) matmul->run();
  state.SetLabel(matmul->description.impl_info_str());
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * static_cast<double>(rows * compared_inputs * compared_outputs),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

std::string onednn_state() {
  const dnnl_version_t& version = *dnnl_version();
  // A level's bits include those of the levels below it.
  const auto have = static_cast<unsigned>(dnnl::get_effective_cpu_isa()),
             want = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_amx);
  const bool tiles = (have & want) == want;
  return fmt::format("{}.{}.{}, {}", version.major, version.minor, version.patch, tiles ? "with AMX" : "without AMX");
}

void register_onednn(const std::shared_ptr<Workspace>& workspace) {
  for (const std::int64_t rows : matmul_row_counts) {
    const std::string name = fmt::format("onednn_bf16_{}x{}/rows:{}", compared_outputs, compared_inputs, rows);
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { measure(state, rows, *workspace); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace lazuli::bench

#else

namespace lazuli::bench {

std::string onednn_state() { return "left out: libdnnl-dev was not there when the build was configured"; }

void register_onednn(const std::shared_ptr<Workspace>&) {}

}  // namespace lazuli::bench

#endif
