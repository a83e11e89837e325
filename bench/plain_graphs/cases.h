// SPDX-License-Identifier: MIT
// Graphs that are no language models of ours: the layers other people's programs are made of. Each is built as a user
// would write it, and bench/peers/plain_graphs.py builds the same one as an ONNX model, weight for weight.
#pragma once

#include <lazuli/lazuli.h>

#include <functional>
#include <string>
#include <vector>

namespace lazuli::bench {

struct PlainGraph {
  std::string name;
  std::vector<Shape> inputs;  // f32
  // Makes its weights, so it is traced once.
  std::function<std::vector<Array>(const std::vector<Array>& inputs)> build;
};

std::vector<PlainGraph> plain_graphs();

}  // namespace lazuli::bench
