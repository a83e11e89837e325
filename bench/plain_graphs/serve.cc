// SPDX-License-Identifier: MIT
#include <lazuli/bench/plain_graphs/serve.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <sstream>
#include <vector>

namespace lazuli::bench {
namespace {

double microseconds(GraphProgram& graphs, const std::string& name, double seconds) {
  using Clock = std::chrono::steady_clock;
  graphs.run(name);
  std::vector<double> samples;
  const auto begin = Clock::now();
  while (samples.size() < 3 || std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
    const auto start = Clock::now();
    graphs.run(name);
    samples.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2), samples.end());
  return samples[samples.size() / 2];
}

void write_result(GraphProgram& graphs, const std::string& name, const std::string& path) {
  graphs.run(name);
  const std::span<const float> values = graphs.result(name);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
}

}  // namespace

int serve(GraphProgram& graphs, const char* program) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command, name;
    words >> command >> name;
    try {
      if (command == "version") {
        std::cout << graphs.version() << std::endl;
      } else if (command == "list") {
        std::cout << graphs.names() << std::endl;
      } else if (double seconds = 0; command == "time" && words >> seconds) {
        std::cout << microseconds(graphs, name, seconds) << std::endl;
      } else if (std::string path; command == "result" && words >> path) {
        write_result(graphs, name, path);
        std::cout << path << std::endl;
      } else {
        std::cerr << program << ": unknown line: " << line << "\n";
        return 2;
      }
    } catch (const std::exception& error) {
      std::cerr << program << ": " << error.what() << " (" << line << ")\n";
      return 1;
    }
  }
  return 0;
}

}  // namespace lazuli::bench
