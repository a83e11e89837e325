// lazuli profile: where the time of one warm step goes.
#include <lazuli/backends/trace.h>
#include <lazuli/models/output_file.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/engine.h>
#include <lazuli/tools/errors.h>
#include <lazuli/tools/limits.h>
#include <lazuli/tools/output.h>
#include <lazuli/tools/step_profile.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  std::string phase = "decode", trace;
  std::int64_t rows = 128, depth = 8, top = 15;
};

struct Floor {
  double read_gbps = 0;
  double us = 0;  // reading every weight once takes this long
};

std::string scope_of(const GraphNode& node) { return node.scope ? *node.scope : std::string(); }

Json node_entry(const StepProfile& profile, const ProfiledPart& part) {
  if (part.node == ProfiledPart::waiting)
    return {{"id", -1},
            {"op", "wait"},
            {"scope", ""},
            {"kernel", ""},
            {"thread", part.worker},
            {"us", part.us},
            {"bytes", 0},
            {"begin_us", part.begin_us}};
  const GraphNode& node = profile.scheduled().nodes[static_cast<std::size_t>(part.node)];
  const ProgramStep& step = profile.compiled->program->steps()[static_cast<std::size_t>(part.step)];
  return {{"id", part.node},       {"op", node.name()}, {"scope", scope_of(node)}, {"kernel", step.kernel},
          {"thread", part.worker}, {"us", part.us},     {"bytes", part.bytes},     {"begin_us", part.begin_us}};
}

std::int64_t barriers(const StepProfile& profile) {
  const std::span<const ProgramStep> steps = profile.compiled->program->steps();
  return std::count_if(steps.begin(), steps.end(), [](const ProgramStep& step) { return step.barrier; });
}

// The program picks the token itself, so sampling costs nothing of its own.
Json to_json(const StepProfile& profile, const Floor& floor) {
  Json nodes = Json::array();
  for (const ProfiledPart& part : profile.parts) nodes.push_back(node_entry(profile, part));
  return {{"phase", to_string(profile.phase)},
          {"rows", profile.rows},
          {"wall_us", profile.wall_us},
          {"threads", profile.threads},
          {"steps", profile.compiled->program->steps().size()},
          {"barriers", barriers(profile)},
          {"arena_bytes", profile.compiled->program->arena_bytes()},
          {"nodes", std::move(nodes)},
          {"pipeline",
           {{"build_us", profile.build_us},
            {"lookup_us", profile.lookup_us},
            {"run_us", profile.wall_us},
            {"sample_us", 0.0},
            {"wait_us", profile.waiting_us(0)}}},
          {"read_gbps", floor.read_gbps},
          {"floor_us", floor.us}};
}

struct OpCost {
  int count = 0;
  double us = 0, bytes = 0;
};

std::string gigabytes_per_second(double bytes, double us) {
  return us > 0 ? fmt::format("{:.1f}", bytes / us * 1e-3) : "-";
}

// A thread's share of the memory's rate: the bytes of a node, over its time on all threads, times their number.
std::string histogram(const StepProfile& profile) {
  const std::vector<double> us = profile.node_us(), bytes = profile.node_bytes();
  std::map<std::string, OpCost> costs;
  double total = 0;
  for (const ProgramStep& step : profile.compiled->program->steps()) {
    const auto id = static_cast<std::size_t>(step.node);
    OpCost& cost = costs[std::string(profile.scheduled().nodes[id].name())];
    ++cost.count;
    cost.us += us[id];
    cost.bytes += bytes[id];
    total += us[id];
  }
  double waiting = 0;
  for (int worker = 0; worker < profile.threads; ++worker) waiting += profile.waiting_us(worker);
  std::vector<std::pair<std::string, OpCost>> sorted(costs.begin(), costs.end());
  sorted.emplace_back("wait", OpCost{static_cast<int>(barriers(profile)), waiting, 0});
  total += waiting;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.us > b.second.us; });

  std::string text = fmt::format("{:<28}  {:>6}  {:>10}  {:>6}  {:>8}\n", "op", "count", "us", "share", "GB/s");
  for (const auto& [name, cost] : sorted)
    text +=
        fmt::format("{:<28}  {:>6}  {:>10.1f}  {:>5.1f}%  {:>8}\n", name, cost.count, cost.us,
                    100 * cost.us / std::max(total, 1e-9), gigabytes_per_second(cost.bytes * profile.threads, cost.us));
  return text;
}

std::string hot_nodes(const StepProfile& profile, std::int64_t most) {
  const std::vector<double> us = profile.node_us(), bytes = profile.node_bytes();
  const std::span<const ProgramStep> steps = profile.compiled->program->steps();
  std::vector<std::size_t> order(steps.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto cost = [&](std::size_t step) { return us[static_cast<std::size_t>(steps[step].node)]; };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return cost(a) > cost(b); });
  order.resize(std::min(order.size(), static_cast<std::size_t>(most)));

  std::string text =
      fmt::format("{:>6}  {:>10}  {:>8}  {:<20}  {:<32}  {}\n", "node", "us", "GB/s", "op", "kernel", "scope");
  for (const std::size_t step : order) {
    const auto id = static_cast<std::size_t>(steps[step].node);
    const GraphNode& node = profile.scheduled().nodes[id];
    text += fmt::format("{:>6}  {:>10.1f}  {:>8}  {:<20}  {:<32}  {}\n", id, us[id],
                        gigabytes_per_second(bytes[id] * (steps[step].split ? profile.threads : 1), us[id]),
                        node.name(), steps[step].kernel, scope_of(node));
  }
  return text;
}

std::string report(const StepProfile& profile, const Floor& floor, std::int64_t most) {
  const std::string plan = profile.compiled->program->memory_plan();  // its first line: the peak
  return fmt::format(
      "{}, {} row{}: {:.1f} us on {} threads; {} kernel launches, {} barriers\n"
      "{}\n"
      "operands {:.1f} us, program lookup {:.1f} us, waiting at barriers {:.1f} us (thread 0)\n"
      "weights read once at {:.1f} GB/s: {:.1f} us ({:.0f} % of the step)\n"
      "times below are sums over threads\n\n{}\n{}",
      to_string(profile.phase), profile.rows, profile.rows == 1 ? "" : "s", profile.wall_us, profile.threads,
      profile.compiled->program->steps().size(), barriers(profile), plan.substr(0, plan.find('\n')), profile.build_us,
      profile.lookup_us,
      profile.waiting_us(0), floor.read_gbps, floor.us, 100 * floor.us / profile.wall_us, histogram(profile),
      hot_nodes(profile, most));
}

int run(const Options& options) {
  std::optional<OutputFile> trace;
  if (!options.trace.empty()) trace.emplace(options.trace);
  Engine engine(options.common);
  const StepProfile profile =
      profile_step(engine, engine.options().runner(), parse_phase(options.phase), options.rows, options.depth);
  Floor floor;
  floor.read_gbps = measure_read_gbps(profile.threads);
  floor.us = static_cast<double>(engine.model().info().bytes_per_token) / floor.read_gbps * 1e-3;
  if (trace) {
    const std::string title = fmt::format("lazuli {}, {} threads", options.phase, profile.threads);
    trace->write(chrome_trace(*profile.compiled->program, *profile.run, title));
    trace->commit();
  }
  if (options.common.json)
    print_json(to_json(profile, floor));
  else
    print(report(profile, floor, options.top));
  return success;
}

}  // namespace

Command add_profile(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("profile", "show where the time of one warm step goes");
  add_common_options(*command, options->common, ModelOption::required);
  command->add_option("--phase", options->phase, "decode or prefill")
      ->capture_default_str()
      ->check(CLI::IsMember({"prefill", "decode"}));
  const auto add = [&](const char* name, std::int64_t& value, const char* help) {
    command->add_option(name, value, help)->capture_default_str()->check(CLI::Range(1, 1 << 20));
  };
  command->add_option("--trace", options->trace, "write the step as a Chrome trace, for Perfetto")->type_name("FILE");
  add("--rows", options->rows, "rows of the prompt chunk");
  add("--depth", options->depth, "tokens of context before the step");
  add("--top", options->top, "how many of the hottest nodes to list");
  return {command, [options] { return run(*options); }};
}

}  // namespace lazuli::tool
