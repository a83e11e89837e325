// SPDX-License-Identifier: MIT
// lazuli graph: the graph of a step, as built, after the passes, or as it runs.
#include <fmt/format.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/graph/graph_costs.h>
#include <lazuli/tools/graph/graph_diff.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/graph_engine.h>
#include <lazuli/tools/support/one_of.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/step_profile.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <optional>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  GraphOptions graph;
  std::string save, weights = "inside";
  std::string phase = "decode", stage, output;  // no stage: fused is drawn, all are counted
  std::string format;                           // none: by the ending of the file
  bool profile = false, collapse = false;
  std::vector<std::string> expand, diff;
};

const std::vector<std::string> stage_names = {"built", "fused", "scheduled"}, phase_names = {"prefill", "decode"},
                               format_names = {"dot", "svg", "json", "txt", "model-explorer"},
                               weight_storages = {"inside", "by-reference"};

// SVGs of more nodes than this, leaves and views aside, show layers that are alike once.
constexpr int large_picture = 60;
constexpr std::string_view all_layers = "all";

enum class Format { none, dot, svg, json, text, model_explorer };

bool is_picture(Format format) { return format == Format::dot || format == Format::svg; }

Format format_of(const Options& options) {
  if (options.output.empty()) return Format::none;
  constexpr std::pair<std::string_view, Format> endings[] = {{"dot", Format::dot},
                                                             {"svg", Format::svg},
                                                             {"json", Format::json},
                                                             {"txt", Format::text},
                                                             {"model-explorer", Format::model_explorer}};
  const std::string& path = options.output;
  const std::string ending = options.format.empty() ? path.substr(path.rfind('.') + 1) : options.format;
  for (const auto& [name, format] : endings)
    if (ending == name && (!options.format.empty() || path.size() > name.size() + 1)) return format;
  fail_usage("-o: {} ends in none of .dot, .svg, .json and .txt; expected that, or --format", path);
}

// The stages of a step that were made; a later stage may be missing.
struct Stages {
  std::shared_ptr<const CompiledGraph> compiled;
  std::map<std::string, const Graph*> graphs;
  Graph built, fused;  // where the step was not compiled
  CompiledFunction function;
  std::vector<Array> arguments;  // of the step as it was built

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

// Whether layers that are alike are drawn once.
bool collapses(const Options& options, Format format, const Graph& graph) {
  const bool all = std::find(options.expand.begin(), options.expand.end(), all_layers) != options.expand.end();
  if (all || !is_picture(format)) return false;
  if (options.collapse || !options.expand.empty()) return true;
  return format == Format::svg && count_nodes(graph)["computing"].get<int>() > large_picture;
}

void check_expanded(const Options& options, const Graph& graph) {
  if (options.expand.empty()) return;
  std::vector<std::string> names = CollapsedGraph::names(graph);
  names.emplace_back(all_layers);
  for (const std::string& scope : options.expand)
    if (std::find(names.begin(), names.end(), scope) == names.end())
      fail_usage("--expand: the graph has no layer \"{}\"{}", scope, near_matches_text(scope, names));
}

std::string render(const Graph& graph, Format format, const std::string& stage, const Annotate& annotate,
                   const CollapsedGraph* collapsed) {
  DotOptions dot;
  dot.annotate = annotate;
  dot.collapsed = collapsed;
  dot.views = !collapsed;
  switch (format) {
    case Format::dot:
      return to_dot(graph, dot);
    case Format::svg:
      return to_svg(graph, dot);
    case Format::json:
      return to_json(graph, stage, annotate);
    case Format::model_explorer:
      return to_model_explorer(graph, fmt::format("{} {}", to_string(graph.phase), stage), annotate);
    default:
      return to_text(graph);
  }
}

std::unique_ptr<Stages> compiled_stages(std::shared_ptr<const CompiledGraph> compiled) {
  auto stages = std::make_unique<Stages>();
  stages->graphs = {
      {"built", &compiled->built}, {"fused", &compiled->fused}, {"scheduled", &compiled->program->scheduled()}};
  stages->compiled = std::move(compiled);
  return stages;
}

// Without the scheduled stage, which takes laying all weights out.
std::unique_ptr<Stages> early_stages(Session& session, const CompiledFunction& function,
                                     const std::vector<Array>& arguments) {
  auto stages = std::make_unique<Stages>();
  stages->built = function.graph(arguments);
  stages->fused = session.optimised(stages->built);
  stages->graphs = {{"built", &stages->built}, {"fused", &stages->fused}};
  return stages;
}

// A session with a model or with the graph of a file.
class Source {
 public:
  Source(const Options& options, bool early) : options_(options), early_(early) {
    if (options.graph.given())
      file_.emplace(options.common, options.graph);
    else
      model_.emplace(options.common, nullptr, early ? EngineUse::passes_only : EngineUse::programs);
  }

  std::unique_ptr<Stages> stages(std::optional<Profile>& profile) {
    std::optional<Runner> runner;
    if (model_) runner.emplace(model_->model(), model_->options().runner());
    const Phase phase = parse_phase(options_.phase);
    const Runner::Step step =
        model_ ? next_step(*runner, phase) : Runner::Step{file_->file().function(), file_->file().arguments()};
    std::unique_ptr<Stages> stages;
    if (options_.profile) {
      constexpr std::int64_t rows = 128, depth = 8;
      profile = model_ ? profile_step(*model_, model_->options().runner(), phase, rows, depth) : file_->profile();
      stages = compiled_stages(profile->compiled);
    } else if (early_) {
      stages = early_stages(model_ ? model_->session() : file_->session(), step.function, step.arguments);
    } else {
      stages = compiled_stages(std::static_pointer_cast<const CompiledGraph>(step.function.executable(step.arguments)));
    }
    if (model_) model_->end_progress();
    stages->function = step.function;
    stages->arguments = step.arguments;
    return stages;
  }

 private:
  const Options& options_;
  const bool early_;
  std::optional<Engine> model_;
  std::optional<GraphEngine> file_;
};

void save_stage(const Options& options, const Stages& stages, const std::string& stage) {
  SaveOptions save_options;
  if (options.weights == "by-reference") save_options.weights = WeightStorage::by_reference;
  if (stage == "built")
    save(stages.function, stages.arguments, options.save, save_options);
  else
    save(stages.at(stage), options.save, save_options);
}

std::string count_table(const Json& counts) {
  std::string text = fmt::format("{:<10} {:>7} {:>7} {:>7} {:>10}\n", "stage", "nodes", "leaves", "views", "computing");
  for (const auto& [stage, count] : counts.items())
    text += fmt::format("{:<10} {:>7} {:>7} {:>7} {:>10}\n", stage, count["nodes"].get<int>(),
                        count["leaves"].get<int>(), count["views"].get<int>(), count["computing"].get<int>());
  return text;
}

int run_diff(const Options& options) {
  const GraphDifference difference = diff_graphs(read_saved_graph(options.diff[0]), read_saved_graph(options.diff[1]));
  if (options.common.json)
    print_json(to_json(difference));
  else
    print(to_table(difference));
  return success;
}

// The stage that is shown; a function is saved as it was built unless another stage is asked for.
std::string shown_stage(const Options& options) {
  if (!options.stage.empty()) return options.stage;
  return options.save.empty() ? "fused" : "built";
}

void check(const Options& options, const CLI::App& command, Format format) {
  if (options.graph.given() || !options.graph.inputs.empty() || !options.common.model.empty())
    check_subject(command, options.common, options.graph, {"--phase"});
  else
    fail_usage("graph: no model given; expected -m MODEL, --graph FILE, or --diff A.json B.json");
  if (!options.format.empty() && options.output.empty()) fail_usage("--format: nothing is written; expected -o FILE");
  if ((options.collapse || !options.expand.empty()) && !is_picture(format))
    fail_usage("{}: only pictures show layers once; expected -o FILE.svg or FILE.dot",
               options.collapse ? "--collapse" : "--expand");
  if (options.profile && format == Format::text)
    fail_usage("--profile: the text form holds no times; expected .dot, .svg or .json");
  if (command.count("--weights") > 0 && options.save.empty())
    fail_usage("--weights: nothing is saved; expected --save FILE");
  if (!options.save.empty() && options.stage == "scheduled")
    fail_usage("--save: the scheduled stage lists launches and cannot run; expected --stage built or fused");
}

int run(const Options& options, const CLI::App& command) {
  if (!options.diff.empty()) {
    if (!options.format.empty()) fail_usage("--format: a comparison is text, or JSON with --json");
    return run_diff(options);
  }
  const Format format = format_of(options);
  check(options, command, format);
  std::optional<OutputFile> file;
  if (format != Format::none) file.emplace(options.output);

  const std::string stage = shown_stage(options);
  const bool chosen = !options.stage.empty() || !options.save.empty();
  Source source(options, /*early=*/!options.profile && chosen && stage != "scheduled");
  std::optional<Profile> profile;
  const std::unique_ptr<Stages> stages = source.stages(profile);

  const Graph& graph = stages->at(stage);
  check_expanded(options, graph);
  std::optional<CollapsedGraph> collapsed;
  if (collapses(options, format, graph)) collapsed.emplace(graph, options.expand);
  const CollapsedGraph* drawn_once = collapsed ? &*collapsed : nullptr;
  const auto annotate = [&](const CollapsedGraph* shown) {
    return profile ? annotate_with(node_costs(*profile, graph, stage), shown) : Annotate();
  };
  if (!options.save.empty()) save_stage(options, *stages, stage);
  if (file) {
    file->write(render(graph, format, stage, annotate(drawn_once), drawn_once));
    file->commit();
  }
  Json counts;
  for (const char* name : {"built", "fused", "scheduled"})
    if (stages->graphs.contains(name)) counts[name] = count_nodes(stages->at(name));
  if (options.common.json) {
    Json document = Json::parse(to_json(graph, stage, annotate(nullptr)));
    document["counts"] = counts;
    if (file) document["path"] = options.output;
    if (!options.save.empty()) document["saved"] = options.save;
    print_json(document);
  } else {
    print(count_table(counts));
    if (file) print(options.output + "\n");
    if (!options.save.empty()) print(options.save + "\n");
  }
  return success;
}

}  // namespace

Command add_graph(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("graph", "show the graph of a step, or compare two saved graphs");
  add_common_options(*command, options->common, ModelOption::optional);
  add_graph_options(*command, options->graph);
  command
      ->add_option(
          "--save", options->save,
          "write the step, or the graph of --graph, as a function that lazuli::load and --graph take: as it is "
          "built, or with --stage fused after the passes")
      ->type_name("FILE.lzg");
  command->add_option("--weights", options->weights, "of --save: inside, or by-reference to the model's files")
      ->capture_default_str()
      ->check(one_of(weight_storages));
  command->add_option("--phase", options->phase, "decode or prefill")
      ->capture_default_str()
      ->check(one_of(phase_names));
  command
      ->add_option(
          "--stage", options->stage,
          "built, fused (after the passes; shown unless said otherwise) or scheduled (what runs). built and fused "
          "leave the weights where they are and count no scheduled nodes")
      ->check(one_of(stage_names));
  command->add_option("-o,--output", options->output, "file to write: .dot, .svg, .json or .txt")->type_name("FILE");
  command
      ->add_option("--format", options->format,
                   "of the file, whatever its ending: dot, svg, json, txt, or model-explorer (JSON for that viewer)")
      ->check(one_of(format_names));
  command->add_flag("--collapse", options->collapse,
                    fmt::format("draw layers that are alike once, without views; done anyway in an .svg of more than "
                                "{} nodes that compute",
                                large_picture));
  command
      ->add_option("--expand", options->expand,
                   "layers to draw by themselves in such a picture: layers.3, layers, or all")
      ->type_name("SCOPE");
  command->add_flag("--profile", options->profile, "attach the times of a warm step");
  command->add_option("--diff", options->diff, "compare two saved graphs")->type_name("A.json B.json")->expected(2);
  return {command, [options, command] { return run(*options, *command); }};
}

}  // namespace lazuli::tool
