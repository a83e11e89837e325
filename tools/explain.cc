// SPDX-License-Identifier: MIT
// lazuli explain: which fusions fired, why others did not, and which kernels run what is left.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/graph_engine.h>
#include <lazuli/tools/support/one_of.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/step_profile.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  GraphOptions graph;
  std::string phase = "decode", scope;
};

std::string text_of(const Scope::Ref& scope) { return scope ? *scope : std::string(); }

std::vector<std::string> scopes_of(const Graph& graph) {
  std::set<std::string> scopes;
  for (const GraphNode& node : graph.nodes)
    for (std::string scope = text_of(node.scope); !scope.empty();) {
      scopes.insert(scope);
      const std::size_t dot = scope.rfind('.');
      scope.resize(dot == std::string::npos ? 0 : dot);
    }
  return {scopes.begin(), scopes.end()};
}

std::string sources_text(const std::vector<Source>& from) {
  std::vector<std::string> nodes;
  for (const Source& source : from) nodes.push_back(fmt::format("%{} {}", source.node, source.name()));
  return fmt::format("{}", fmt::join(nodes, ", "));
}

// A place where a rule fired or declined. The driver sweeps more than once and may decline a place twice.
struct Site {
  std::string rule, scope, reason;
  bool fired;
  std::vector<Source> from;
};

std::vector<Site> sites_of(const std::vector<Verdict>& verdicts, std::string_view scope) {
  std::vector<Site> sites;
  std::set<std::tuple<std::string, bool, std::string, std::string, std::string>> seen;
  for (const Verdict& verdict : verdicts) {
    Site site{verdict.rule, text_of(verdict.scope), verdict.reason, verdict.fired, verdict.from};
    const bool is_new = seen.insert({site.rule, site.fired, site.scope, site.reason, sources_text(site.from)}).second;
    if (is_new && (holds_path(scope, site.scope) || verdict.node < 0)) sites.push_back(std::move(site));
  }
  return sites;
}

struct Launch {
  std::string op, scope, kernel, instructions, built_from;
  Type type;
};

std::vector<Launch> launches_of(const Program& program, std::string_view scope) {
  std::vector<Launch> launches;
  for (const ProgramStep& step : program.steps()) {
    const GraphNode& node = program.scheduled().nodes[static_cast<std::size_t>(step.node)];
    if (holds_path(scope, text_of(node.scope)))
      launches.push_back(
          {std::string(node.name()), text_of(node.scope), step.kernel, step.isa, sources_text(node.from), node.type()});
  }
  return launches;
}

std::string site_lines(const std::vector<Site>& sites) {
  std::string text;
  for (const Site& site : sites)
    text += fmt::format("  {:<16} {:<10} {:<24} {}{}\n", site.rule, site.fired ? "fired" : "not fired", site.scope,
                        site.fired || site.from.empty() ? site.reason : site.reason + "; at ", sources_text(site.from));
  return text.empty() ? "  no fusion found anything like its pattern here\n" : text;
}

// The whole model: the same verdict once, with how often it was given.
std::string site_summary(const std::vector<Site>& sites) {
  std::map<std::tuple<std::string, bool, std::string>, int> counts;
  for (const Site& site : sites) ++counts[{site.rule, !site.fired, site.reason}];
  std::string text;
  for (const auto& [key, count] : counts) {
    const auto& [rule, declined, reason] = key;
    text += fmt::format("  {:<16} {:<10} {:>5}  {}\n", rule, declined ? "not fired" : "fired", count, reason);
  }
  return text.empty() ? "  no fusion found anything like its pattern\n" : text;
}

std::string launch_lines(const std::vector<Launch>& launches) {
  std::string text;
  for (const Launch& launch : launches)
    text += fmt::format("  {:<24} {:<34} {:<14} {:<20} {:<24} {}\n", launch.op, launch.kernel, launch.instructions,
                        to_string(launch.type), launch.scope, launch.built_from);
  return text.empty() ? "  nothing: its values are views, folded or read elsewhere\n" : text;
}

std::string launch_summary(const std::vector<Launch>& launches) {
  std::map<std::tuple<std::string, std::string, std::string>, int> counts;
  for (const Launch& launch : launches) ++counts[{launch.op, launch.kernel, launch.instructions}];
  std::string text;
  for (const auto& [key, count] : counts) {
    const auto& [op, kernel, instructions] = key;
    text += fmt::format("  {:>5}  {:<36} {:<14} {}\n", count, op, instructions, kernel);
  }
  return text;
}

Json to_json(const std::vector<Site>& sites, const std::vector<Launch>& launches, const Options& options) {
  Json fusions = Json::array(), kernels = Json::array();
  const auto sources = [](const std::vector<Source>& from) {
    Json nodes = Json::array();
    for (const Source& source : from) nodes.push_back({{"node", source.node}, {"op", source.name()}});
    return nodes;
  };
  for (const Site& site : sites)
    fusions.push_back({{"rule", site.rule},
                       {"fired", site.fired},
                       {"reason", site.reason},
                       {"scope", site.scope},
                       {"from", sources(site.from)}});
  for (const Launch& launch : launches)
    kernels.push_back({{"op", launch.op},
                       {"kernel", launch.kernel},
                       {"instructions", launch.instructions},
                       {"type", to_string(launch.type)},
                       {"scope", launch.scope}});
  return {{"phase", options.graph.given() ? "" : options.phase},
          {"scope", options.scope},
          {"fusions", fusions},
          {"kernels", kernels}};
}

// What is explained.
struct Subject {
  std::string title, fusion;
  std::shared_ptr<const CompiledGraph> compiled;
  std::vector<Verdict> verdicts;
};

Subject model_step(const Options& options) {
  Subject subject;
  Engine engine(options.common, [&](Verdict verdict) { subject.verdicts.push_back(std::move(verdict)); });
  Runner runner(engine.model(), engine.options().runner());
  subject.compiled = compile_step(engine, runner, parse_phase(options.phase));
  subject.title = options.phase + " step";
  subject.fusion = engine.options().fusion;
  return subject;
}

Subject graph_of_file(const Options& options) {
  Subject subject;
  GraphEngine engine(options.common, options.graph,
                     [&](Verdict verdict) { subject.verdicts.push_back(std::move(verdict)); });
  subject.compiled = engine.compiled();
  subject.title = engine.file().name();
  subject.fusion = engine.options().fusion;
  return subject;
}

int run(const Options& options, const CLI::App& command) {
  check_subject(command, options.common, options.graph, {"--phase"});
  const Subject subject = options.graph.given() ? graph_of_file(options) : model_step(options);
  const std::shared_ptr<const CompiledGraph>& compiled = subject.compiled;
  const std::vector<std::string> scopes = scopes_of(compiled->built);
  if (!options.scope.empty() && !std::binary_search(scopes.begin(), scopes.end(), options.scope))
    fail_usage("--scope: the graph has no scope \"{}\"{}", options.scope, near_matches_text(options.scope, scopes));

  const std::vector<Site> sites = sites_of(subject.verdicts, options.scope);
  const std::vector<Launch> launches = launches_of(*compiled->program, options.scope);
  if (options.common.json) {
    print_json(to_json(sites, launches, options));
    return success;
  }
  const bool whole = options.scope.empty();
  print(fmt::format("{}{}, --fusion {}\n\nfusions\n{}\nwhat runs, in this order\n{}", subject.title,
                    whole ? "" : ", " + options.scope, subject.fusion, whole ? site_summary(sites) : site_lines(sites),
                    whole ? launch_summary(launches) : launch_lines(launches)));
  return success;
}

}  // namespace

Command add_explain(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("explain", "say which fusions fired, why others did not, and what runs");
  add_common_options(*command, options->common, ModelOption::optional);
  add_graph_options(*command, options->graph);
  command->add_option("--phase", options->phase, "decode or prefill")
      ->capture_default_str()
      ->check(one_of({"prefill", "decode"}));
  command->add_option("--scope", options->scope, "a part of the model, like layers.3.mlp (default: all of it)")
      ->type_name("SCOPE");
  return {command, [options, command] { return run(*options, *command); }};
}

}  // namespace lazuli::tool
