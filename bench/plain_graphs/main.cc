// SPDX-License-Identifier: MIT
// Runs plain graphs on request, for who takes turns with other programs (bench/peers/plain_graphs.py):
//   lazuli_plain_graphs [--threads N] [--fusion FUSION] [--precision fast|f32]
// reads lines and answers each with one:
//   list                 the names
//   time NAME SECONDS    microseconds of a warm call, the median of as many as the seconds hold, at least three
//   result NAME FILE     writes the result's f32, with inputs by formula (seed 1000 and up)
//   save NAME FILE       writes the function, for `lazuli profile --graph FILE` and the others
#include <lazuli/bench/plain_graphs/cases.h>
#include <lazuli/examples/formula_weights.h>
#include <lazuli/graph/files/graph_file.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

namespace lazuli::bench {
namespace {

class Runner {
 public:
  explicit Runner(const SessionOptions& options) : session_(options) {
    for (PlainGraph& graph : plain_graphs()) graphs_.push_back(std::move(graph));
  }

  std::string names() const {
    std::string names;
    for (const PlainGraph& graph : graphs_) names += (names.empty() ? "" : " ") + graph.name;
    return names;
  }

  double microseconds(const std::string& name, double seconds) {
    using Clock = std::chrono::steady_clock;
    const Ready& ready = prepare(name);
    std::vector<double> samples;
    const auto begin = Clock::now();
    while (samples.size() < 3 || std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
      const auto start = Clock::now();
      run(ready);
      samples.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    }
    std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2), samples.end());
    return samples[samples.size() / 2];
  }

  void write_result(const std::string& name, const std::string& path) {
    const Array result = run(prepare(name));
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(result.bytes()), static_cast<std::streamsize>(result.type().bytes()));
  }

  void write_function(const std::string& name, const std::string& path) {
    const Ready& ready = prepare(name);
    save(ready.function, ready.inputs, path);
  }

 private:
  struct Ready {
    std::vector<Array> inputs;
    CompiledFunction function;
  };

  const Ready& prepare(const std::string& name) {
    const auto known = ready_.find(name);
    if (known != ready_.end()) return known->second;
    const auto graph =
        std::find_if(graphs_.begin(), graphs_.end(), [&](const PlainGraph& g) { return g.name == name; });
    if (graph == graphs_.end()) throw Error("no graph is named " + name);
    Ready ready{{}, compile(graph->build)};
    std::uint32_t seed = 1000;
    for (const Shape& shape : graph->inputs) ready.inputs.push_back(formula_weights(shape, seed++, 1));
    const Ready& kept = ready_.emplace(name, std::move(ready)).first->second;
    run(kept);
    return kept;
  }

  Array run(const Ready& ready) {
    const std::vector<Array> results = session_.call(ready.function, ready.inputs);
    wait(results[0]);
    return results[0];
  }

  Session session_;
  std::vector<PlainGraph> graphs_;
  std::map<std::string, Ready> ready_;
};

int serve(const SessionOptions& options) {
  Runner runner(options);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command, name;
    words >> command >> name;
    if (command == "list") {
      std::cout << runner.names() << std::endl;
    } else if (double seconds = 0; command == "time" && words >> seconds) {
      std::cout << runner.microseconds(name, seconds) << std::endl;
    } else if (std::string path; command == "result" && words >> path) {
      runner.write_result(name, path);
      std::cout << path << std::endl;
    } else if (command == "save" && words >> path) {
      runner.write_function(name, path);
      std::cout << path << std::endl;
    } else {
      std::cerr << "lazuli_plain_graphs: unknown line: " << line << "\n";
      return 2;
    }
  }
  return 0;
}

}  // namespace
}  // namespace lazuli::bench

int main(int count, char** values) {
  lazuli::SessionOptions options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view option = values[i];
    if (option == "--threads") options.threads = std::atoi(values[i + 1]);
    if (option == "--fusion") options.fusion = values[i + 1];
    if (option == "--precision") options.precision = lazuli::parse_precision(values[i + 1]).value();
  }
  try {
    return lazuli::bench::serve(options);
  } catch (const std::exception& error) {
    std::cerr << "lazuli_plain_graphs: " << error.what() << "\n";
    return 1;
  }
}
