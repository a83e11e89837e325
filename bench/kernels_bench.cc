// Every case of the list, fused, unfused and (where primitives differ) spelled out, at one, 128 and 512 rows; those bounded by memory also at as many rows as no
// cache holds. Only the run of the compiled program is timed.
#include <lazuli/backends/session.h>
#include <lazuli/bench/cases.h>
#include <lazuli/bench/register.h>
#include <lazuli/graph/ops.h>

#include <benchmark/benchmark.h>

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
  std::vector<BufferRef> inputs, outputs;
  std::int64_t bytes = 0;  // of operands and results

  void run() const { compiled->program->execute(inputs, outputs); }
};

Prepared prepare(const CompiledFunction& function, const std::vector<Shape>& shapes) {
  std::vector<Array> arguments;
  for (const Shape& shape : shapes)
    arguments.push_back(random::normal(shape, DType::f32, static_cast<std::int64_t>(arguments.size())));
  eval(arguments);
  Prepared prepared;
  prepared.compiled = std::static_pointer_cast<CompiledGraph>(function.executable(arguments));
  for (const Array& argument : arguments) {
    prepared.inputs.push_back(argument.node()->results[0].buffer);
    prepared.bytes += argument.type().bytes();
  }
  for (const OutputPlacement& output : prepared.compiled->program->outputs()) {
    prepared.outputs.push_back(Buffer::allocate(static_cast<std::size_t>(output.bytes)));
    prepared.bytes += output.bytes;
  }
  return prepared;
}

void run_case(benchmark::State& state, const Case& measured, const CompiledFunction& function, std::int64_t rows) {
  const Prepared prepared = prepare(function, measured.operands(rows));
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
  explicit Level(std::string fusion) : fusion_(std::move(fusion)) {}

  Session& session() {
    if (!session_) {
      SessionOptions options;
      options.fusion = fusion_;
      session_ = std::make_unique<Session>(std::move(options));
    }
    return *session_;
  }

 private:
  std::string fusion_;
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
  std::vector<std::int64_t> rows(std::begin(row_counts), std::end(row_counts));
  if (measured.operations_per_row == 0) rows.push_back(rows_beyond_caches(measured));
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

}  // namespace

void register_kernels() {
  for (const auto& [label, fusion] :
       {std::pair("fused", "all"), std::pair("unfused", "none"), std::pair("primitive", "primitive")}) {
    const auto level = std::make_shared<Level>(fusion);
    for (Case& each : cases()) {
      if (fusion == std::string_view("primitive") && each.operations_per_row > 0) continue;  // a matmul is primitive
      const auto measured = std::make_shared<const Case>(std::move(each));
      const auto body = std::make_shared<Body>(measured->make);
      for (const std::int64_t rows : row_counts_of(*measured)) {
        const std::string name = fmt::format("{}/rows:{}/{}", measured->name, rows, label);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          const UseEvaluator use(level->session());
          run_case(state, *measured, body->compile_for(rows), rows);
        })->UseRealTime()->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

}  // namespace lazuli::bench
