// SPDX-License-Identifier: MIT
// Runs that end early: one that another thread cancels, one whose time is up. A state that is held survives both.
#include <lazuli/lazuli.h>

#include <chrono>
#include <iostream>
#include <stop_token>
#include <thread>

namespace lz = lazuli;

namespace {

// A thousand kernels, one after the other.
std::vector<lz::Array> long_step(const std::vector<lz::Array>& arguments) {
  const lz::Scope scope("long_step");
  lz::Array state = arguments[0];
  for (int i = 0; i < 1000; ++i) state = lz::matmul(state, arguments[1]);
  return {state};
}

// How a result came about: its value is there, or the error says why not.
std::string outcome(const lz::Array& result) {
  try {
    lz::wait(result);
    return "through";
  } catch (const lz::Error& error) {
    std::cout << error.what() << "\n";
    return error.details().scope + ": " + std::string(to_string(error.kind()));
  }
}

}  // namespace

int main() {
  lz::Session session;
  const lz::CompiledFunction step = lz::compile(long_step);
  const lz::Array state = lz::full({192, 192}, 1) + 0.0, identity = lz::full({192, 192}, 1.0 / 192) + 0.0;
  session.eval({state, identity});

  std::stop_source stop;
  const lz::Array first = session.call(step, {state, identity}, {}, {.stop = stop.get_token()})[0];
  std::thread([&] { stop.request_stop(); }).join();  // as when a client hangs up
  const std::string cancelled = outcome(first);

  const auto deadline = std::chrono::steady_clock::now() + std::chrono::microseconds(1);
  const std::string late = outcome(session.call(step, {state, identity}, {}, {.deadline = deadline})[0]);

  const std::string through = outcome(session.call(step, {state, identity})[0]);
  const bool right = cancelled == "long_step: cancelled" && late == "long_step: deadline" && through == "through";
  return right && state.data<float>()[0] == 1 ? 0 : 1;
}
