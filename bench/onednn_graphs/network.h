// SPDX-License-Identifier: MIT
// A sequence of oneDNN's primitives, which run one after the other. Weights lie in the layouts that it chooses; inputs,
// results and what passes between primitives lie row by row, images with their channels last. Of oneDNN 3, and of 2
// before it, in which a description of a primitive was two objects.
#pragma once

#include <lazuli/examples/formula_weights.h>

#include <dnnl.hpp>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lazuli::bench {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;
using Algorithm = dnnl::algorithm;
using Arguments = std::unordered_map<int, dnnl::memory>;

// What follows a primitive in the same pass over its result.
class PostOps {
 public:
  PostOps& then(Algorithm function, float alpha = 0, float beta = 0);
  PostOps& then(Algorithm operation, const dnnl::memory& other);  // which broadcasts

  dnnl::primitive_attr attributes() const;
  const Arguments& arguments() const { return arguments_; }

 private:
  dnnl::post_ops ops_;
  Arguments arguments_;
};

class Network {
 public:
  // The next of the inputs, by formula: seed 1000 and up.
  dnnl::memory input(const Dims& sizes, Tag tag);
  // The next weights by formula, with `offset` added.
  dnnl::memory weights(const Dims& sizes, Tag tag, double scale, float offset = 0);
  dnnl::memory number(float value, int rank);

  // x [.., rows, inputs] times weight [.., inputs, outputs].
  dnnl::memory product(const dnnl::memory& x, const dnnl::memory& y, const Dims& result, const PostOps& behind = {});
  // x times the transpose of the next weights [outputs, inputs], plus the next weights [outputs].
  dnnl::memory dense(const dnnl::memory& x, std::int64_t outputs, Type result, const PostOps& behind = {});
  // Of size x size pixels, with the next kernel and bias, padded to the size of x.
  dnnl::memory convolution(const dnnl::memory& x, std::int64_t outputs, std::int64_t size, bool depthwise,
                           const PostOps& behind = {});
  dnnl::memory elementwise(Algorithm operation, const dnnl::memory& x, const dnnl::memory& y,
                           const PostOps& behind = {});
  dnnl::memory softmax(const dnnl::memory& x);  // over the last axis
  dnnl::memory layer_norm(const dnnl::memory& x, const dnnl::memory& scale, const dnnl::memory& shift);
  dnnl::memory converted(const dnnl::memory& x, Type type);

  void run();
  std::span<const float> values_of(const dnnl::memory& result) const;

 private:
  dnnl::memory allocate(const Dims& sizes, Type type, Tag tag) { return {{sizes, type, tag}, engine_}; }
  dnnl::memory filled(const Dims& sizes, Tag tag, std::uint32_t seed, double scale, float offset);
  // Laid out anew, once and for all.
  dnnl::memory laid_out(const dnnl::memory& values, const dnnl::memory::desc& layout);
  void add(dnnl::primitive primitive, Arguments arguments, const PostOps& behind = {});

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::uint32_t next_input_ = 1000, next_weight_ = 1;
  std::vector<std::pair<dnnl::primitive, Arguments>> steps_;
};

}  // namespace lazuli::bench
