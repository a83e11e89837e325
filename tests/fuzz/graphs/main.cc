// SPDX-License-Identifier: MIT
// lazuli_graph_fuzz: random graphs, each run in several ways that must agree. Status 0 where all did, 1 where one did
// not, 2 for a bad command line.
#include <fmt/format.h>
#include <lazuli/tests/fuzz/graphs/fuzz.h>
#include <lazuli/tests/fuzz/graphs/shared_code.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace lazuli::fuzz {
namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
  std::uint64_t seed = 1, first = 0, graphs = 0;
  double seconds = 0;
  int threads = 2;
  std::string only, isa, plant;
  bool shrink = true, print = false, histogram = false;
  int findings = 10;  // then it ends
};

struct Total {
  std::mutex mutex;
  Counts counts;
  std::vector<std::string> findings;
  std::map<std::string, int> by_kind;
};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// What all threads did in a run.
class Run {
 public:
  Run(const Settings& settings, const Plant* plant) : settings_(settings), plant_(plant) {
    if (!settings.only.empty()) only_ = parse_op(settings.only);
    if (!settings.isa.empty()) levels_ = {*parse_isa(settings.isa)};
  }

  void run() {
    std::vector<std::thread> threads;
    for (int i = 0; i < settings_.threads; ++i) threads.emplace_back([this] { work(); });
    for (std::thread& thread : threads) thread.join();
  }

  const Total& total() const { return total_; }
  double seconds() const { return seconds_since(start_); }

 private:
  // Families stay on one thread, whose sessions have their kernels.
  void work() {
    Fuzzer fuzzer(levels_, plant_, settings_.shrink);
    Counts told;
    while (!ended()) {
      const std::uint64_t begin = next_.fetch_add(family_size);
      if (settings_.graphs > 0 && begin >= settings_.graphs) break;
      for (std::uint64_t i = begin; i < begin + family_size && !ended(); ++i) {
        if (settings_.graphs > 0 && i >= settings_.graphs) break;
        if (const auto finding = fuzzer.try_graph({settings_.seed, settings_.first + i, only_});
            finding && is_new(*finding))
          tell(*finding);
      }
      tell_progress(fuzzer.counts(), told);
    }
    tell_progress(fuzzer.counts(), told);
  }

  // A plant is found where nothing fails without it.
  bool is_new(const Finding& finding) const {
    return plant_ == nullptr || !Fuzzer(levels_, nullptr, false).try_graph(finding.place);
  }

  bool ended() const { return stop_.load() || (settings_.seconds > 0 && seconds() > settings_.seconds); }

  void tell(const Finding& finding) {
    const std::lock_guard lock(total_.mutex);
    ++total_.by_kind[finding.what];
    total_.findings.push_back(to_string(finding));
    if (plant_ == nullptr) fmt::print("{}\n", total_.findings.back());
    std::fflush(stdout);
    if (plant_ != nullptr || static_cast<int>(total_.findings.size()) >= settings_.findings) stop_ = true;
  }

  void tell_progress(const Counts& counts, Counts& told) {
    constexpr double between = 30;
    const std::lock_guard lock(total_.mutex);
    total_.counts += Counts{counts.graphs - told.graphs,       counts.runs - told.runs,
                            counts.spellings - told.spellings, counts.by_node - told.by_node,
                            counts.levels - told.levels,       counts.refused_spellings - told.refused_spellings};
    told = counts;
    if (plant_ != nullptr || seconds() < told_at_ + between) return;
    told_at_ = seconds();
    fmt::print("{} graphs in {:.0f} s, {:.0f} a second, {} findings\n", total_.counts.graphs, seconds(),
               static_cast<double>(total_.counts.graphs) / seconds(), total_.findings.size());
    std::fflush(stdout);
  }

  const Settings& settings_;
  const Plant* plant_;
  std::optional<Op> only_;
  std::vector<Isa> levels_;
  Clock::time_point start_ = Clock::now();
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> stop_{false};
  double told_at_ = 0;
  Total total_;
};

int fuzz(const Settings& settings) {
  Run run(settings, nullptr);
  run.run();
  const Counts& counts = run.total().counts;
  const CodeStatistics code = code_statistics();
  fmt::print(
      "seed {}: {} graphs in {:.1f} s, {:.0f} a second, {:.0f} for each second of a core; {} runs, {} of equal "
      "spellings, {} by node, {} at two "
      "levels; {} kernels generated, {} shared; {} findings\n",
      settings.seed, counts.graphs, run.seconds(), static_cast<double>(counts.graphs) / run.seconds(),
      static_cast<double>(counts.graphs) / cpu_seconds(), counts.runs, counts.spellings, counts.by_node, counts.levels,
      code.generated, code.shared, run.total().findings.size());
  for (const auto& [kind, count] : run.total().by_kind) fmt::print("  {}: {}\n", kind, count);
  return run.total().findings.empty() ? 0 : 1;
}

// How many of the graphs have a node of each op, without running any.
int show_histogram(const Settings& settings) {
  std::map<Op, int> graphs_with;
  for (std::uint64_t i = 0; i < settings.graphs; ++i) {
    std::set<Op> ops;
    for (const GraphNode& node : generate({settings.seed, settings.first + i, {}}).graph.nodes) ops.insert(node.op);
    for (const Op op : ops) ++graphs_with[op];
  }
  for (const OpInfo& op : all_ops()) fmt::print("{} {}\n", graphs_with[op.op], op.name);
  return 0;
}

// Whether the plants are found, each within the graphs given.
int find_plants(const Settings& settings) {
  int missed = 0;
  for (const Plant& plant : plants()) {
    if (settings.plant != "all" && plant.name != settings.plant) continue;
    Run run(settings, &plant);
    run.run();
    const bool found = !run.total().findings.empty();
    missed += found ? 0 : 1;
    fmt::print("{} {} ({}): {} graphs, {:.1f} s\n", found ? "found" : "MISSED", plant.name, plant.says,
               run.total().counts.graphs, run.seconds());
    if (found && settings.print) fmt::print("{}\n", run.total().findings[0]);
    std::fflush(stdout);
  }
  return missed == 0 ? 0 : 1;
}

int main_of(int argc, char** argv) {
  Settings settings;
  CLI::App app("Random graphs, each run in several ways that must agree", "lazuli_graph_fuzz");
  app.add_option("--seed", settings.seed, "of all graphs");
  app.add_option("--first", settings.first, "number of the first graph");
  app.add_option("--graphs", settings.graphs, "how many; 0: as the time allows");
  app.add_option("--seconds", settings.seconds, "then it ends; 0: as the graphs need");
  app.add_option("--threads", settings.threads, "of this program, each with sessions of its own")
      ->check(CLI::Range(1, 256));
  app.add_option("--only", settings.only, "graphs with this op")->check([](const std::string& name) {
    return parse_op(name) ? "" : "no op of this name";
  });
  app.add_option("--isa", settings.isa, "scalar, avx2, avx512 or amx; all that the host has where it is not given")
      ->check([](const std::string& name) {
        const auto isa = parse_isa(name);
        return isa && supported(*isa) ? "" : "no level of this host";
      });
  app.add_option("--plant", settings.plant, "a miscompilation to be found, or all")->check([](const std::string& name) {
    return name == "all" || find_plant(name) ? "" : "no plant of this name";
  });
  app.add_flag("--shrink,!--no-shrink", settings.shrink, "make what fails smaller");
  app.add_flag("--histogram", settings.histogram, "how many of the graphs have each op; runs none");
  app.add_flag("--print", settings.print, "also how plants were found");
  app.add_option("--findings", settings.findings, "ends after so many");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : (app.exit(error), 2);
  }
  if (settings.graphs == 0 && settings.seconds == 0) settings.graphs = 1000;
  if (settings.histogram) return show_histogram(settings);
  return settings.plant.empty() ? fuzz(settings) : find_plants(settings);
}

}  // namespace
}  // namespace lazuli::fuzz

int main(int argc, char** argv) { return lazuli::fuzz::main_of(argc, argv); }
