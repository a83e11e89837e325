// What a step costs, node by node: runs a gated MLP with every kernel launch timed, and writes the times into mlp.dot.
#include <lazuli/lazuli.h>

#include <algorithm>
#include <fstream>
#include <iostream>

namespace lz = lazuli;

namespace {

std::vector<lz::Array> mlp(const std::vector<lz::Array>& in) {
  const lz::Scope scope("mlp");
  return {lz::linear(lz::gelu_tanh(lz::linear(in[0], in[1])) * lz::linear(in[0], in[2]), in[3])};
}

// Microseconds by node of the scheduled graph: the longest of the workers that shared a step.
std::vector<double> node_times(const lz::Program& program, const lz::Profile& profile) {
  std::vector<double> times(program.scheduled().nodes.size());
  for (const lz::Profile::Entry& entry : profile.entries) {
    if (entry.step == lz::Profile::waiting) continue;
    double& time = times[static_cast<std::size_t>(program.steps()[static_cast<std::size_t>(entry.step)].node)];
    time = std::max(time, static_cast<double>(entry.end_ns - entry.begin_ns) * 1e-3);
  }
  return times;
}

}  // namespace

int main() {
  lz::Session session;
  const std::vector<lz::Array> arguments = {
      lz::random::normal({16, 640}, lz::f32, 1), lz::random::normal({2048, 640}, lz::f32, 2),
      lz::random::normal({2048, 640}, lz::f32, 3), lz::random::normal({640, 2048}, lz::f32, 4)};
  lz::eval(arguments);
  const lz::CompiledFunction function = lz::compile(mlp, {.argument_names = {"x", "gate", "up", "down"}});
  wait(function(arguments)[0]);  // warm: code generated, threads started

  std::vector<lz::Operand> operands;
  for (const lz::Array& argument : arguments) operands.push_back({argument.node()->results[0], false});
  lz::Profile profile;
  const auto compiled = std::static_pointer_cast<lz::CompiledGraph>(function.executable(arguments));
  session.run_profiled(compiled, std::move(operands), profile);

  const std::vector<double> times = node_times(*compiled->program, profile);
  const double slowest = *std::max_element(times.begin(), times.end());
  lz::DotOptions options;
  options.annotate = [&](std::int32_t node) {
    const double time = times[static_cast<std::size_t>(node)];
    return time > 0 ? lz::NodeNote{fmt::format("{:.1f} us", time), time / slowest} : lz::NodeNote{};
  };
  const std::string dot = lz::to_dot(compiled->program->scheduled(), options);
  std::ofstream file("mlp.dot");
  file << dot;
  for (const lz::ProgramStep& step : compiled->program->steps())
    std::cout << fmt::format("{:8.1f} us  {}\n", times[static_cast<std::size_t>(step.node)], step.kernel);
  return file.flush() && slowest > 0 && dot.find(" us<") != std::string::npos ? 0 : 1;
}
