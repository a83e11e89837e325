// lazuli graph: the graph of a step, as built, after the passes, or as it runs.
#include <lazuli/graph/text.h>
#include <lazuli/graph/views.h>
#include <lazuli/models/output_file.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/engine.h>
#include <lazuli/tools/errors.h>
#include <lazuli/tools/graph_diff.h>
#include <lazuli/tools/output.h>
#include <lazuli/tools/step_profile.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  std::string phase = "decode", stage, output;  // no stage: fused is drawn, all are counted
  bool profile = false;
  std::vector<std::string> diff;
};

enum class Format { none, dot, svg, json, text };

Format format_of(const std::string& path) {
  if (path.empty()) return Format::none;
  constexpr std::pair<std::string_view, Format> endings[] = {
      {".dot", Format::dot}, {".svg", Format::svg}, {".json", Format::json}, {".txt", Format::text}};
  for (const auto& [ending, format] : endings)
    if (path.size() > ending.size() && path.ends_with(ending)) return format;
  fail_usage("-o: {} ends in none of .dot, .svg, .json and .txt", path);
}

// The stages of a step that were made; a later stage may be missing.
struct Stages {
  std::shared_ptr<const CompiledGraph> compiled;
  std::map<std::string, const Graph*> graphs;
  Graph built, fused;  // where the step was not compiled

  const Graph& at(const std::string& stage) const { return *graphs.at(stage); }
};

Json count_nodes(const Graph& graph) {
  int views = 0, leaves = 0;
  for (const GraphNode& node : graph.nodes) {
    views += is_view(node.op);
    leaves += is_leaf(node.op);
  }
  const int nodes = static_cast<int>(graph.nodes.size());
  return {{"nodes", nodes}, {"leaves", leaves}, {"views", views}, {"computing", nodes - leaves - views}};
}

// What a scheduled node cost, attributed to the nodes of another stage that it stands for.
struct Cost {
  double us = 0, bytes = 0;
  int shared_by = 1;  // nodes of this stage that one kernel computes
};

std::vector<Cost> scheduled_costs(const StepProfile& profile) {
  const std::vector<double> us = profile.node_us(), bytes = profile.node_bytes();
  std::vector<Cost> costs(us.size());
  for (std::size_t i = 0; i < us.size(); ++i) costs[i] = {us[i], bytes[i]};
  return costs;
}

// The sources of a node; a node of the built stage is its own.
std::vector<Source> sources(const Graph& graph, std::int32_t id, bool built) {
  const GraphNode& node = graph.nodes[static_cast<std::size_t>(id)];
  return built ? std::vector<Source>{{id, node.op}} : node.from;
}

std::vector<Cost> costs_through_sources(const StepProfile& profile, const Graph& graph, bool built) {
  std::vector<std::vector<std::size_t>> readers(profile.compiled->built.nodes.size());  // of a source: nodes of `graph`
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    for (const Source& source : sources(graph, static_cast<std::int32_t>(i), built))
      readers[static_cast<std::size_t>(source.node)].push_back(i);
  const std::vector<Cost> scheduled = scheduled_costs(profile);
  std::vector<Cost> costs(graph.nodes.size());
  for (std::size_t i = 0; i < scheduled.size(); ++i) {
    std::vector<std::size_t> owners;
    for (const Source& source : profile.scheduled().nodes[i].from)
      for (const std::size_t owner : readers[static_cast<std::size_t>(source.node)])
        if (!is_leaf(graph.nodes[owner].op) && !is_view(graph.nodes[owner].op)) owners.push_back(owner);
    std::sort(owners.begin(), owners.end());
    owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
    for (const std::size_t owner : owners) {
      costs[owner].us += scheduled[i].us;
      costs[owner].bytes += scheduled[i].bytes;
      costs[owner].shared_by = std::max(costs[owner].shared_by, static_cast<int>(owners.size()));
    }
  }
  return costs;
}

Annotate annotate_with(std::vector<Cost> costs, int threads) {
  double hottest = 0;
  for (const Cost& cost : costs) hottest = std::max(hottest, cost.us);
  return [costs = std::move(costs), hottest, threads](std::int32_t id) {
    const Cost& cost = costs[static_cast<std::size_t>(id)];
    if (cost.us <= 0) return NodeNote{};
    NodeNote note{fmt::format("{:.1f} us, {:.1f} GB/s", cost.us, cost.bytes / cost.us * threads * 1e-3),
                  cost.us / hottest};
    if (cost.shared_by > 1) note.text += fmt::format(", one kernel of {} nodes", cost.shared_by);
    return note;
  };
}

std::string render(const Graph& graph, Format format, const std::string& stage, const Annotate& annotate) {
  DotOptions dot;
  dot.annotate = annotate;
  if (format == Format::dot) return to_dot(graph, dot);
  if (format == Format::svg) return to_svg(graph, dot);
  return format == Format::json ? to_json(graph, stage, annotate) : to_text(graph);
}

std::unique_ptr<Stages> compiled_stages(std::shared_ptr<const CompiledGraph> compiled) {
  auto stages = std::make_unique<Stages>();
  stages->graphs = {
      {"built", &compiled->built}, {"fused", &compiled->fused}, {"scheduled", &compiled->program->scheduled()}};
  stages->compiled = std::move(compiled);
  return stages;
}

// Without the scheduled stage, which takes laying all weights out.
std::unique_ptr<Stages> early_stages(Engine& engine, const CommonOptions& options, Phase phase) {
  auto stages = std::make_unique<Stages>();
  Runner runner(engine.model(), engine.options().runner());
  stages->built = built_step(runner, phase);
  stages->fused = engine.session().optimised(stages->built);
  engine.end_progress();
  stages->graphs = {{"built", &stages->built}, {"fused", &stages->fused}};
  return stages;
}

std::string count_table(const Json& counts) {
  std::string text = fmt::format("{:<10} {:>7} {:>7} {:>7} {:>10}\n", "stage", "nodes", "leaves", "views", "computing");
  for (const auto& [stage, count] : counts.items())
    text += fmt::format("{:<10} {:>7} {:>7} {:>7} {:>10}\n", stage, count["nodes"].get<int>(),
                        count["leaves"].get<int>(), count["views"].get<int>(), count["computing"].get<int>());
  return text;
}

int run_diff(const Options& options) {
  const Json difference = diff_graphs(read_graph_file(options.diff[0]), read_graph_file(options.diff[1]));
  if (options.common.json)
    print_json(difference);
  else
    print(diff_table(difference));
  return success;
}

int run(const Options& options) {
  if (!options.diff.empty()) return run_diff(options);
  if (options.common.model.empty()) fail_usage("graph: no model given; expected -m MODEL, or --diff A.json B.json");
  const Format format = format_of(options.output);
  if (options.profile && format == Format::text)
    fail_usage("--profile: the text form holds no times; expected .dot, .svg or .json");
  std::optional<OutputFile> file;
  if (format != Format::none) file.emplace(options.output);

  constexpr std::int64_t rows = 128, depth = 8;
  const bool early = !options.profile && !options.stage.empty() && options.stage != "scheduled";
  Engine engine(options.common, {}, early ? EngineUse::passes_only : EngineUse::programs);
  const Phase phase = parse_phase(options.phase);
  const std::string stage = options.stage.empty() ? "fused" : options.stage;
  std::unique_ptr<Stages> stages;
  Annotate annotate;
  if (options.profile) {
    const StepProfile profile = profile_step(engine, engine.options().runner(), phase, rows, depth);
    stages = compiled_stages(profile.compiled);
    annotate = annotate_with(stage == "scheduled" ? scheduled_costs(profile)
                                                  : costs_through_sources(profile, stages->at(stage), stage == "built"),
                             profile.threads);
  } else if (early) {
    stages = early_stages(engine, options.common, phase);
  } else {
    Runner runner(engine.model(), engine.options().runner());
    stages = compiled_stages(compile_step(engine, runner, phase));
  }

  const Graph& graph = stages->at(stage);
  if (file) {
    file->write(render(graph, format, stage, annotate));
    file->commit();
  }
  Json counts;
  for (const char* name : {"built", "fused", "scheduled"})
    if (stages->graphs.contains(name)) counts[name] = count_nodes(stages->at(name));
  if (options.common.json) {
    Json document = Json::parse(to_json(graph, stage, annotate));
    document["counts"] = counts;
    if (file) document["path"] = options.output;
    print_json(document);
  } else {
    print(count_table(counts));
    if (file) print(options.output + "\n");
  }
  return success;
}

}  // namespace

Command add_graph(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("graph", "show the graph of a step, or compare two saved graphs");
  add_common_options(*command, options->common, ModelOption::optional);
  command->add_option("--phase", options->phase, "decode or prefill")
      ->capture_default_str()
      ->check(CLI::IsMember({"prefill", "decode"}));
  command
      ->add_option(
          "--stage", options->stage,
          "built, fused (after the passes; shown unless said otherwise) or scheduled (what runs). built and fused "
          "leave the weights where they are and count no scheduled nodes")
      ->check(CLI::IsMember({"built", "fused", "scheduled"}));
  command->add_option("-o,--output", options->output, "file to write: .dot, .svg, .json or .txt")->type_name("FILE");
  command->add_flag("--profile", options->profile, "attach the times of a warm step");
  command->add_option("--diff", options->diff, "compare two saved graphs")->type_name("A.json B.json")->expected(2);
  return {command, [options] { return run(*options); }};
}

}  // namespace lazuli::tool
