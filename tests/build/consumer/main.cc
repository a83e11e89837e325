// SPDX-License-Identifier: MIT
// A program of somebody else: it runs a session, loads and runs a model, and catches what the library throws.
//   consumer MODEL ID...      prints the ids that follow these
#include <lazuli/lazuli.h>
#include <lazuli/models.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace lz = lazuli;

namespace {

void check(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

void run_session(lz::Session& session) {
  const lz::Array x = lz::Array::from({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2});
  const lz::Array y = lz::gelu_tanh(lz::linear(x, x)) * lz::linear(x, x);
  check(lz::to_text(session.plan({y})).find("gelu_mul") != std::string::npos, "the plan has no gelu_mul");
  check(lz::sum(lz::matmul(x, x), {0, 1}).item<float>() == 54, "the product is wrong");
  const lz::CompiledFunction twice = lz::compile(
      [](const std::vector<lz::Array>& arguments) -> std::vector<lz::Array> { return {arguments[0] + arguments[0]}; });
  const lz::Profile profile = lz::profile(session, [&] { lz::wait(twice({x})[0]); });
  check(profile.nodes.size() == 1, "the profile has another number of nodes");
  check(lz::to_dot(profile.scheduled()).starts_with("digraph"), "the picture is none");
}

// Exceptions and dynamic casts cross the boundary of a shared library.
void catch_errors() {
  bool thrown = false;
  try {
    lz::load_model("/nonexistent/model.gguf");
  } catch (const lz::Error& error) {
    thrown = dynamic_cast<const lz::InternalError*>(&error) == nullptr;
  }
  check(thrown, "a missing model is no error, or an internal one");
  const auto refuse = [](lz::Graph, lz::PassContext&) -> lz::Graph { throw lz::Error("refused"); };
  lz::Session session({.threads = 1, .disk_cache = false, .passes = {{"refuse", refuse}}});
  try {
    session.eval(lz::exp(lz::Array::from({1.0f}, {1})));
    thrown = false;
  } catch (const lz::Error& error) {
    thrown = dynamic_cast<const lz::CompileError*>(&error) != nullptr;
  }
  check(thrown, "an error in a pass is none of compiling");
}

void run_model(const char* path, std::vector<std::int32_t> ids) {
  const std::unique_ptr<lz::LanguageModel> model = lz::load_model(path);
  lz::RunnerOptions runner;
  runner.kv_dtype = lz::f32;
  lz::Conversation conversation(*model, runner);
  conversation.append(ids);
  lz::GenerateOptions options;
  options.max_tokens = 4;
  options.on_token = [](std::int32_t id, const std::string&) { return std::printf("%d ", id) > 0; };
  conversation.generate(options);
  std::puts("");
}

}  // namespace

int main(int argc, char** argv) try {
  check(argc > 2, "usage: consumer MODEL ID...");
  check(std::strcmp(lz::version(), LAZULI_VERSION_STRING) == 0, "headers and library are of different versions");
  lz::Session session({.threads = 2, .precision = lz::Precision::f32, .disk_cache = false});
  run_session(session);
  catch_errors();
  std::vector<std::int32_t> ids;
  for (int i = 2; i < argc; ++i) ids.push_back(std::stoi(argv[i]));
  run_model(argv[1], ids);
} catch (const std::exception& error) {
  std::fprintf(stderr, "consumer: %s\n", error.what());
  return 1;
}
