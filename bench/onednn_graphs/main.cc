// SPDX-License-Identifier: MIT
// Those of the plain graphs (plain_graphs/cases.cc) that oneDNN has primitives for, on request (plain_graphs/serve.h):
//   lazuli_onednn_graphs [--threads N]
// Its mean over columns is left out, since only its reference has one. Operations behind products and convolutions are
// their post-ops. Rows of bf16 have weights, operands of products and what passes between them in bf16; converting
// their input is part of the time.
#include <fmt/format.h>
#include <lazuli/bench/onednn_graphs/network.h>
#include <lazuli/bench/plain_graphs/serve.h>
#include <omp.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>

namespace lazuli::bench {
namespace {

using dnnl::memory;

memory mlp(Network& net, std::int64_t rows, Type type) {
  memory x = net.input({rows, 1024}, Tag::ab);
  if (type != Type::f32) x = net.converted(x, type);
  const memory hidden = net.dense(x, 4096, type, PostOps().then(Algorithm::eltwise_gelu_erf));
  return net.dense(hidden, 1024, Type::f32);
}

memory attention(Network& net, std::int64_t heads, std::int64_t rows, bool masked) {
  constexpr std::int64_t width = 64;
  const memory q = net.input({heads, rows, width}, Tag::abc);
  const memory k = net.input({heads, width, rows}, Tag::acb);  // turned where it lies
  const memory v = net.input({heads, rows, width}, Tag::abc);
  memory scores = net.product(q, k, {heads, rows, rows}, PostOps().then(Algorithm::eltwise_linear, 0.125f));
  // As a post-op, a mask that heads share is left to the reference product.
  if (masked) scores = net.elementwise(Algorithm::binary_add, scores, net.input({1, rows, rows}, Tag::abc));
  return net.product(net.softmax(scores), v, {heads, rows, width});
}

memory resnet_block(Network& net) {
  const auto relu = [] { return PostOps().then(Algorithm::eltwise_relu); };
  const memory x = net.input({1, 256, 56, 56}, Tag::nhwc);
  const memory narrow = net.convolution(x, 64, 1, false, relu());
  const memory middle = net.convolution(narrow, 64, 3, false, relu());
  return net.convolution(middle, 256, 1, false, PostOps().then(Algorithm::binary_add, x).then(Algorithm::eltwise_relu));
}

memory mobilenet_block(Network& net) {
  const auto relu6 = [] { return PostOps().then(Algorithm::eltwise_clip, 0, 6); };
  const memory x = net.input({1, 32, 56, 56}, Tag::nhwc);
  const memory wide = net.convolution(x, 192, 1, false, relu6());
  const memory depthwise = net.convolution(wide, 192, 3, true, relu6());
  return net.convolution(depthwise, 32, 1, false, PostOps().then(Algorithm::binary_add, x));
}

memory norm_chain(Network& net) {
  memory x = net.input({512, 1024}, Tag::ab);
  const memory y = net.input({1, 1024}, Tag::ab);
  for (int i = 0; i < 4; ++i) {
    const memory scale = net.weights({1024}, Tag::a, 0.5, 1);
    const memory shift = net.weights({1024}, Tag::a, 0.5);
    x = net.layer_norm(net.elementwise(Algorithm::binary_add, x, y), scale, shift);
  }
  return x;
}

memory softmax_chain(Network& net) {
  const memory x = net.input({512, 4096}, Tag::ab), y = net.input({1, 4096}, Tag::ab);
  const memory scores =
      net.elementwise(Algorithm::binary_mul, x, net.number(0.5f, 2), PostOps().then(Algorithm::binary_add, y));
  return net.elementwise(Algorithm::binary_mul, net.softmax(scores), x);
}

memory gelu_chain(Network& net) {
  const memory x = net.input({512, 4096}, Tag::ab), y = net.input({1, 4096}, Tag::ab);
  return net.elementwise(Algorithm::binary_mul, x, net.number(1.5f, 2),
                         PostOps()
                             .then(Algorithm::binary_add, y)
                             .then(Algorithm::eltwise_gelu_erf)
                             .then(Algorithm::binary_mul, x)
                             .then(Algorithm::binary_add, y));
}

using Build = std::function<memory(Network&)>;

std::vector<std::pair<std::string, Build>> graphs() {
  std::vector<std::pair<std::string, Build>> all;
  for (const auto& [name, type] : {std::pair("mlp", Type::f32), std::pair("mlp_bf16", Type::bf16)})
    for (const std::int64_t rows : {1, 16, 128, 512})
      all.emplace_back(fmt::format("{}/{}", name, rows),
                       [=, type = type](Network& net) { return mlp(net, rows, type); });
  for (const auto& [heads, rows] : {std::pair(8, 256), std::pair(12, 512)})
    for (const bool masked : {false, true})
      all.emplace_back(
          fmt::format("attention/{}x{}x64{}", heads, rows, masked ? "/mask" : ""),
          [heads = heads, rows = rows, masked](Network& net) { return attention(net, heads, rows, masked); });
  const std::pair<const char*, memory (*)(Network&)> others[] = {{"resnet_block", resnet_block},
                                                                 {"mobilenet_block", mobilenet_block},
                                                                 {"norm_chain", norm_chain},
                                                                 {"softmax_chain", softmax_chain},
                                                                 {"gelu_chain", gelu_chain}};
  for (const auto& [name, build] : others) all.emplace_back(name, build);
  return all;
}

class Runner : public GraphProgram {
 public:
  std::string version() const override {
    const dnnl_version_t& version = *dnnl_version();
    return fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
  }

  std::string names() const override {
    std::string names;
    for (const auto& [name, build] : graphs_) names += (names.empty() ? "" : " ") + name;
    return names;
  }

  void run(const std::string& name) override { prepare(name).network->run(); }

  std::span<const float> result(const std::string& name) override {
    const Ready& ready = prepare(name);
    return ready.network->values_of(ready.result);
  }

 private:
  struct Ready {
    std::unique_ptr<Network> network;
    memory result;
  };

  const Ready& prepare(const std::string& name) {
    const auto known = ready_.find(name);
    if (known != ready_.end()) return known->second;
    for (const auto& [other, build] : graphs_) {
      if (other != name) continue;
      auto network = std::make_unique<Network>();
      const memory result = build(*network);
      return ready_.emplace(name, Ready{std::move(network), result}).first->second;
    }
    throw Error("no graph is named " + name);
  }

  std::vector<std::pair<std::string, Build>> graphs_ = graphs();
  std::map<std::string, Ready> ready_;
};

}  // namespace
}  // namespace lazuli::bench

int main(int count, char** values) {
  for (int i = 1; i + 1 < count; i += 2)
    if (std::string_view(values[i]) == "--threads") omp_set_num_threads(std::atoi(values[i + 1]));
  try {
    lazuli::bench::Runner runner;
    return lazuli::bench::serve(runner, "lazuli_onednn_graphs");
  } catch (const std::exception& error) {
    std::cerr << "lazuli_onednn_graphs: " << error.what() << "\n";
    return 1;
  }
}
