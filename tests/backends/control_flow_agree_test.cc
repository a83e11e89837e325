// SPDX-License-Identifier: MIT
// Control flow on the cpu backend: what the reference backend gives, the same bits for any number of threads, fused or
// not, and what else a step with bodies must not break.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/ops/control_flow.h>
#include <lazuli/graph/ops/operators.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/quantisation.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/expect_elements.h>
#include <lazuli/tests/support/launches.h>

#include <chrono>
#include <functional>
#include <stop_token>
#include <thread>

namespace lazuli {
namespace {

using test::caught;
using Arrays = std::vector<Array>;
using Build = std::function<Arrays()>;

constexpr double exact = 0, rounded = 1e-5;  // numbers that are added and multiplied alone; and others

SessionOptions on(const char* backend, int threads = 1, std::string fusion = "all") {
  SessionOptions options;
  options.backend = backend;
  options.threads = threads;
  options.fusion = std::move(fusion);
  options.disk_cache = false;
  options.verify = true;
  return options;
}

Array input(Shape shape, std::uint32_t seed, DType dtype = DType::f32) {
  const Type type{dtype, std::move(shape)};
  return Array::from(test::random_buffer(type, seed), type);
}

Array constant(Shape shape, std::uint32_t seed, DType dtype = DType::f32) {
  const Type type{dtype, std::move(shape)};
  return Array::constant(test::random_buffer(type, seed, -0.5, 0.5), type, "w");
}

Array full_of(float value, Shape shape = {}) {
  const Type type{DType::f32, std::move(shape)};
  return Array::from(test::buffer_of(type, std::vector<double>(static_cast<std::size_t>(type.elements()), value)),
                     type);
}

struct Values {
  std::vector<Type> types;
  std::vector<BufferRef> buffers;
};

Values evaluated(const Build& build, SessionOptions options) {
  Session session(std::move(options));
  const Arrays arrays = build();
  session.eval(arrays);
  Values values;
  for (const Array& array : arrays) {
    array.bytes();
    values.types.push_back(array.type());
    values.buffers.push_back(array.node()->results()[static_cast<std::size_t>(array.output())].buffer);
  }
  return values;
}

void expect_same_bits(const Values& a, const Values& b, const std::string& what) {
  for (std::size_t i = 0; i < a.types.size(); ++i)
    EXPECT_TRUE(test::same_bits(a.types[i], *a.buffers[i], *b.buffers[i])) << what << ", result " << i;
}

// What the reference gives; the same bits on 1, 2 and 3 threads, fused and not.
void expect_agrees(const Build& build, double tolerance = rounded) {
  const Values expected = evaluated(build, on("reference")), found = evaluated(build, on("cpu"));
  for (std::size_t i = 0; i < expected.types.size(); ++i)
    EXPECT_LE(test::max_difference(expected.types[i], *expected.buffers[i], *found.buffers[i]), tolerance)
        << "result " << i << ", " << to_string(expected.types[i]);
  for (const int threads : {2, 3})
    expect_same_bits(found, evaluated(build, on("cpu", threads)), fmt::format("{} threads", threads));
  for (const int threads : {1, 3})
    expect_same_bits(found, evaluated(build, on("cpu", threads, "none")), fmt::format("unfused, {} threads", threads));
}

Arrays joined(ScanValues values) {
  Arrays all = std::move(values.carry);
  all.insert(all.end(), values.ys.begin(), values.ys.end());
  return all;
}

// What a condition's steps prepare of a carry changes with it.
TEST(ControlFlowAgree, ConditionsThatMultiplyCarries) {
  expect_agrees([] {
    const Array weight = constant({16, 64}, 3), quantised = quantise(weight, DType::q8_0), plain = input({8, 64}, 4);
    const auto grow = [](const Arrays& c) { return Arrays{c[0] * 1.5f, c[1] + 1}; };
    Arrays results;
    for (const auto& condition : std::vector<std::function<Array(const Arrays&)>>{
             [&](const Arrays& c) { return max(abs(linear(c[0], quantised))) < 40.0f; },
             [&](const Arrays& c) { return max(abs(linear(c[0], weight))) < 40.0f; },
             [&](const Arrays& c) { return max(abs(matmul(plain, swap_axes(c[0], 0, 1)))) < 40.0f; }}) {
      const Arrays last = while_loop(condition, grow, {input({5, 64}, 1), full_of(0)});
      results.insert(results.end(), last.begin(), last.end());
    }
    return results;
  });
}

TEST(ControlFlowAgree, ScanOfAnyDtypeLengthAndDirection) {
  for (const DType dtype : test::plain_dtypes())
    for (const std::int64_t length : {0, 1, 2, 5})
      for (const bool reverse : {false, true}) {
        SCOPED_TRACE(fmt::format("{}, length {}{}", to_string(dtype), length, reverse ? ", reverse" : ""));
        expect_agrees(
            [&] {
              return joined(scan(
                  [&](const Arrays& h, const Arrays& x) {
                    const Array next = dtype == DType::bool_ ? logical_and(logical_not(h[0]), x[0]) : h[0] - x[0];
                    return ScanValues{{next}, {next, h[0]}};
                  },
                  {input({3, 7}, 1, dtype)}, {input({length, 3, 7}, 2, dtype)}, {.reverse = reverse}));
            },
            is_real(dtype) && byte_size(dtype, 1) == 2 ? 4e-2 : exact);
      }
}

TEST(ControlFlowAgree, SequencesLieAnyWay) {
  const auto scanned = [](const Array& xs) {
    expect_agrees([&] {
      return joined(scan([](const Arrays& h, const Arrays& x) { return ScanValues{{h[0] + x[0]}, {h[0] * x[0]}}; },
                         {input({xs.size(1)}, 1)}, {xs}));
    });
  };
  scanned(transpose(input({17, 5}, 2), {1, 0}));
  scanned(slice(input({11, 9}, 3), {1, 0}, {11, 9}, {3, 2}));
  scanned(slice(input({6, 4}, 4), {5, 0}, {-1, 4}, {-1, 1}));
  scanned(broadcast_to(input({1, 6}, 5), {4, 6}));
  scanned(exp(input({4, 6}, 6)));
  scanned(constant({4, 6}, 7));
}

TEST(ControlFlowAgree, ResultsOfABodyThatComputesNothing) {
  const Array captured = input({4}, 9);
  expect_agrees([&] {
    return joined(scan(
        [&](const Arrays& c, const Arrays& x) {
          // Two carries change places, one stays, one becomes what is captured, one an element.
          return ScanValues{{c[1], c[0], c[2], captured, x[0]}, {x[0], c[0], captured, c[0], full({2}, 3)}};
        },
        {input({4}, 1), input({4}, 2), input({4}, 3), input({4}, 4), input({4}, 5)}, {input({3, 4}, 6)}));
  });
}

TEST(ControlFlowAgree, CarriesThatChangeInPlace) {
  // A buffer that each iteration writes a row of, and reads before and after.
  expect_agrees([&] {
    return joined(scan(
        [&](const Arrays& c, const Arrays& x) {
          const Array updated = slice_update(c[0], reshape(x[0], {1, 5}), reshape(c[1], {}), 0);
          return ScanValues{{updated, c[1] + 1}, {sum(updated, {0}), sum(c[0], {0})}};
        },
        {input({4, 5}, 1), Array::from({0}, {})}, {input({4, 5}, 2)}));
  });
  // One that is written into becomes another carry.
  expect_agrees([&] {
    return joined(scan(
        [&](const Arrays& c, const Arrays& x) {
          return ScanValues{{c[1] * 2, slice_update(c[0], reshape(x[0], {1, 5}), Array::from({1}, {}), 0)}, {}};
        },
        {input({4, 5}, 1), input({4, 5}, 3)}, {input({5, 5}, 2)}));
  });
  expect_agrees([&] {
    return while_loop([](const Arrays& c) { return c[1] < 3; },
                      [](const Arrays& c) { return Arrays{slice_update(c[0], full({1, 5}, 7), c[1], 0), c[1] + 1}; },
                      {input({4, 5}, 1), Array::from({0}, {})});
  });
}

// The operand of a carry is not the body's to write, whoever else reads it.
TEST(ControlFlowAgree, OperandsStayAsTheyAre) {
  expect_agrees([&] {
    const Array start = exp(input({4, 5}, 1));
    const ScanValues values = scan(
        [&](const Arrays& c, const Arrays& x) {
          return ScanValues{{slice_update(c[0], reshape(x[0], {1, 5}), Array::from({1}, {}), 0)}, {start + c[0]}};
        },
        {start}, {input({3, 5}, 2)});
    return Arrays{values.carry[0], values.ys[0], start + 1.0f};
  });
}

TEST(ControlFlowAgree, SliceUpdatesOfWhatIsCaptured) {
  expect_agrees([&] {
    const Array base = exp(input({4, 5}, 1));
    const ScanValues values = scan(
        [&](const Arrays& c, const Arrays& x) {
          const Array updated = slice_update(base, reshape(x[0], {1, 5}), Array::from({1}, {}), 0);
          return ScanValues{{c[0] + updated}, {updated}};
        },
        {input({4, 5}, 2)}, {input({3, 5}, 3)});
    return Arrays{values.carry[0], values.ys[0], base};
  });
}

TEST(ControlFlowAgree, WeightsThatAreCaptured) {
  for (const DType dtype : {DType::f32, DType::f16, DType::q8_0}) {
    const Array weight = constant({32, 32}, 1, dtype), narrow = constant({7, 32}, 2, dtype);
    expect_agrees(
        [&] {
          return joined(scan(
              [&](const Arrays& h, const Arrays& x) {
                const Array next = tanh(linear(h[0], weight) + x[0]);
                return ScanValues{{next}, {linear(next, narrow)}};
              },
              {input({3, 32}, 3)}, {input({6, 3, 32}, 4)}));
        },
        2e-2);
  }
}

// Matrices that are no constants are put into the form of the kernels once, before the loop.
TEST(ControlFlowAgree, MatricesThatAreCaptured) {
  const auto build = [] {
    const Array weight = input({40, 64}, 1), other = transpose(input({40, 64}, 2), {1, 0});
    return joined(scan(
        [&](const Arrays& h, const Arrays& x) {
          return ScanValues{{matmul(linear(h[0], weight), transpose(other, {1, 0})) * 1e-2f + x[0]}, {h[0]}};
        },
        {input({8, 64}, 3)}, {input({4, 8, 64}, 4)}));
  };
  expect_agrees(build, 1e-3);
  Session session(on("cpu"));
  const std::vector<std::string> names = test::launches(session, {build()[0]});
  EXPECT_GT(names.size(), 1u) << "something comes before";
  EXPECT_EQ(names.back(), "scan");
}

TEST(ControlFlowAgree, OpsWithStepsOfTheirOwn) {
  expect_agrees([&] {
    const Array table = input({9, 8}, 5), keys = input({8, 6}, 6);
    return joined(scan(
        [&](const Arrays& h, const Arrays& x) {
          const Array scores = softmax(matmul(h[0], keys), -1);
          const Arrays best = make_node(Op::top_k, TopKAttrs{2}, {scores});
          const Array rows = take(table, x[0], 0);
          const Array joined = concatenate({rms_norm(h[0], 1e-5), rows}, 0);
          const Array next = slice(cumsum(joined, 0), {1, 0}, {4, 8}, {1, 1});
          return ScanValues{{next * 0.125f}, {best[0], best[1], argmax(scores, 1)}};
        },
        {input({3, 8}, 7)}, {Array::from({0, 3, 8, 1, 1, 1}, {2, 3})}));
  });
}

TEST(ControlFlowAgree, LoopsAndBranchesNest) {
  expect_agrees([&] {
    const Array steps = Array::from({3, 0, 2, 1}, {4}), scale = exp(input({2, 5}, 1));
    return joined(scan(
        [&](const Arrays& outer, const Arrays& x) {
          const Arrays inner =
              while_loop([](const Arrays& c) { return c[0] > 0; },
                         [&](const Arrays& c) {
                           const Arrays next = cond(
                               x[0] > c[0], [&](const Arrays& v) { return Arrays{v[0] * scale, sum(v[0])}; },
                               [&](const Arrays& v) { return Arrays{v[0] + outer[0], max(scale)}; }, {c[1]});
                           return Arrays{c[0] - 1, next[0] + next[1] * 0.5f};
                         },
                         {x[0], outer[0]});
          const ScanValues rows =
              scan([&](const Arrays& h, const Arrays& row) { return ScanValues{{h[0] * 0.5f + row[0]}, {h[0]}}; },
                   {input({5}, 3)}, {inner[1]}, {.reverse = true});
          return ScanValues{{tanh(inner[1])}, {rows.carry[0], rows.ys[0]}};
        },
        {input({2, 5}, 2)}, {steps}));
  });
}

// One row of these is enough work to be shared.
constexpr std::int64_t wide = 40000;

TEST(ControlFlowAgree, IterationsThatAllWorkersShare) {
  expect_agrees([&] {
    const Array scale = input({wide}, 1);
    return joined(scan(
        [&](const Arrays& c, const Arrays& x) {
          const Array total = sum(c[0]);  // by one worker, of what all have written
          const Array next = c[0] * 0.5f + x[0] * scale + total * 1e-6f;
          return ScanValues{{next, total}, {next}};
        },
        {input({wide}, 2), full_of(0)}, {input({4, wide}, 3)}));
  });
  expect_agrees([&] {
    return while_loop([](const Arrays& c) { return sum(abs(c[0])) > 100; },
                      [](const Arrays& c) { return Arrays{c[0] * 0.25f, c[1] + 1}; },
                      {input({wide}, 4), Array::from({0}, {})});
  });
}

TEST(ControlFlowAgree, SharedMatmulsInBodies) {
  const Array up = constant({512, 256}, 1), down = constant({256, 512}, 2);
  expect_agrees(
      [&] {
        return joined(scan(
            [&](const Arrays& h, const Arrays& x) {
              const Array next = rms_norm(linear(silu(linear(h[0], up)), down) + x[0], 1e-5);
              return ScanValues{{next}, {sum(next, {1})}};
            },
            {input({2, 256}, 3)}, {input({5, 2, 256}, 4)}));
      },
      5e-2);
}

TEST(ControlFlowAgree, BranchesThatAllWorkersShare) {
  for (const bool which : {false, true})
    expect_agrees([&] {
      const Array x = exp(input({wide}, 1)), flag = Array::from({which}, {});
      const Arrays values = cond(
          flag, [&](const Arrays& v) { return Arrays{v[0] * 2.0f + x}; },
          [&](const Arrays& v) { return Arrays{v[0] - x}; }, {input({wide}, 2)});
      return Arrays{values[0] + 1.0f, x};
    });
}

// What lies around a loop: results of the program that it reads, and memory that it shares in turns.
TEST(ControlFlowAgree, AmongOtherSteps) {
  expect_agrees(
      [&] {
        const Array a = exp(input({300}, 1)), b = tanh(a) + 1.0f, c = cumsum(b, 0);
        const ScanValues first =
            scan([&](const Arrays& h, const Arrays& x) { return ScanValues{{h[0] * x[0] + b}, {sum(h[0] + c)}}; }, {a},
                 {input({7}, 2)});
        const Array d = cumsum(first.carry[0], 0) + c;
        const ScanValues second = scan(
            [&](const Arrays& h, const Arrays& x) { return ScanValues{{sort(h[0], 0) * 0.5f + x[0] * d}, {h[0]}}; },
            {first.carry[0] + b}, {first.ys[0]});
        return Arrays{a, second.carry[0], second.ys[0], first.ys[0], d};
      },
      1e-3);
}

TEST(ControlFlowAgree, ManyIterationsOfALoopWithinALoop) {
  expect_agrees([&] {
    return joined(scan(
        [](const Arrays& outer, const Arrays& x) {
          const ScanValues inner =
              scan([&](const Arrays& h, const Arrays& y) { return ScanValues{{h[0] * 0.5f + y[0] * x[0]}, {}}; }, outer,
                   {input({13, 3}, 1)});
          return ScanValues{inner.carry, {inner.carry[0] - outer[0]}};
        },
        {input({3}, 2)}, {input({50}, 3)}));
  });
}

TEST(ControlFlowAgree, InEachPhase) {
  const Array weight = constant({64, 64}, 1);
  for (const Phase phase : {Phase::prefill, Phase::decode}) {
    const auto run = [&](SessionOptions options) {
      Session session(std::move(options));
      const CompiledFunction function = compile(
          [&](const Arrays& arguments) {
            return joined(scan(
                [&](const Arrays& h, const Arrays& x) { return ScanValues{{linear(h[0], weight) + x[0]}, {h[0]}}; },
                {arguments[0]}, {arguments[1]}));
          },
          {.phase = phase});
      return test::values_of(function({input({3, 64}, 2), input({4, 3, 64}, 3)})[0]);
    };
    const std::vector<double> expected = run(on("reference")), found = run(on("cpu", 2));
    double largest = 1;
    for (const double value : expected) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(found[i], expected[i], 2e-2 * largest) << i;
  }
}

TEST(ControlFlowAgree, StatesAreGivenUpAndComeBack) {
  Session session(on("cpu", 2));
  const CompiledFunction step = compile(
      [](const Arrays& arguments) {
        return scan([](const Arrays& h, const Arrays& x) { return ScanValues{{h[0] + x[0]}, {}}; }, {arguments[0]},
                    {arguments[1]})
            .carry;
      },
      {.donate = {0}});
  Array state = full_of(1, {3});
  for (int i = 0; i < 4; ++i) {
    Arrays arguments{std::move(state), full_of(2, {5, 3})};
    state = step(std::move(arguments))[0];
  }
  EXPECT_EQ(test::values_of(state), (std::vector<double>{41, 41, 41}));
}

TEST(ControlFlowAgree, IsOneLaunchAndOneStepOfAProfile) {
  Session session(on("cpu", 2));
  const auto build = [] {
    return scan([](const Arrays& h, const Arrays& x) { return ScanValues{{h[0] * 0.5f + x[0]}, {h[0]}}; },
                {input({64}, 1)}, {input({100, 64}, 2)});
  };
  const ScanValues values = build();
  EXPECT_EQ(test::launches(session, {values.carry[0], values.ys[0]}), std::vector<std::string>{"scan"});
  const CompiledFunction function = compile([](const Arrays& arguments) {
    return joined(scan([](const Arrays& h, const Arrays& x) { return ScanValues{{exp(h[0]) * 0.5f + x[0]}, {h[0]}}; },
                       {arguments[0]}, {arguments[1]}));
  });
  const Array h = input({64}, 1), xs = input({100, 64}, 2);
  const Profile measured = profile(session, [&] { function({h, xs})[0].bytes(); });
  const std::string text = to_text(measured);
  EXPECT_NE(text.find("scan"), std::string::npos) << text;
}

TEST(ControlFlowAgree, PlansCanBeReadAgain) {
  Session session(on("cpu"));
  const ScanValues values = scan([](const Arrays& h, const Arrays& x) { return ScanValues{{h[0] * 0.5f + x[0]}, {}}; },
                                 {input({64}, 1)}, {input({100, 64}, 2)});
  const std::string text = to_text(session.plan(values.carry));
  EXPECT_EQ(to_text(parse_graph(text)), text);
}

TEST(ControlFlowAgree, ANewNumberCompilesNothing) {
  Session session(on("cpu"));
  for (const float decay : {0.5f, 0.25f, 3.0f, -1.0f}) {
    const ScanValues values =
        scan([&](const Arrays& h, const Arrays& x) { return ScanValues{{h[0] * decay + x[0] * 2.0f}, {}}; },
             {full_of(1, {2})}, {full_of(3, {2, 2})});
    EXPECT_EQ(values.carry[0].data<float>()[1], (decay + 6) * decay + 6);
  }
  EXPECT_EQ(session.statistics().programs, 1);
}

TEST(ControlFlowAgree, EqualNumbersOfTwoLoopsStayTwo) {
  Session session(on("cpu"));
  const Array x = full_of(1, {3});
  for (const auto& [a, b] : {std::pair(2.0f, 2.0f), std::pair(2.0f, 3.0f)}) {
    const auto doubled = [&](float by) {
      return scan([&](const Arrays& h, const Arrays&) { return ScanValues{{h[0] * by}, {}}; }, {x}, {}, {.length = 2})
          .carry[0];
    };
    const Array first = doubled(a), second = doubled(b), sum = first + second;
    EXPECT_EQ(sum.data<float>()[0], a * a + b * b);
  }
}

TEST(ControlFlowAgree, EpsilonsInBodiesAreNumbers) {
  Session session(on("cpu"));
  for (const double epsilon : {1.0, 3.0, 0.0}) {
    const ScanValues values =
        scan([&](const Arrays& h, const Arrays&) { return ScanValues{{rms_norm(h[0], epsilon)}, {}}; },
             {full_of(1, {4})}, {}, {.length = 1});
    EXPECT_NEAR(values.carry[0].data<float>()[0], 1 / std::sqrt(1 + epsilon), 1e-6);
  }
  EXPECT_EQ(session.statistics().programs, 1);
}

TEST(ControlFlowAgree, ErrorsNameTheOpInside) {
  for (const int threads : {1, 2}) {
    Session session(on("cpu", threads));
    const Array table = input({4, 3}, 1);
    const Scope scope("layer");
    const ScanValues values =
        scan([&](const Arrays& h, const Arrays& x) { return ScanValues{{h[0] + take(table, x[0], 0)}, {}}; },
             {full_of(0, {2, 3})}, {Array::from({0, 1, 2, 9}, {2, 2})});
    const auto error = caught<ExecutionError>([&] { values.carry[0].bytes(); });
    ASSERT_TRUE(error);
    EXPECT_NE(std::string(error->what()).find("take"), std::string::npos) << error->what();
    EXPECT_EQ(error->details().op, "scan");
    EXPECT_EQ(error->details().scope, "layer");
    EXPECT_EQ(full_of(1, {2}).data<float>()[0], 1) << "the session goes on";
  }
}

TEST(ControlFlowAgree, LimitsEndLoopsWithoutEnd) {
  for (const int threads : {1, 2, 3})
    for (const Shape& shape : {Shape{4}, Shape{wide}}) {
      Session session(on("cpu", threads));
      const auto forever = [&] {
        return while_loop([](const Arrays& c) { return sum(c[0]) < 1e30f; },
                          [](const Arrays& c) { return Arrays{c[0] * 1.0f + 0.0f}; }, {full_of(1, shape)})[0];
      };
      const RunLimits soon{.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(20)};
      const auto late = caught<ExecutionError>([&] { session.eval(forever(), soon); });
      ASSERT_TRUE(late);
      EXPECT_EQ(late->kind(), ErrorKind::deadline);
      EXPECT_NE(std::string(late->what()).find("while_loop: the run is past its deadline"), std::string::npos)
          << late->what();
      std::stop_source source;
      const std::jthread stopper([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        source.request_stop();
      });
      const auto stopped = caught<ExecutionError>([&] { session.eval(forever(), {.stop = source.get_token()}); });
      ASSERT_TRUE(stopped);
      EXPECT_EQ(stopped->kind(), ErrorKind::cancelled);
    }
}

}  // namespace
}  // namespace lazuli
