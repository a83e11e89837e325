// SPDX-License-Identifier: MIT
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/ops/attention.h>
#include <lazuli/graph/ops/control_flow.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/tests/faults/work.h>
#include <lazuli/tests/support/golden_model.h>
#include <lazuli/tests/support/stored_function.h>

#include <cstring>

namespace lazuli::test {
namespace {

Array numbers(const Shape& shape) {
  return Array::from(stored_values(static_cast<std::size_t>(element_count(shape))), shape);
}

Bits hash_of(const LanguageModel& model) {
  const std::uint64_t hash = model.info().hash_weights();
  return {static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32),
          static_cast<std::uint32_t>(model.info().parameters)};
}

Bits parse_and_print() {
  const std::string text = to_text(parse_graph(small_text()));
  return {text.begin(), text.end()};
}

Bits save_and_load(const std::string& path) {
  const Session session(with_threads(1));
  save(stored_function(), stored_arguments(), path);
  const CompiledFunction loaded = load(path);
  return bits_of(loaded(stored_arguments())[0]);
}

}  // namespace

Bits bits_of(const Array& array) {
  Bits bits(static_cast<std::size_t>(array.type().elements()));
  const std::byte* bytes = array.bytes();
  std::memcpy(bits.data(), bytes, bits.size() * sizeof bits[0]);
  return bits;
}

SessionOptions with_threads(int threads) {
  SessionOptions options;
  options.threads = threads;
  return options;
}

std::vector<Array> small_graph() {
  const Scope scope("small");
  const Array x = numbers({6, 32}), weight = stored_constant(DType::q8_0, {48, 32}, "weight");
  const Array hidden = gelu_tanh(linear(x, weight)) * 0.5;
  const Array scores = softmax(matmul(hidden, transpose(hidden, {1, 0})) * 0.25, -1);
  const Array mixed = rms_norm(matmul(scores, hidden), stored_constant(DType::f32, {48}, "gain"), 1e-5);
  Array state = numbers({8, 48}) + 0.0;
  const Array written = slice_update(state, mixed, Array::from({1}, {}), 0);
  state = Array();
  const auto sums =
      scan([](const std::vector<Array>& carry,
              const std::vector<Array>& row) { return ScanValues{{carry[0] * 0.5 + row[0]}, {carry[0]}}; },
           {numbers({48})}, {written});
  return {mixed, written, sums.carry[0], sum(sums.ys[0], {0, 1})};
}

Bits run_small_graph(Session& session) {
  const std::vector<Array> results = small_graph();
  session.eval(results);
  Bits bits;
  for (const Array& result : results) {
    const Bits own = bits_of(result);
    bits.insert(bits.end(), own.begin(), own.end());
  }
  return bits;
}

std::string small_text() { return to_text(graph_of(small_graph())); }

Bits generate_few(const LanguageModel& model) {
  RunnerOptions runner;
  runner.chunk = 4;
  Conversation conversation(model, runner);
  conversation.append(std::vector<std::int32_t>{2, 5, 7, 11, 13, 17});
  GenerateOptions options;
  options.max_tokens = 3;
  const GenerateResult result = conversation.generate(options);
  return {result.ids.begin(), result.ids.end()};
}

std::vector<Work> all_work(const std::string& folder) {
  const auto load_only = [](const char* checkpoint) {
    return [checkpoint] { return hash_of(*load_model(golden_model_path(checkpoint))); };
  };
  return {
      {"parse", 150, parse_and_print},
      {"save and load", 60, [path = folder + "/function.lzg"] { return save_and_load(path); }},
      {"load gguf", 20, load_only("gemma4-e-gguf-q4_0")},
      {"load safetensors", 30, load_only(tiny_checkpoint)},
      {"load mlx", 20, load_only("gemma3n-mlx-4bit")},
      {"compile and run", 60,
       [] {
         Session session(with_threads(1));
         return run_small_graph(session);
       }},
      {"compile and run on threads", 30,
       [] {
         Session session(with_threads(3));
         return run_small_graph(session);
       }},
      {"generate", 25,
       [] {
         const Session session(with_threads(1));
         return generate_few(*load_model(golden_model_path(tiny_checkpoint)));
       }},
  };
}

}  // namespace lazuli::test
