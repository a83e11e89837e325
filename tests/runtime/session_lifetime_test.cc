// SPDX-License-Identifier: MIT
// Sessions as objects: which one is current, on which thread they end, and what wrong calls get.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace lazuli {
namespace {

using Floats = std::vector<float>;
using test::error_of;

Array vector(Floats values) { return Array::from(values, {static_cast<std::int64_t>(values.size())}); }

Floats floats(const Array& array) {
  const auto data = array.data<float>();
  return {data.begin(), data.end()};
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void on_another_thread(const std::function<void()>& body) { std::thread(body).join(); }

float doubled(float value) { return (vector({value}) * 2.0).item<float>(); }

TEST(SessionLifetime, IsCurrentOnItsThreadAlone) {
  Session session;
  std::string error;
  on_another_thread([&] { error = error_of([] { doubled(1); }); });
  EXPECT_TRUE(contains(error, "no session on this thread")) << error;
  EXPECT_TRUE(contains(error, "lazuli::UseSession")) << error;
  float value = 0;
  on_another_thread([&] {
    const UseSession use(session);
    value = doubled(2);
  });
  EXPECT_EQ(value, 4);
}

TEST(SessionLifetime, EvaluatesOnAnyThread) {
  Session session;
  on_another_thread([&] {
    const Array x = vector({1, 2}) + 1.0, y = x * 2.0;
    session.eval({x, y});
    EXPECT_EQ(floats(y), Floats({4, 6}));
    const Array later = y * 2.0;
    session.async_eval(later);
    EXPECT_EQ(floats(later), Floats({8, 12}));
    const CompiledFunction square = compile([](const std::vector<Array>& a) { return std::vector{a[0] * a[0]}; });
    EXPECT_EQ(floats(session.call(square, {x})[0]), Floats({4, 9}));
    EXPECT_FALSE(has_evaluator());
  });
}

TEST(SessionLifetime, EndsOnAnotherThread) {
  auto session = std::make_unique<Session>();
  EXPECT_EQ(doubled(1), 2);
  on_another_thread([&] { session.reset(); });
  EXPECT_FALSE(has_evaluator());
  EXPECT_TRUE(contains(error_of([] { doubled(1); }), "no session on this thread"));
  Session next;
  EXPECT_EQ(doubled(3), 6);
}

TEST(SessionLifetime, EndsInAnyOrder) {
  auto first = std::make_unique<Session>();
  auto second = std::make_unique<Session>();
  auto third = std::make_unique<Session>();
  EXPECT_EQ(current_evaluator(), third->evaluator());
  second.reset();
  EXPECT_EQ(current_evaluator(), third->evaluator());
  third.reset();
  EXPECT_EQ(current_evaluator(), first->evaluator());
  EXPECT_EQ(doubled(1), 2);
  first.reset();
  EXPECT_FALSE(has_evaluator());
}

TEST(SessionLifetime, AUseEndsOnAnotherThread) {
  Session outer;
  Session inner;
  auto use = std::make_unique<UseSession>(outer);
  EXPECT_EQ(current_evaluator(), outer.evaluator());
  on_another_thread([&] { use.reset(); });
  EXPECT_EQ(current_evaluator(), inner.evaluator());
}

TEST(SessionLifetime, MovesWithItsState) {
  std::vector<Session> sessions;
  sessions.emplace_back();
  const std::shared_ptr<Evaluator> evaluator = sessions[0].evaluator();
  for (int i = 0; i < 3; ++i) sessions.emplace_back();
  EXPECT_EQ(sessions[0].evaluator(), evaluator);
  sessions.resize(1);
  EXPECT_EQ(current_evaluator(), evaluator);
  Session moved = std::move(sessions[0]);
  EXPECT_EQ(doubled(1), 2);
  EXPECT_TRUE(contains(error_of([&] { sessions[0].synchronize(); }), "moved"));
  EXPECT_TRUE(contains(error_of([&] { sessions[0].eval(vector({1}) + 1.0); }), "moved"));
}

TEST(SessionLifetime, ResultsOutliveIt) {
  Array y;
  {
    Session session;
    y = vector({1, 2}) * 3.0;
    async_eval(y);
  }
  EXPECT_EQ(floats(y), Floats({3, 6}));
}

// Beside static objects of whatever generates its code.
TEST(SessionLifetime, AStaticOneEndsWithTheProcess) {
  const pid_t process = fork();
  if (process == 0) {
    alarm(60);
    SessionOptions options;
    options.disk_cache = false;
    static Session session(options);
    static const Array y = exp(vector({1, 2}) + 1.0) * 3.0;
    session.eval(y);
    std::exit(floats(y).size() == 2 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(process, &status, 0), process);
  EXPECT_EQ(status, 0);
}

// Calls that hand programs and memory over directly.

TEST(GraphCalls, RunsOnArrays) {
  Session session;
  const Graph graph = graph_of({placeholder({DType::f32, {2}}) * placeholder({DType::f32, {2}})});
  EXPECT_EQ(floats(session.run(graph, {vector({1, 2}), vector({3, 4}) + 1.0})[0]), Floats({4, 10}));
  EXPECT_EQ(error_of([&] { session.run(graph, {vector({1, 2})}); }), "run: 1 arrays given, expected 2");
  EXPECT_EQ(error_of([&] { session.run(graph, {vector({1, 2}), vector({1})}); }),
            "run: array 1 is f32[1], expected f32[2]");
  EXPECT_EQ(error_of([&] { session.run(graph, {vector({1, 2}), Array()}); }), "run: array 1 is empty");
}

TEST(GraphCalls, AnInputMayBeAResult) {
  Session session;
  const Array x = placeholder({DType::f32, {2}});
  const Array given = vector({1, 2});
  EXPECT_EQ(floats(session.run(graph_of({x}), {given})[0]), Floats({1, 2}));
}

TEST(GraphCalls, WhatIsUpdatedIsCopiedUnlessGivenUp) {
  Session session;
  const Array state = placeholder({DType::f32, {2, 2}}), row = placeholder({DType::f32, {1, 2}});
  const Graph graph = graph_of({slice_update(state, row, 0, 0)});
  const Array given = Array::from({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2});
  const Array rows = Array::from({8.0f, 9.0f}, {1, 2});
  EXPECT_EQ(floats(session.run(graph, {given, rows})[0]), Floats({8, 9, 3, 4}));
  const int donated[] = {0};
  const auto program = session.prepare(graph, donated);
  const auto results = session.run(program, {{given.node()->results()[0], false}, {rows.node()->results()[0], false}},
                                   numbers_of(graph), /*stream=*/0, /*wait=*/true);
  EXPECT_EQ(results[0].buffer->as<float>()[0], 8);
  EXPECT_EQ(floats(given), Floats({1, 2, 3, 4}));
}

TEST(GraphCalls, ChecksProgramsAndOperands) {
  Session session, other;
  const Graph graph = graph_of({placeholder({DType::f32, {64, 64}}) * 2.0});
  const Operand small{vector({1, 2}).node()->results()[0], false};
  const auto program = session.prepare(graph);
  const NumbersRef numbers = numbers_of(graph);
  EXPECT_EQ(error_of([&] { session.run(nullptr, {small}, numbers, 0, true); }), "run: no program was given");
  EXPECT_EQ(error_of([&] { other.run(program, {small}, numbers, 0, true); }),
            "run: the program was prepared by another session");
  EXPECT_EQ(error_of([&] { session.run(program, {}, numbers, 0, true); }), "run: 0 operands given, expected 1");
  EXPECT_EQ(error_of([&] { session.run(program, {small}, numbers, 0, true); }),
            "run: operand 0 has 8 bytes, expected 16384 of f32[64,64]");
  EXPECT_EQ(error_of([&] { session.run(program, {small}, nullptr, 0, true); }), "run: 0 numbers given, expected 1");
  EXPECT_EQ(error_of([&] { session.run(program, {Operand{}}, numbers, 0, true); }), "run: operand 0 has no memory");
  EXPECT_EQ(error_of([&] { session.observe(nullptr, nullptr); }), "run: no program was given");
  const int beyond[] = {1};
  EXPECT_EQ(error_of([&] { session.prepare(graph, beyond); }),
            "prepare: input 1 is donated, expected one of the graph's 1 inputs");
  Graph broken = graph;
  broken.nodes.back().inputs[0].node = 99;
  EXPECT_THROW(session.prepare(broken), Error);
  EXPECT_THROW(session.optimised(broken), Error);
}

}  // namespace
}  // namespace lazuli
