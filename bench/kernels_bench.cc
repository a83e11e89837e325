// SPDX-License-Identifier: MIT
// Every case of the list, fused, unfused and (where primitives differ) spelled out, at one, 128 and 512 rows; matmuls
// also at 2048, those bounded by memory at as many rows as no cache holds. Products of two operands also by OpenBLAS,
// which multiplies in f32 precision. Only the run of the compiled program is timed.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <lazuli/bench/cases.h>
#include <lazuli/bench/register.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/session.h>

#include <iterator>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace lazuli::bench {
namespace {

// A compiled case with memory for its operands and results, so that a run allocates nothing.
struct Prepared {
  std::shared_ptr<CompiledGraph> compiled;
  std::vector<double> numbers;
  std::vector<BufferRef> inputs, outputs;
  std::int64_t bytes = 0;  // of operands and results

  void run() const { compiled->program->execute(inputs, outputs, numbers); }
};

// Where each of several arrays begins when they lie one after the other, and behind the last where they all end.
std::vector<std::int64_t> offsets_of(const std::vector<std::int64_t>& sizes) {
  constexpr auto alignment = static_cast<std::int64_t>(buffer_alignment);
  std::vector<std::int64_t> offsets{0};
  for (const std::int64_t size : sizes)
    offsets.push_back(offsets.back() + (size + alignment - 1) / alignment * alignment);
  return offsets;
}

std::vector<BufferRef> pieces_of(const BufferRef& whole, const std::vector<std::int64_t>& sizes) {
  const std::vector<std::int64_t> offsets = offsets_of(sizes);
  std::vector<BufferRef> pieces;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    pieces.push_back(Buffer::view(whole->data() + offsets[i], static_cast<std::size_t>(sizes[i]), whole));
  return pieces;
}

Prepared prepare(const CompiledFunction& function, const std::vector<Shape>& shapes, Workspace& workspace) {
  std::vector<std::int64_t> sizes;
  for (const Shape& shape : shapes) sizes.push_back(Type{DType::f32, shape}.bytes());
  Prepared prepared;
  prepared.inputs = pieces_of(workspace.operands(offsets_of(sizes).back() / 4), sizes);
  std::vector<Array> arguments;
  for (std::size_t i = 0; i < shapes.size(); ++i)
    arguments.push_back(Array::from(prepared.inputs[i], Type{DType::f32, shapes[i]}));
  prepared.compiled = std::static_pointer_cast<CompiledGraph>(function.executable(arguments));
  prepared.numbers = number_values(function.graph(arguments));
  for (const std::int64_t size : sizes) prepared.bytes += size;
  sizes.clear();
  for (const OutputPlacement& output : prepared.compiled->program->outputs()) sizes.push_back(output.bytes);
  prepared.outputs = pieces_of(workspace.results(offsets_of(sizes).back()), sizes);
  for (const std::int64_t size : sizes) prepared.bytes += size;
  return prepared;
}

void run_case(benchmark::State& state, const Case& measured, const CompiledFunction& function, std::int64_t rows,
              Workspace& workspace) {
  const Prepared prepared = prepare(function, measured.operands(rows), workspace);
  prepared.run();  // pages touched, threads awake
  for (auto _ : state) prepared.run();
  state.SetBytesProcessed(state.iterations() * (prepared.bytes + measured.weight_bytes));
  if (measured.operations_per_row > 0)
    state.counters["FLOP/s"] = benchmark::Counter(measured.operations_per_row * static_cast<double>(rows),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}

// One session for each level, made when its first benchmark runs.
class Level {
 public:
  Level(std::string fusion, Precision precision) : fusion_(std::move(fusion)), precision_(precision) {}

  Session& session() {
    if (!session_) {
      SessionOptions options;
      options.fusion = fusion_;
      options.precision = precision_;
      session_ = std::make_unique<Session>(std::move(options));
    }
    return *session_;
  }

 private:
  std::string fusion_;
  Precision precision_;
  std::unique_ptr<Session> session_;
};

// As many rows as make the operands a gibibyte, which only memory holds.
std::int64_t rows_beyond_caches(const Case& measured) {
  constexpr std::int64_t working_set = std::int64_t{1} << 30;
  const auto bytes = [&](std::int64_t rows) {
    std::int64_t total = 0;
    for (const Shape& shape : measured.operands(rows)) total += Type{DType::f32, shape}.bytes();
    return total;
  };
  return working_set / (bytes(2) - bytes(1));
}

std::vector<std::int64_t> row_counts_of(const Case& measured) {
  if (!measured.row_counts.empty()) return measured.row_counts;
  if (measured.operations_per_row > 0) return {std::begin(matmul_row_counts), std::end(matmul_row_counts)};
  std::vector<std::int64_t> rows(std::begin(row_counts), std::end(row_counts));
  rows.push_back(rows_beyond_caches(measured));
  return rows;
}

// The function of a case, made once for all row counts.
class Body {
 public:
  explicit Body(std::function<ArrayFunction()> make) : make_(std::move(make)) {}

  // One row is what decoding multiplies by, many are a prompt: that decides the arithmetic of matmuls.
  CompiledFunction compile_for(std::int64_t rows) {
    if (!body_) body_ = make_();
    CompileOptions options;
    options.phase = rows > 1 ? Phase::prefill : Phase::decode;
    return compile(body_, options);
  }

 private:
  std::function<ArrayFunction()> make_;
  ArrayFunction body_;
};

// Constants are packed beforehand; neither operand of these is one.
bool has_two_operands(const Case& measured) { return measured.operations_per_row > 0 && measured.weight_bytes == 0; }

struct Variant {
  const char* label;
  const char* fusion;
  Precision precision;
  bool (*wanted)(const Case& measured);
};

constexpr Variant variants[] = {
    {"fused", "all", Precision::fast, [](const Case&) { return true; }},
    {"unfused", "none", Precision::fast, [](const Case&) { return true; }},
    {"primitive", "primitive", Precision::fast,
     [](const Case& measured) { return measured.operations_per_row == 0; }},  // a matmul is primitive
    {"openblas", "all", Precision::f32, has_two_operands},
};

}  // namespace

void register_kernels(const std::shared_ptr<Workspace>& workspace) {
  for (const Variant& variant : variants) {
    const auto level = std::make_shared<Level>(variant.fusion, variant.precision);
    for (Case& each : cases(workspace)) {
      if (!variant.wanted(each)) continue;
      const auto measured = std::make_shared<const Case>(std::move(each));
      const auto body = std::make_shared<Body>(measured->make);
      for (const std::int64_t rows : row_counts_of(*measured)) {
        const std::string name = fmt::format("{}/rows:{}/{}", measured->name, rows, variant.label);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [=](benchmark::State& state) {
                                       const UseSession use(level->session());
                                       run_case(state, *measured, body->compile_for(rows), rows, *workspace);
                                     })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

}  // namespace lazuli::bench
