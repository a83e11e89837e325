// SPDX-License-Identifier: MIT
// A function saved with its weights, and loaded as another program would.
#include <lazuli/lazuli.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace lz = lazuli;

namespace {

lz::CompiledFunction make_classifier() {
  const lz::Array weight = lz::constant(lz::random::normal({3, 8}, lz::f32, 1), "weight");
  lz::CompileOptions options;
  options.argument_names = {"x"};
  return lz::compile(
      [=](const std::vector<lz::Array>& a) { return std::vector{lz::softmax(lz::linear(a[0], weight))}; }, options);
}

bool same(const lz::Array& a, const lz::Array& b) {
  const auto x = a.data<float>(), y = b.data<float>();
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

}  // namespace

int main() {
  const lz::Session session;
  const lz::Array x = lz::Array::from({0.5f, -1.0f, 2.0f, 0.0f, 1.5f, 0.25f, -0.75f, 1.0f}, {1, 8});
  const std::filesystem::path path = "classifier.lzg";

  const lz::CompiledFunction classify = make_classifier();
  lz::save(classify, {x}, path);  // for arguments of these types
  const lz::CompiledFunction loaded = lz::load(path);
  std::cout << lz::to_text(loaded.graph({x}));

  const bool equal = same(loaded(x)[0], classify(x)[0]);
  std::string refused;
  try {
    loaded(lz::Array::from({1.0f, 2.0f}, {1, 2}));
  } catch (const lz::Error& error) {
    refused = error.what();
    std::cout << refused << "\n";
  }
  return equal && refused == "call: argument 0 'x' is f32[1,2], expected f32[1,8]" ? 0 : 1;
}
