// SPDX-License-Identifier: MIT
// What a step costs, node by node: profiles a gated MLP, prints where its time went, and writes the times into mlp.dot.
#include <fmt/format.h>
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

}  // namespace

int main() {
  lz::Session session;
  const std::vector<lz::Array> arguments = {
      lz::random::normal({16, 640}, lz::f32, 1), lz::random::normal({2048, 640}, lz::f32, 2),
      lz::random::normal({2048, 640}, lz::f32, 3), lz::random::normal({640, 2048}, lz::f32, 4)};
  lz::eval(arguments);
  const lz::CompiledFunction function = lz::compile(mlp, {.argument_names = {"x", "gate", "up", "down"}});

  const lz::Profile profile = lz::profile(session, [&] { wait(function(arguments)[0]); });
  std::cout << lz::to_text(profile);

  const std::vector<double> times = profile.node_us();
  const double slowest = *std::max_element(times.begin(), times.end());
  lz::DotOptions options;
  options.annotate = [&](std::int32_t node) {
    const double time = times[static_cast<std::size_t>(node)];
    return time > 0 ? lz::NodeNote{fmt::format("{:.1f} us", time), time / slowest} : lz::NodeNote{};
  };
  const std::string dot = lz::to_dot(profile.scheduled(), options);
  std::ofstream file("mlp.dot");
  file << dot;
  return file.flush() && slowest > 0 && dot.find(" us<") != std::string::npos ? 0 : 1;
}
