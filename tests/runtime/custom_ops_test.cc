// SPDX-License-Identifier: MIT
// Custom ops as they run: alone and among others, narrowed, merged, folded, divided, spelled out, and when they fail.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/custom_ops.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>

namespace lazuli {
namespace {

using test::Centre;
using test::error_of;
using test::OwnOp;
using test::Snake;
using test::twice;

Array random_input(Shape shape, std::uint32_t seed, DType dtype = DType::f32) {
  const Type type{dtype, std::move(shape)};
  return Array::from(test::random_buffer(type, seed), type);
}

Array random_constant(Shape shape, std::uint32_t seed) {
  const Type type{DType::f32, std::move(shape)};
  return Array::constant(test::random_buffer(type, seed), type, "w");
}

std::vector<float> floats(const Array& array) {
  const auto data = array.data<float>();
  return {data.begin(), data.end()};
}

std::vector<float> doubled(std::vector<float> values) {
  for (float& value : values) value *= 2;
  return values;
}

std::int64_t count_of(const Graph& graph, std::string_view name) {
  return std::ranges::count(graph.nodes, name, &GraphNode::name);
}

SessionOptions with(std::string fusion, int threads = 2) {
  SessionOptions options;
  options.fusion = std::move(fusion);
  options.threads = threads;
  options.verify = true;
  return options;
}

SessionOptions reference() {
  SessionOptions options = with("all");
  options.backend = "reference";
  return options;
}

struct Told {
  std::vector<Verdict> verdicts;

  SessionOptions listening(SessionOptions options) {
    options.on_verdict = [this](const Verdict& verdict) { verdicts.push_back(verdict); };
    return options;
  }
  // "fired", or the reasons given.
  std::string of(std::string_view fusion) const {
    std::string said;
    for (const Verdict& verdict : verdicts)
      if (verdict.rule == fusion) said += (said.empty() ? "" : "; ") + (verdict.fired ? "fired" : verdict.reason);
    return said;
  }
};

void expect_near(const Array& actual, const Array& expected, double tolerance) {
  ASSERT_EQ(actual.type(), expected.type());
  const std::vector<double> left = test::values_of(actual.type(), *actual.node()->results()[0].buffer),
                            right = test::values_of(expected.type(), *expected.node()->results()[0].buffer);
  for (std::size_t i = 0; i < left.size(); ++i) ASSERT_NEAR(left[i], right[i], tolerance) << i;
}

Array computed(SessionOptions options, const std::function<Array()>& build) {
  Session session(std::move(options));
  Array result = build();
  session.eval(result);
  wait(result);
  return result;
}

// The kernel of f32 against its definition; bf16 has the definition alone.
TEST(CustomOps, KernelAgreesWithDefinition) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : {Shape{37}, Shape{5, 33}, Shape{2, 3, 7}, Shape{}, Shape{0, 4}}) {
      SCOPED_TRACE(to_string(Type{dtype, shape}));
      const auto build = [&] { return custom(std::make_shared<Snake>(1.5), {random_input(shape, 1, dtype)}); };
      const Array kernel = computed(with("all"), build), parts = computed(with("primitive"), build);
      const double tolerance = dtype == DType::f32 ? 1e-6 : 0.04;  // the definition's ops round to bf16 each
      expect_near(kernel, parts, tolerance);
      expect_near(computed(reference(), build), parts, tolerance);
      expect_near(computed(with("none"), build), parts, tolerance);
    }
}

TEST(CustomOps, OneOfPartsAloneIsFused) {
  const auto build = [] {
    return custom(std::make_shared<Snake>(1.5), {random_input({6, 32}, 1, DType::bf16) * 2.0f}) + 1.0f;
  };
  Session session(with("all"));
  const Graph fused = session.optimised({build()}), built = graph_of({build()});
  EXPECT_EQ(count_of(built, "snake"), 1);
  EXPECT_EQ(count_of(fused, "snake"), 0);
  EXPECT_EQ(std::ranges::count(fused.nodes, Op::fused, &GraphNode::op), 1);
  const auto loop = std::ranges::find(fused.nodes, Op::fused, &GraphNode::op);
  EXPECT_TRUE(std::ranges::count(loop->from, "snake", &Source::name) == 1);
}

TEST(CustomOps, CompositesOffSpellsOut) {
  const auto build = [] { return custom(std::make_shared<Snake>(2), {random_input({6, 32}, 1)}); };
  EXPECT_EQ(count_of(Session(with("all")).optimised({build()}), "snake"), 1);
  EXPECT_EQ(count_of(Session(with("none")).optimised({build()}), "snake"), 1);
  EXPECT_EQ(count_of(Session(with("all,-composites")).optimised({build()}), "snake"), 0);
  EXPECT_EQ(count_of(Session(with("primitive")).optimised({build()}), "snake"), 0);
}

// Definitions of several results, which use another custom op.
TEST(CustomOps, DefinitionsNest) {
  const auto op = std::make_shared<OwnOp>();
  op->types = [](std::span<const Type> operands) { return std::vector<Type>{operands[0], operands[0]}; };
  op->parts = [](std::span<const Array> x) {
    return std::vector{custom(std::make_shared<Snake>(2), {x[0]}), x[0] * 2.0f};
  };
  const Array x = random_input({3, 5}, 1);
  Session session(with("all"));
  const std::vector<Array> results = custom_results(op, {x});
  EXPECT_EQ(count_of(session.optimised(results), "snake"), 1);
  session.eval(results);
  EXPECT_EQ(floats(results[1]), doubled(floats(x)));
  EXPECT_EQ(floats(results[0]), floats(custom(std::make_shared<Snake>(2), {x})));
}

std::vector<Array> centred(const Array& x, const Array& weight) {
  return custom_results(std::make_shared<Centre>(), {x, weight});
}

// Rows through norms, an op of each rule, and a reader of both results.
Array chain_of_rows(std::int64_t rows) {
  const Array x = random_input({rows, 513}, 1), weight = random_constant({513}, 2);
  const std::vector<Array> both = centred(rms_norm(x, weight, 1e-6), weight);
  return rms_norm(custom(std::make_shared<Snake>(2), {both[0] + both[1]}), 1e-6);
}

TEST(CustomOps, SameBitsOnAnyNumberOfThreads) {
  for (const std::int64_t rows : {1, 3, 37, 300}) {
    std::vector<float> expected;
    for (const char* fusion : {"all", "none", "all,-row_chain"})
      for (const int threads : {1, 2, 4}) {
        Session session(with(fusion, threads));
        const std::vector<float> values = floats(chain_of_rows(rows));
        if (expected.empty()) expected = values;
        EXPECT_EQ(values, expected) << rows << " rows, " << threads << " threads, " << fusion;
      }
  }
}

TEST(CustomOps, JoinRowChains) {
  Told told;
  Session session(told.listening(with("all", 2)));
  const Array result = chain_of_rows(300);
  const Graph plan = session.plan({result});
  EXPECT_NE(told.of("row_chain").find("fired"), std::string::npos) << told.of("row_chain");
  const auto joins = [](const GraphNode& node) {
    return node.from.size() > 1 && std::ranges::count(node.from, "centre", &Source::name) == 1;
  };
  EXPECT_TRUE(std::ranges::any_of(plan.nodes, joins)) << to_text(plan);
  EXPECT_EQ(count_of(plan, "centre"), 0);
}

// [heads, rows] of one op are the rows of its neighbours, some at a time.
TEST(CustomOps, RowsOfSeveralAxes) {
  const auto build = [] {
    const Array x = random_input({64, 4, 130}, 1), weight = random_constant({130}, 2);
    const Array normed = rms_norm(reshape(x, {64, 520}), 1e-6);
    return rms_norm(reshape(centred(reshape(normed, {64, 4, 130}), weight)[0], {64, 520}), 1e-6);
  };
  const std::vector<float> expected = floats(computed(with("none", 1), build));
  EXPECT_EQ(floats(computed(with("all", 2), build)), expected);
  EXPECT_EQ(floats(computed(with("all", 4), build)), expected);
}

TEST(CustomOps, WorkIsDivided) {
  const auto op = twice();
  Session session(with("all", 4));
  const Array x = random_input({1000, 512}, 1), y = custom(op, {x});
  session.eval(y);
  EXPECT_EQ(floats(y), doubled(floats(x)));
  EXPECT_GE(op->calls, 4);
  EXPECT_EQ(op->rows_computed, 1000);
  const auto whole = twice(RowRule::none);
  session.eval(custom(whole, {x}));
  EXPECT_EQ(whole->calls, 1);
}

TEST(CustomOps, OperandsAreDense) {
  Session session(with("all"));
  const Array x = random_input({6, 10}, 1);
  const auto expect_twice = [](const Array& view) {
    EXPECT_EQ(floats(custom(twice(), {view})), doubled(floats(view)));
    EXPECT_EQ(floats(custom(twice(RowRule::none), {view})), doubled(floats(view)));
  };
  expect_twice(transpose(x, {1, 0}));
  expect_twice(slice(x, {1, 2}, {5, 9}));
  expect_twice(slice(x, {1, 0}, {5, 10}, {2, 1}));
  expect_twice(slice_axis(x, 0, 2, 4));
  expect_twice(broadcast_to(slice_axis(x, 0, 2, 3), {4, 10}));
  expect_twice(reshape(x, {60}));
  expect_twice(broadcast_to(Array(3.0f), {2, 2}));
  EXPECT_EQ(custom(twice(), {Array(3.0f)}).item<float>(), 6);
}

TEST(CustomOps, QuantisedOperandsComeAsBlocks) {
  const Type type{DType::q8_0, {3, 64}};
  const auto op = std::make_shared<OwnOp>();
  op->types = [](std::span<const Type> operands) { return std::vector<Type>{{DType::f32, operands[0].shape}}; };
  op->rule = RowRule::leading;
  op->kernel = [](const CustomRows& rows) {
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      dequantise(DType::q8_0, rows.operand_row<std::byte>(0, row).data(), 64, rows.result_row<float>(0, row).data());
  };
  const BufferRef blocks = test::random_buffer(type, 1);
  const std::vector<double> expected = test::values_of(type, *blocks);
  for (const bool is_constant : {true, false}) {
    Session session(with("all"));
    const Array weight = is_constant ? Array::constant(blocks, type, "w") : Array::from(blocks, type);
    const std::vector<float> all = floats(custom(op, {weight}));
    EXPECT_TRUE(std::ranges::equal(all, expected, {}, {}, [](double value) { return static_cast<float>(value); }));
    // No row can be picked from it beforehand.
    const std::vector<float> last = floats(slice_axis(custom(op, {weight}), 0, 2, 3));
    EXPECT_EQ(last, std::vector<float>(all.end() - 64, all.end()));
  }
}

TEST(CustomOps, EmptyArraysCallNothing) {
  const auto op = twice();
  Session session(with("all"));
  const Array x = Array::from(std::vector<float>{}, {0, 4});
  EXPECT_EQ(floats(custom(op, {x}) + 1.0f).size(), 0U);
  EXPECT_EQ(op->calls, 0);
}

TEST(CustomOps, SeveralResultsAreReadApart) {
  Session session(with("all"));
  const Array x = random_input({4, 8}, 1), ones = broadcast_to(Array(1.0f), {8});
  const std::vector<Array> results = centred(x, ones);
  const Array read = results[1] * 2.0f, other = centred(x, ones)[0];
  const Array means = mean(x, {-1}, true) * 2.0f, differences = x - mean(x, {-1}, true);
  session.eval({read, other, means, differences});
  expect_near(read, means, 1e-6);
  expect_near(other, differences, 1e-6);
}

// The rows that somebody asks for.
TEST(CustomOps, RowDemandNarrows) {
  Session session(with("all"));
  const Array x = random_input({32, 64}, 1), last = Array::from({31}, {1});
  for (const RowRule rule : {RowRule::aligned, RowRule::leading}) {
    const auto op = twice(rule);
    const Array row = take(custom(op, {exp(x)}), last, 0);
    EXPECT_EQ(floats(row), doubled(floats(exp(slice_axis(x, 0, 31, 32)))));
    EXPECT_EQ(op->rows_computed, 1);
  }
  const auto whole = twice(RowRule::none);
  session.eval(slice_axis(custom(whole, {exp(x)}), 0, 31, 32));
  const auto node = session.optimised({slice_axis(custom(whole, {exp(x)}), 0, 31, 32)});
  EXPECT_EQ(std::ranges::find(node.nodes, "twice", &GraphNode::name)->type().shape, (Shape{32, 64}));
}

TEST(CustomOps, RowDemandKeepsWhatServesAllRows) {
  Session session(with("all"));
  const auto rows_of = [](const Graph& graph) {
    return std::ranges::find(graph.nodes, "own", &GraphNode::name)->type().shape;
  };
  const auto op = std::make_shared<OwnOp>();
  op->rule = RowRule::aligned;
  op->kernel = [](const CustomRows& rows) {
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      for (std::size_t i = 0; i < rows.result_row<float>(0, row).size(); ++i)
        rows.result_row<float>(0, row)[i] = rows.operand_row<float>(0, row)[i] + rows.operand_row<float>(1, row)[0];
  };
  const Array x = random_input({5, 6, 7}, 1), shift = random_input({6, 1}, 2);
  const auto build = [&](int axis) { return slice_axis(custom(op, {x, shift}), axis, 2, 3); };
  const auto expected = [&](int axis) { return floats(slice_axis(x + shift, axis, 2, 3)); };
  EXPECT_EQ(rows_of(session.optimised({build(0)})), (Shape{1, 6, 7}));
  EXPECT_EQ(rows_of(session.optimised({build(1)})), (Shape{5, 1, 7}));
  EXPECT_EQ(rows_of(session.optimised({build(2)})), (Shape{5, 6, 7}));
  for (int axis = 0; axis < 3; ++axis) EXPECT_EQ(floats(build(axis)), expected(axis)) << axis;
}

TEST(CustomOps, EqualOnesRunOnce) {
  Session session(with("all"));
  const auto op = twice(), other = twice();
  const Array x = random_input({4, 8}, 1);
  const std::vector<float> sum = floats(custom(op, {x}) + custom(op, {x}));
  EXPECT_EQ(sum, doubled(doubled(floats(x))));
  EXPECT_EQ(op->calls, 1);
  EXPECT_EQ(count_of(session.optimised({custom(op, {x}) + custom(other, {x})}), "twice"), 2);  // members, no attributes
  const auto snakes = [&](double a, double b) {
    return count_of(
        session.optimised({custom(std::make_shared<Snake>(a), {x}) + custom(std::make_shared<Snake>(b), {x})}),
        "snake");
  };
  EXPECT_EQ(snakes(2, 2), 1);
  EXPECT_EQ(snakes(2, 3), 2);
}

TEST(CustomOps, ProgramsAreSharedByEqualOnes) {
  Session session(with("all"));
  const Array x = random_input({4, 8}, 1);
  const auto programs_after = [&](const CustomOpRef& op) {
    session.eval(custom(op, {x}));
    return session.statistics().programs;
  };
  EXPECT_EQ(programs_after(std::make_shared<Snake>(2)), 1);
  EXPECT_EQ(programs_after(std::make_shared<Snake>(2)), 1);
  EXPECT_EQ(programs_after(std::make_shared<Snake>(3)), 2);
  EXPECT_EQ(programs_after(twice()), 3);
  EXPECT_EQ(programs_after(twice()), 4);
}

TEST(CustomOps, ConstantsFold) {
  Session session(with("all"));
  const auto op = twice();
  const Array weight = random_constant({8}, 1), x = random_input({4, 8}, 2);
  const auto build = [&] { return x * custom(op, {weight + 1.0f}); };
  EXPECT_EQ(count_of(session.optimised({build()}), "twice"), 0);
  const std::vector<float> values = floats(build());
  EXPECT_EQ(op->calls, 1);
  EXPECT_EQ(values, floats(x * ((weight + 1.0f) * 2.0f)));
  floats(build());
  EXPECT_EQ(op->calls, 1);
}

TEST(CustomOps, DefinitionsFold) {
  Session session(with("all"));
  const auto op = std::make_shared<OwnOp>();
  op->parts = [](std::span<const Array> x) { return std::vector{x[0] * 2.0f}; };
  const Array weight = random_constant({8}, 1), x = random_input({4, 8}, 2);
  EXPECT_EQ(floats(x * custom(op, {weight})), floats(x * (weight * 2.0f)));
  const Graph graph = session.optimised({x * custom(op, {weight})});
  EXPECT_EQ(std::ranges::count(graph.nodes, Op::constant, &GraphNode::op), 1);
  EXPECT_EQ(count_of(graph, "mul"), 1);
}

std::shared_ptr<OwnOp> failing(std::function<void(std::int64_t row)> at_row, std::int64_t row) {
  const auto op = twice();
  op->called = "fragile";
  op->kernel = [at_row = std::move(at_row), row, inner = op->kernel](const CustomRows& rows) {
    if (rows.begin <= row && row < rows.end) at_row(row);
    inner(rows);
  };
  return op;
}

TEST(CustomOps, ErrorsOfKernelsNameTheNode) {
  const auto throws = [](std::int64_t row) { throw std::out_of_range("row " + std::to_string(row)); };
  const auto throws_error = [](std::int64_t) { throw Error("bad value"); };
  const auto throws_int = [](std::int64_t) { throw 3; };
  for (const char* backend : {"cpu", "reference"})
    for (const std::int64_t rows : {4, 2000})
      for (const std::int64_t row : {std::int64_t{0}, rows / 2, rows - 1}) {
        SessionOptions options = with("all", 4);
        options.backend = backend;
        Session session(options);
        const Scope scope("layers", 3);
        const Array x = random_input({rows, 256}, 1);
        const auto text = [&](auto what) {
          const Array y = custom(failing(what, row), {exp(x)}) + 1.0f;
          session.async_eval(y);
          const std::string first = error_of<ExecutionError>([&] { y.data<float>(); });
          EXPECT_EQ(error_of<ExecutionError>([&] { y.data<float>(); }), first);
          return first;
        };
        for (const auto& [found, what] :
             {std::pair(text(throws), "row " + std::to_string(row)),
              std::pair(text(throws_error), std::string("bad value")),
              std::pair(text(throws_int), std::string("threw something that is no std::exception"))}) {
          EXPECT_TRUE(found.starts_with("fragile")) << found;
          EXPECT_NE(found.find(what), std::string::npos) << found;
          EXPECT_NE(found.find("in layers.3"), std::string::npos) << found;
        }
        EXPECT_EQ(floats(custom(twice(), {x})), doubled(floats(x)));  // the session goes on
      }
}

TEST(CustomOps, ErrorsOnConstantsBelongToTheRun) {
  Session session(with("all"));
  const auto op = failing([](std::int64_t) { throw Error("no"); }, 0);
  const Array y = custom(op, {random_constant({2, 8}, 1)}) + random_input({2, 8}, 2);
  session.async_eval(y);
  EXPECT_NE(error_of<ExecutionError>([&] { y.data<float>(); }).find("fragile"), std::string::npos);
}

TEST(CustomOps, AnUndefinedKernelIsAnError) {
  class Forgotten final : public CustomOp {
   public:
    std::string name() const override { return "forgotten"; }
    std::vector<Type> infer(std::span<const Type> operands) const override { return {operands[0]}; }
  };
  Session session(with("all"));
  EXPECT_NE(error_of<ExecutionError>([&] {
              floats(custom(std::make_shared<Forgotten>(), {random_input({4}, 1)}));
            }).find("compute() is not defined"),
            std::string::npos);
}

TEST(CustomOps, ProfilesAndPlansNameThem) {
  Session session(with("all"));
  const Array x = random_input({64, 64}, 1), y = custom(std::make_shared<Snake>(2), {x});
  const Graph plan = session.plan({y});
  EXPECT_NE(to_text(plan).find("snake %0 {frequency=2}"), std::string::npos) << to_text(plan);
  EXPECT_NE(to_dot(plan).find("<B>snake</B>"), std::string::npos);
  ProfileOptions options;
  options.measure_limits = false;
  const auto step = [&] { eval(custom(std::make_shared<Snake>(2), {x})); };
  const Profile profile = lazuli::profile(session, step, options);
  const auto node = std::ranges::find(profile.nodes, "snake", &ProfiledNode::op);
  ASSERT_NE(node, profile.nodes.end());
  EXPECT_EQ(node->kernel, "snake");
  EXPECT_EQ(node->isa, "custom");
  EXPECT_EQ(node->operations, 64 * 64);
  EXPECT_EQ(node->bytes, 2 * 64 * 64 * 4);
}

TEST(CustomOps, LoopsSayWhyTheyLeaveThemOut) {
  const Array x = random_input({64, 64}, 1);
  Told opaque, with_parts;
  Session first(opaque.listening(with("all")));
  first.optimised({exp(custom(twice(), {x})) + 1.0f});
  EXPECT_NE(opaque.of("fuse_loops").find("the twice has no decomposition, so loops do not take it"), std::string::npos)
      << opaque.of("fuse_loops");
  Session second(with_parts.listening(with("all")));
  second.optimised({exp(custom(std::make_shared<Snake>(2), {x})) + 1.0f});
  EXPECT_NE(with_parts.of("fuse_loops").find("the snake has a kernel of its own, which loops do not take"),
            std::string::npos)
      << with_parts.of("fuse_loops");
}

Rule snake_rule() {
  using namespace pattern;
  const Pattern x = var("x"), sine = apply(Op::sin, {x * 2.0});
  return rule("to_snake").before(x + sine * sine / 2.0).after(custom(CustomOpRef(std::make_shared<Snake>(2)), {x}));
}

Array spelled_snake(const Array& x) {
  const Array sine = sin(x * 2.0f);
  return x + sine * sine / 2.0f;
}

TEST(CustomOps, OwnRulesPutThemIn) {
  Told told;
  SessionOptions options = told.listening(with("all"));
  options.rules = {snake_rule()};
  Session session(options);
  const Array x = random_input({4, 8}, 1);
  const Graph graph = session.optimised({spelled_snake(x)});
  EXPECT_EQ(count_of(graph, "snake"), 1) << told.of("to_snake");
  EXPECT_EQ(floats(spelled_snake(x)), floats(custom(std::make_shared<Snake>(2), {x})));
}

// What the backend has no kernel for would be spelled out by nobody.
TEST(CustomOps, OwnRulesDeclineWithoutKernel) {
  using namespace pattern;
  const auto op = std::make_shared<OwnOp>();
  op->parts = [](std::span<const Array> x) { return std::vector{x[0] * 2.0f}; };
  const Pattern x = var("x");
  Told told;
  SessionOptions options = told.listening(with("all"));
  options.rules = {rule("to_own").before(x + x).after(pattern::custom(CustomOpRef(op), {x}))};
  Session session(options);
  const Array y = random_input({4, 8}, 1);
  EXPECT_EQ(floats(y + y), doubled(floats(y)));
  EXPECT_NE(told.of("to_own").find("the own: the backend has no kernel for it on f32[4,8]"), std::string::npos)
      << told.of("to_own");
}

TEST(CustomOps, OwnRulesMatchThem) {
  using namespace pattern;
  const Pattern x = var("x");
  Told told;
  SessionOptions options = told.listening(with("all"));
  options.rules = {
      rule("double_twice").before(once(pattern::custom("twice", {once(pattern::custom("twice", {x}))}))).after(x * 4.0),
      rule("fuse_twice").before(apply(Op::exp, {pattern::custom("twice", {x})})).fuse()};
  Session session(options);
  const Array y = random_input({4, 8}, 1);
  const Array result = custom(twice(), {custom(twice(), {y})}) + 1.0f;
  EXPECT_EQ(count_of(session.optimised({result}), "twice"), 0);
  EXPECT_EQ(floats(result), floats(y * 4.0f + 1.0f));
  EXPECT_EQ(floats(exp(custom(twice(), {y}))), floats(exp(y * 2.0f)));
  EXPECT_NE(told.of("fuse_twice").find("the twice is a custom op, which runs by itself"), std::string::npos);
}

TEST(CustomOps, CompiledFunctionsAndDonatedStates) {
  const auto op = twice();
  CompileOptions options;
  options.donate = {0};
  const CompiledFunction step = compile(
      [&](const std::vector<Array>& a) {
        const Array before = custom(op, {a[0]});  // reads the state before it is written
        const Array state = slice_update(a[0], custom(op, {a[1]}), Array(1), 0);
        return std::vector{state, before, custom(op, {state})};
      },
      options);
  Session session(with("all"));
  const Array start = random_input({4, 8}, 1), row = random_input({1, 8}, 2);
  Array state = Array::from(floats(start), {4, 8});
  std::vector<float> expected = floats(start);
  for (int turn = 0; turn < 3; ++turn) {
    const std::vector<float> old = expected, written = doubled(floats(row));
    std::ranges::copy(written, expected.begin() + 8);
    std::vector<Array> results = step(std::move(state), row);
    EXPECT_EQ(floats(results[1]), doubled(old));
    EXPECT_EQ(floats(results[2]), doubled(expected));
    EXPECT_EQ(floats(results[0]), expected);
    state = std::move(results[0]);
  }
  EXPECT_EQ(step.signatures(), 1);
}

TEST(CustomOps, NumbersAreOperands) {
  Session session(with("all"));
  const auto op = std::make_shared<OwnOp>();
  op->kernel = [](const CustomRows& rows) {
    rows.result<float>()[0] = rows.operand<float>(0)[0] * rows.operand<float>(1)[0];
  };
  const Array x = Array::from({3.0f}, {1});
  for (const float factor : {2.0f, 5.0f}) EXPECT_EQ(custom(op, {x, factor}).item<float>(), 3 * factor);
  EXPECT_EQ(session.statistics().programs, 1);
}

TEST(CustomOps, GraphsFromTextRun) {
  ParseOptions options;
  options.custom_ops["twice"] = [](std::string_view) { return twice(); };
  const Graph graph = parse_graph("%0 = input f32[2,4]\n%1 = twice %0\nreturn %1", options);
  Session session(with("all"));
  const Array x = random_input({2, 4}, 1);
  EXPECT_EQ(floats(session.run(graph, {x})[0]), doubled(floats(x)));
}

}  // namespace
}  // namespace lazuli
