// SPDX-License-Identifier: MIT
// What a program says when a step of it fails.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/cpu/program/cpu_program.h>
#include <lazuli/tests/support/error_of.h>

#include <functional>
#include <memory>
#include <new>

namespace lazuli::cpu {
namespace {

std::string error_of_step(const std::function<void()>& work) {
  Lowered lowered;
  const Scope scope("layers", 3);
  GraphNode node;
  node.op = Op::concatenate;
  node.scope = Scope::current();
  lowered.scheduled.add(node);
  Step step;
  step.described = node;
  step.run = [work](Memory&, std::int64_t, std::int64_t, int) { work(); };
  lowered.steps.push_back(step);
  ThreadPool executor(1);
  CpuProgram program(std::move(lowered), std::make_shared<Runtime>(executor, ""));
  return test::error_of<ExecutionError>([&] { program.execute({}, {}, {}, nullptr, nullptr); });
}

TEST(CpuProgram, ErrorsNameTheNode) {
  EXPECT_EQ(error_of_step([] { throw Error("no such row"); }), "concatenate: no such row (in layers.3)");
}

TEST(CpuProgram, LackOfMemoryNamesTheNode) {
  EXPECT_EQ(error_of_step([] { throw std::bad_alloc(); }), "concatenate: out of memory (in layers.3)");
}

}  // namespace
}  // namespace lazuli::cpu
