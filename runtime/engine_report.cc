// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/backends/cpu/cpu_backend.h>
#include <lazuli/runtime/engine.h>
#include <lazuli/runtime/engine_report.h>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace lazuli {
namespace {

std::int64_t constant_bytes(const CompiledGraph& compiled) {
  std::int64_t bytes = 0;
  for (const CompiledGraph::Held& held : compiled.constants)
    if (const auto buffer = held.buffer.lock()) bytes += static_cast<std::int64_t>(buffer->size());
  return bytes;
}

}  // namespace

// Messages come from several threads, and what the sink throws must not end what is being logged.
LogSink one_at_a_time(const LogSink& sink) {
  if (!sink) return {};
  return [sink, mutex = std::make_shared<std::mutex>()](LogLevel level, std::string_view text) {
    const std::lock_guard lock(*mutex);
    try {
      sink(level, text);
    } catch (...) {
    }
  };
}

namespace {

thread_local bool is_telling = false;

template <class... Told>
void make_quiet(std::function<void(Told...)>& callback, std::recursive_mutex& compiling) {
  if (!callback) return;
  callback = [told = std::move(callback), &compiling](Told... what) {
    if (is_telling) return;
    const std::lock_guard lock(compiling);
    struct Telling {
      Telling() { is_telling = true; }
      ~Telling() { is_telling = false; }
    } const telling;
    told(std::forward<Told>(what)...);
  };
}

}  // namespace

SessionOptions with_quiet_callbacks(SessionOptions options, std::recursive_mutex& compiling) {
  make_quiet(options.on_pass, compiling);
  make_quiet(options.on_verdict, compiling);
  make_quiet(options.on_weight, compiling);
  return options;
}

std::string program_name(const Graph& built) {
  constexpr std::size_t shown = 4;
  const std::vector<ValueId> inputs = built.inputs();
  std::vector<std::string> types;
  for (std::size_t i = 0; i < inputs.size() && i < shown; ++i)
    types.push_back(inputs[i].node < 0 ? "none" : to_string(built.type(inputs[i])));
  if (inputs.size() > shown) types.push_back(fmt::format("{} more", inputs.size() - shown));
  return fmt::format("{}({})", to_string(built.phase), fmt::join(types, ", "));
}

// What the backend knows is asked without the engine's lock: it may wait for a weight to be laid out.
SessionStatistics Engine::statistics() const {
  SessionStatistics statistics;
  {
    const std::lock_guard lock(mutex_);
    statistics.programs = programs_.size();
    statistics.program_bytes = programs_.bytes();
  }
  if (cpu_) {
    statistics.loops = cpu_->loops();
    statistics.compiled_loops = cpu_->compiled_loops();
    statistics.arena_bytes = cpu_->arena_bytes();
    statistics.weight_bytes = cpu_->weight_bytes();
    statistics.laid_out_weights = cpu_->laid_out_weights();
  }
  return statistics;
}

std::vector<ProgramStatistics> Engine::programs() const {
  std::vector<ProgramStatistics> statistics;
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<CompiledGraph>& kept : programs_.list())
    statistics.push_back({kept->name, kept->built.phase, kept->runs, ProgramCache::bytes_of(*kept),
                          kept->program->arena_bytes(), constant_bytes(*kept),
                          static_cast<std::int64_t>(kept->program->steps().size()), kept->compile_seconds});
  return statistics;
}

void Engine::log_made(const CompiledGraph& made, std::size_t variants_before) const {
  if (!log_) return;
  log_(LogLevel::info, fmt::format("program {}: compiled in {:.1f} ms, {} kernels", made.name,
                                   made.compile_seconds * 1e3, made.program->steps().size()));
  if (variants_before == ProgramCache::max_variants_for_values)
    log_(LogLevel::info, fmt::format("program {}: compiled for numbers that may change, as {} others serve some values "
                                     "alone",
                                     made.name, variants_before));
}

std::vector<std::string> Engine::texts_of_evicted(std::span<const std::shared_ptr<CompiledGraph>> evicted) const {
  std::vector<std::string> texts;
  if (!log_) return texts;
  for (const std::shared_ptr<CompiledGraph>& program : evicted)
    texts.push_back(fmt::format("program {}: evicted after {} runs, as programs take more than memory_limit, {} bytes",
                                program->name, program->runs, options_.memory_limit));
  return texts;
}

}  // namespace lazuli
