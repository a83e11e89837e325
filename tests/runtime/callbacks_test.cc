// SPDX-License-Identifier: MIT
// Callbacks of the options that use the session they belong to.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>

#include <functional>
#include <thread>
#include <vector>

namespace lazuli {
namespace {

Array weight(float value) { return constant(full({64, 64}, value) + 0.0); }
// Lays a weight out, and has loops and rules to say something of.
Array model(const Array& weight) { return softmax(gelu_tanh(linear(full({2, 64}, 1), weight) * 2.0) * 3.0); }

// What a callback may do.
const std::vector<std::function<void(Session&)>>& uses() {
  static const std::vector<std::function<void(Session&)>> all = {
      [](Session& session) { session.statistics(); },
      [](Session& session) { session.programs(); },
      [](Session& session) {
        const Array y = exp(full({64}, 1) + 1.0) * 3.0;
        session.eval(y);
        EXPECT_GT(y.data<float>()[0], 22);
      },
      [](Session& session) { session.eval(model(weight(0.25))); },
      [](Session& session) { session.plan({model(weight(0.5))}); },
      [](Session& session) { session.optimised(graph_of({exp(full({64}, 1) + 1.0) * 3.0})); },
  };
  return all;
}

using Install = std::function<void(SessionOptions&, std::function<void()>)>;

void expect_all_uses_work(const Install& install) {
  for (const auto& use : uses()) {
    int calls = 0;
    SessionOptions options;
    options.threads = 2;
    Session* session = nullptr;
    bool active = false;
    install(options, [&] {
      if (!active) return;
      ++calls;
      use(*session);
    });
    Session made(options);
    session = &made;
    const Array w = weight(0.5);
    active = true;
    const Array y = model(w);
    made.eval(y);
    EXPECT_GT(calls, 0);
    EXPECT_EQ(y.data<float>()[0], y.data<float>()[1]);
    active = false;
  }
}

TEST(Callbacks, OnWeightMayUseTheSession) {
  expect_all_uses_work([](SessionOptions& options, std::function<void()> body) {
    options.on_weight = [body = std::move(body)](const std::string&, std::int64_t) { body(); };
  });
}

TEST(Callbacks, OnVerdictMayUseTheSession) {
  expect_all_uses_work([](SessionOptions& options, std::function<void()> body) {
    options.on_verdict = [body = std::move(body)](const Verdict&) { body(); };
  });
}

TEST(Callbacks, OnPassMayUseTheSession) {
  expect_all_uses_work([](SessionOptions& options, std::function<void()> body) {
    options.on_pass = [body = std::move(body)](const PassReport&) { body(); };
  });
}

// One thread lays weights out and is told of them, another one keeps the session busy.
TEST(Callbacks, OnWeightMayEvaluateBesideOtherThreads) {
  SessionOptions options;
  options.threads = 2;
  Session* session = nullptr;
  int calls = 0;
  options.on_weight = [&](const std::string&, std::int64_t) {
    ++calls;
    const Array y = full({300, 300}, static_cast<float>(calls)) * 2.0;
    session->eval(y);
    EXPECT_EQ(y.data<float>()[0], static_cast<float>(2 * calls));
  };
  Session made(options);
  session = &made;
  std::vector<Array> weights;
  for (int i = 0; i < 10; ++i) weights.push_back(weight(static_cast<float>(i + 1)));
  std::thread beside([&] {
    const UseSession use(made);
    for (int i = 0; i < 50; ++i) {
      const Array x = full({300 + i, 300}, 1) + 1.0;
      made.async_eval(x);
      EXPECT_EQ(x.data<float>()[0], 2);
      made.statistics();
    }
  });
  for (const Array& w : weights) made.eval(model(w));
  beside.join();
  EXPECT_EQ(calls, 10);
}

// A thread that lays weights out from within a callback takes no word of them from others.
TEST(Callbacks, OnWeightTellsOfEachWeightOfEachThread) {
  SessionOptions options;
  options.threads = 2;
  Session* session = nullptr;
  int calls = 0;
  options.on_weight = [&](const std::string&, std::int64_t) {
    ++calls;
    session->eval(model(weight(static_cast<float>(-calls))));  // of its own it is not told
  };
  Session made(options);
  session = &made;
  const auto eval_models = [&](float sign) {
    const UseSession use(made);
    std::vector<Array> weights;
    for (int i = 0; i < 10; ++i) weights.push_back(weight(sign * static_cast<float>(i + 20)));
    for (const Array& w : weights) made.eval(model(w));
  };
  std::thread beside([&] { eval_models(1); });
  eval_models(-1);
  beside.join();
  EXPECT_EQ(calls, 20);
}

TEST(Callbacks, WhatOneCallThrowsLosesNoOther) {
  SessionOptions options;
  int calls = 0;
  options.on_weight = [&](const std::string&, std::int64_t) {
    if (++calls == 1) throw Error("enough");
  };
  Session session(options);
  const Array v = weight(0.5), w = weight(0.25);
  const auto both = [&] { return model(v) + model(w); };
  EXPECT_THROW(session.eval(both()), Error);
  session.eval(both());
  EXPECT_EQ(calls, 2);
}

TEST(Callbacks, WhatTheyThrowReachesTheCaller) {
  SessionOptions options;
  options.on_weight = [](const std::string&, std::int64_t) { throw Error("enough"); };
  Session session(options);
  const Array w = weight(0.5);
  EXPECT_THROW(session.eval(model(w)), Error);
  const Array y = model(w);
  session.eval(y);  // the weight is laid out by now
  EXPECT_EQ(y.data<float>()[0], y.data<float>()[1]);
}

}  // namespace
}  // namespace lazuli
