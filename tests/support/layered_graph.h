// SPDX-License-Identifier: MIT
// The text of a small graph of layers, for tests of what is shown by layer.
#pragma once

#include <fmt/format.h>

#include <string>

namespace lazuli::test {

struct LayeredGraph {
  int layers = 6;
  int different = 2;          // this layer has another attribute; -1: none
  bool border_nodes = false;  // fused nodes without a scope between the layers
  std::string extra;          // a node in layer 3, reading %a3, result %e3
};

// Each layer reads the one before, the input "positions", its cache and weight, and its slice of "per_layer".
inline std::string layered_graph(const LayeredGraph& of = {}) {
  std::string text = R"(%x = input "x" f32[2,8]
%positions = input "positions" i32[2]
%per_layer = input "per_layer" f32[2,64]
)";
  for (int i = 0; i < of.layers; ++i) text += fmt::format("%cache{0} = input \"cache.{0}\" f32[2,8]\n", i);
  text += "%h0 = neg %x @embed\n";
  for (int i = 0; i < of.layers; ++i) {
    const std::string scope = fmt::format("@layers.{}", i);
    text += fmt::format("%w{0} = constant \"blk.{0}.up.weight\" f32[8,8]\n", i);
    text += fmt::format("%a{0} = linear %h{0}, %w{0} {1}.mlp\n", i, scope);
    std::string value = fmt::format("%a{}", i);
    if (i == 3 && !of.extra.empty()) {
      text += of.extra + "\n";
      value = "%e3";
    }
    text += fmt::format("%r{0} = rms_norm {1}, %norm {{epsilon={2}}} {3}.mlp\n", i, value,
                        i == of.different ? "0.5" : "0.25", scope);
    text +=
        fmt::format("%s{0} = slice %per_layer {{begin=[0,{1}], end=[2,{2}], step=[1,1]}} {3}\n", i, i, i + 8, scope);
    text += fmt::format("%c{0} = add %r{0}, %cache{0} {1}\n", i, scope);
    text += fmt::format("%t{0} = mul %c{0}, %s{0} {1}\n", i, scope);
    if (of.border_nodes)
      text += fmt::format(R"(%h{1} = fused %t{0}, %h{0} {{name=add_neg}} : f32[2,8] {{
  %0 = input f32[2,8]
  %1 = input f32[2,8]
  %2 = add %0, %1
  %3 = neg %2
  return %3
}}
)",
                          i, i + 1);
    else
      text += fmt::format("%h{1} = add %t{0}, %h{0} {2}\n", i, i + 1, scope);
  }
  text += fmt::format("%y = tanh %h{0} @head\nreturn %y \"logits\"", of.layers);
  for (int i = 0; i < of.layers; ++i) text += fmt::format(", %c{0} \"cache.{0}\"", i);
  text.insert(0, "%norm = constant \"norm.weight\" f32[8]\n");
  return text;
}

}  // namespace lazuli::test
