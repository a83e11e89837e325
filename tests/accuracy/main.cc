// SPDX-License-Identifier: MIT
// Measures the largest error of every elementwise function and writes the tables of docs/numerics.md between its marks.
//   lazuli_accuracy [--step N] [--page FILE]
// f32: every N-th value by its bits, 251 unless told, 1 for all; 16 bits: all values; f64 and two operands:
// pseudo-random ones. Without a page the tables go to standard output.
#include <fmt/format.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/accuracy/measure.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace lazuli::test {
namespace {

constexpr std::size_t chunk = std::size_t{1} << 20;
constexpr int random_chunks = 4;

void take_larger(LargestError& largest, const LargestError& other) {
  if (other.ulps > largest.ulps) largest = other;
}

std::string number(double value) { return fmt::format("{:.8g}", value); }
std::string ulps(double value) { return value == 0 ? "0" : fmt::format("{:.2f}", value); }

std::string row(const UnaryFunction& function, std::uint64_t step) {
  LargestError f32, f64;
  for (std::uint64_t first = 0; first < std::uint64_t{1} << 32; first += chunk * step) {
    const std::uint64_t left = ((std::uint64_t{1} << 32) - first + step - 1) / step;
    take_larger(f32, largest_error(function, f32_values(first, step, std::min<std::uint64_t>(chunk, left))));
  }
  for (int i = 0; i < random_chunks; ++i)
    take_larger(f64, largest_error(function, f64_values(static_cast<std::uint64_t>(i), chunk)));
  std::string besides;
  if (function.beside > 0) besides = fmt::format(" or 2^{} · abs(x)", std::ilogb(function.beside));
  if (function.below > 0) besides = fmt::format(" or 2^{}", std::ilogb(function.below));
  return fmt::format("| {} | {}{} | {} | {} | {} | {} | {} | {} |\n", function.name, function.ulps, besides,
                     ulps(f32.ulps), f32.ulps == 0 ? "" : number(f32.at), function.ulps_f64, ulps(f64.ulps),
                     ulps(largest_error_16(function, DType::f16).ulps),
                     ulps(largest_error_16(function, DType::bf16).ulps));
}

std::string row(const BinaryFunction& function) {
  LargestError f32, f64;
  for (std::uint64_t i = 0; i < random_chunks; ++i) {
    take_larger(f32, largest_error(function, f32_random_values(2 * i, chunk), f32_random_values(2 * i + 1, chunk)));
    take_larger(f64, largest_error(function, f64_values(2 * i, chunk), f64_values(2 * i + 1, chunk)));
  }
  return fmt::format("| {} | {} | {} | {} | {} | {} | | |\n", function.name, function.ulps, ulps(f32.ulps),
                     f32.ulps == 0 ? "" : number(f32.at) + ", " + number(f32.second), function.ulps_f64,
                     ulps(f64.ulps));
}

std::string table_of_errors(std::uint64_t step) {
  std::string text =
      "| function | f32, at most | f32, found | at | f64, at most | f64, found | f16, found | bf16, found |\n"
      "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |\n";
  for (const UnaryFunction& function : unary_functions()) {
    text += row(function, step);
    fmt::print(stderr, "{}", text.substr(text.rfind('\n', text.size() - 2) + 1));
  }
  for (const BinaryFunction& function : binary_functions()) text += row(function);
  return text;
}

// Puts `text` between the lines <!-- NAME:begin --> and <!-- NAME:end -->.
void replace(std::string& page, const std::string& name, const std::string& text) {
  const std::string begin = "<!-- " + name + ":begin -->\n", end = "<!-- " + name + ":end -->";
  const std::size_t from = page.find(begin), to = page.find(end);
  if (from == std::string::npos || to == std::string::npos)
    throw std::runtime_error("the page has no marks " + name + ":begin and " + name + ":end");
  page.replace(from + begin.size(), to - from - begin.size(), text);
}

int run(std::span<char* const> arguments) {
  std::uint64_t step = 251;
  std::string page;
  for (std::size_t i = 1; i + 1 < arguments.size(); i += 2) {
    const std::string_view option = arguments[i];
    if (option == "--step")
      step = std::strtoull(arguments[i + 1], nullptr, 10);
    else if (option == "--page")
      page = arguments[i + 1];
    else
      step = 0;
  }
  if (step == 0 || arguments.size() % 2 == 0) {
    fmt::print(stderr, "usage: lazuli_accuracy [--step N] [--page FILE]\n");
    return 2;
  }
  Session session;
  const std::string errors = table_of_errors(step), special = table_of_special_values();
  if (page.empty()) {
    fmt::print("{}\n{}", errors, special);
    return 0;
  }
  std::stringstream text;
  text << std::ifstream(page).rdbuf();
  std::string content = text.str();
  const std::uint64_t values = ((std::uint64_t{1} << 32) + step - 1) / step;
  replace(content, "errors",
          fmt::format("f32: {} of its 2³² values (`lazuli_accuracy --step {}`); two operands and f64: {} pseudo-random "
                      "ones; 16 bits: all.\n\n{}",
                      step == 1 ? "all" : std::to_string(values), step, chunk * random_chunks, errors));
  replace(content, "special", special);
  std::ofstream(page) << content;
  return 0;
}

}  // namespace
}  // namespace lazuli::test

int main(int count, char** arguments) {
  try {
    return lazuli::test::run({arguments, static_cast<std::size_t>(count)});
  } catch (const std::exception& error) {
    fmt::print(stderr, "lazuli_accuracy: {}\n", error.what());
    return 1;
  }
}
