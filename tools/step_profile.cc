#include <lazuli/graph/ops.h>
#include <lazuli/tools/step_profile.h>

#include <algorithm>
#include <chrono>
#include <map>

namespace lazuli::tool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int warm_runs = 3;
constexpr std::int64_t default_rows = 128;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

Runner::Step next_step(Runner& runner, Phase phase, std::int64_t rows) {
  return phase == Phase::prefill ? runner.prefill_step(rows) : runner.decode_step();
}

// Leaves the runner before the step that is to be measured.
void warm_up(Runner& runner, Phase phase, std::int64_t rows, std::int64_t depth) {
  const std::vector<std::int32_t> ids(static_cast<std::size_t>(phase == Phase::prefill ? rows : depth), 2);
  if (phase == Phase::prefill) {
    for (int run = 0; run < warm_runs; ++run) {
      runner.truncate(0);
      wait(runner.prefill(ids));
    }
    runner.truncate(0);
    return;
  }
  Array token = argmax(runner.prefill(ids));
  for (int run = 0; run < warm_runs; ++run) token = runner.decode_greedy(token);
  wait(token);
}

std::vector<ProfiledPart> parts_of(const Profile& profile, std::span<const ProgramStep> steps) {
  std::map<int, int> workers;
  for (const Profile::Entry& entry : profile.entries) ++workers[entry.step];
  std::vector<ProfiledPart> parts;
  for (const Profile::Entry& entry : profile.entries) {
    ProfiledPart part;
    part.step = entry.step;
    part.worker = entry.worker;
    part.begin_us = static_cast<double>(entry.begin_ns) * 1e-3;
    part.us = static_cast<double>(entry.end_ns - entry.begin_ns) * 1e-3;
    if (entry.step != Profile::waiting) {
      const ProgramStep& step = steps[static_cast<std::size_t>(entry.step)];
      part.node = step.node;
      part.bytes = static_cast<double>(step.bytes) / workers[entry.step];
    }
    parts.push_back(part);
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const ProfiledPart& a, const ProfiledPart& b) { return a.begin_us < b.begin_us; });
  return parts;
}

std::vector<double> sum_by_node(const StepProfile& profile, double ProfiledPart::*value) {
  std::vector<double> sums(profile.scheduled().nodes.size());
  for (const ProfiledPart& part : profile.parts)
    if (part.node != ProfiledPart::waiting) sums[static_cast<std::size_t>(part.node)] += part.*value;
  return sums;
}

}  // namespace

Phase parse_phase(const std::string& name) { return name == "prefill" ? Phase::prefill : Phase::decode; }

Graph built_step(Runner& runner, Phase phase) {
  const Runner::Step step = next_step(runner, phase, default_rows);
  return step.function.graph(step.arguments);
}

std::shared_ptr<const CompiledGraph> compile_step(Engine& engine, Runner& runner, Phase phase) {
  const Runner::Step step = next_step(runner, phase, default_rows);
  auto compiled = std::static_pointer_cast<const CompiledGraph>(step.function.executable(step.arguments));
  engine.end_progress();
  return compiled;
}

std::vector<double> StepProfile::node_us() const { return sum_by_node(*this, &ProfiledPart::us); }
std::vector<double> StepProfile::node_bytes() const { return sum_by_node(*this, &ProfiledPart::bytes); }

double StepProfile::waiting_us(int worker) const {
  double total = 0;
  for (const ProfiledPart& part : parts)
    if (part.node == ProfiledPart::waiting && part.worker == worker) total += part.us;
  return total;
}

StepProfile profile_step(Engine& engine, const RunnerOptions& options, Phase phase, std::int64_t rows,
                         std::int64_t depth) {
  Session& session = engine.session();
  if (session.options().backend != "cpu")
    fail("profile: the {} backend does not time its steps; expected cpu", session.options().backend);
  Runner runner(engine.model(), options);
  if (phase == Phase::prefill) rows = std::min(rows, runner.chunk_for(rows));
  warm_up(runner, phase, rows, depth);
  engine.end_progress();

  StepProfile result;
  result.phase = phase;
  result.rows = phase == Phase::prefill ? rows : 1;
  result.threads = session.threads();
  auto start = Clock::now();
  const Runner::Step step = next_step(runner, phase, rows);
  result.build_us = microseconds_since(start);

  start = Clock::now();
  const std::shared_ptr<Executable> executable = step.function.executable(step.arguments);
  result.lookup_us = microseconds_since(start);
  result.compiled = std::static_pointer_cast<const CompiledGraph>(executable);

  // What the step donates is not used again: the runner ends here.
  std::vector<Operand> operands;
  for (const Array& argument : step.arguments)
    operands.push_back({argument.node()->results[static_cast<std::size_t>(argument.output())], true});
  session.synchronize();
  const auto profile = std::make_shared<Profile>();
  start = Clock::now();
  session.run_profiled(executable, std::move(operands), *profile);
  result.wall_us = microseconds_since(start);
  result.parts = parts_of(*profile, result.compiled->program->steps());
  result.run = profile;
  return result;
}

}  // namespace lazuli::tool
