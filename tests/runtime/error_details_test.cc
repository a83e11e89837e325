// SPDX-License-Identifier: MIT
// Errors as data: kind, op, node, scope, expected and found, and the place in the source where it is recorded.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/models/load.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>

#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace lazuli {
namespace {

using test::caught;

static_assert(std::is_nothrow_copy_constructible_v<Error> && std::is_nothrow_copy_assignable_v<Error>);
static_assert(sizeof(Error) == sizeof(std::runtime_error) + sizeof(std::shared_ptr<int>));

Array vector(std::vector<float> values) { return Array::from(values, {static_cast<std::int64_t>(values.size())}); }
Array indices(std::vector<std::int32_t> values) {
  return Array::from(values, {static_cast<std::int64_t>(values.size())});
}

// Nodes 0 and 1 are inputs; node 2 fails when it runs.
Array row_out_of_range() {
  const Scope outer("layers", 3), inner("embed");
  return take(vector({1, 2, 3, 4}), indices({4}), 0);
}

// What is known of `error`, in one line.
std::string known(const std::optional<Error>& error) {
  if (!error) return "no error";
  const ErrorDetails& details = error->details();
  std::string text(to_string(error->kind()));
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) text += " " + std::string(name) + "=" + value;
  };
  add("op", details.op);
  add("pass", details.pass);
  if (details.node >= 0) add("node", std::to_string(details.node));
  add("scope", details.scope);
  add("expected", details.expected);
  add("found", details.found);
  return text;
}

template <class Action>
std::string known_of(Action&& action) {
  return known(caught(action));
}

TEST(ErrorDetails, TextsAloneHaveTheKindOfTheirClass) {
  EXPECT_EQ(Error("a").kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(CompileError("a").kind(), ErrorKind::compile);
  EXPECT_EQ(ExecutionError("a").kind(), ErrorKind::execution);
  EXPECT_EQ(InternalError("a").kind(), ErrorKind::internal);
  EXPECT_STREQ(CompileError("a").what(), "a");
  EXPECT_EQ(&Error("a").details(), &Error("b").details());
  EXPECT_EQ(to_string(ErrorKind::deadline), "deadline");
}

TEST(ErrorDetails, CopiesShareThem) {
  Error error("text", {.kind = ErrorKind::shape, .op = "add"});
  const Error copy = error, taken = std::move(error);
  EXPECT_EQ(&copy.details(), &taken.details());
  EXPECT_EQ(error.details().op, "add");  // NOLINT(bugprone-use-after-move): errors are copied, never moved
  EXPECT_STREQ(copy.what(), "text");
}

TEST(ErrorDetails, OfShapes) {
  const Scope outer("layers", 3), inner("mlp");
  const Array x = vector({1, 2, 3}), y = vector({1, 2});
  const auto error = caught([&] { x + y; });
  EXPECT_STREQ(error->what(), "add: shapes [3] and [2] do not broadcast (in layers.3.mlp)");
  EXPECT_EQ(known(error), "shape op=add scope=layers.3.mlp expected=a shape that broadcasts with [3] found=[2]");
  EXPECT_EQ(error->details().source, "");
  EXPECT_EQ(known_of([&] { matmul(full({2, 3}, 1), full({4, 2}, 1)); }),
            "shape op=matmul scope=layers.3.mlp expected=[..., M, K] and [..., K, N] found=f32[2,3] and f32[4,2]");
  EXPECT_EQ(known_of([&] { linear(x, full({4, 2}, 1)); }),
            "shape op=linear scope=layers.3.mlp expected=weight [*, 3] found=f32[4,2]");
  EXPECT_EQ(known_of([&] { reshape(x, {2, 2}); }),
            "shape op=reshape scope=layers.3.mlp expected=a shape of 3 elements found=[2,2]");
  EXPECT_EQ(known_of([&] { sum(x, {1}); }), "shape op=sum scope=layers.3.mlp expected=-1 to 0 found=axis 1");
  EXPECT_EQ(known_of([&] { squeeze(x, 0); }),
            "shape op=squeeze scope=layers.3.mlp expected=an axis of size 1 found=f32[3]");
  EXPECT_EQ(known_of([&] { Array::from({1.0f}, {2}); }), "shape op=from expected=2 values found=1 values");
  EXPECT_EQ(known_of([&] { x.item<float>(); }), "shape op=item expected=one element found=f32[3]");
}

TEST(ErrorDetails, OfWindows) {
  const auto x = [](Shape shape) { return placeholder({DType::f32, std::move(shape)}); };
  const Array image = x({1, 8, 8, 4});
  EXPECT_EQ(known_of([&] { conv_general(x({8, 4}), x({5, 3, 3, 4})); }),
            "shape op=convolution expected=[N, one to three spatial axes, C] found=f32[8,4]");
  EXPECT_EQ(known_of([&] { conv2d(image, x({5, 3, 3, 3})); }),
            "shape op=convolution expected=weight [O, kernel..., C / groups] with C and O multiples of groups found=x "
            "f32[1,8,8,4], weight f32[5,3,3,3], 1 groups");
  EXPECT_EQ(known_of([&] { conv2d(image, x({5, 9, 3, 4})); }),
            "shape op=convolution expected=a kernel of 1 or more that fits found=8 elements for a kernel of 9");
  EXPECT_EQ(known_of([&] { max_pool(image, {.kernel = {9}}); }),
            "shape op=max_pool expected=a window that fits found=8 elements for a window of 9");
  EXPECT_EQ(known_of([&] { mean_pool(image, {.kernel = {0}}); }),
            "shape op=mean_pool expected=1 or more found=kernel [0,0]");
  EXPECT_EQ(known_of([&] { adaptive_max_pool(x({1, 0, 8, 4}), {2}); }),
            "shape op=adaptive_max_pool expected=at least one element along the axis found=f32[1,0,8,4]");
  EXPECT_EQ(known_of([&] { interpolate(x({1, 8, 0, 4}), {2}); }),
            "shape op=interpolate expected=at least one element along the axis found=f32[1,8,0,4]");
}

TEST(ErrorDetails, OfDtypes) {
  const Scope scope("head");
  const Array x = vector({1, 2}), i = indices({1, 2});
  EXPECT_EQ(known_of([&] { x* i; }), "dtype op=mul scope=head expected=f32 found=i32[2]");
  EXPECT_EQ(known_of([&] { exp(i); }),
            "dtype op=exp scope=head expected=a real dtype (f32, f16, bf16, f64) found=i32[2]");
  EXPECT_EQ(known_of([&] { take(x, x, 0); }), "dtype op=take scope=head expected=i32 indices found=f32[2]");
  EXPECT_EQ(known_of([&] { i * 2.5; }), "dtype op=mul scope=head expected=a value of i32 found=2.5");
  EXPECT_EQ(known_of([&] { full({2}, 0.5, DType::u8); }),
            "dtype op=scalar scope=head expected=a value of u8 found=0.5");
  EXPECT_EQ(known_of([&] { x.data<std::int32_t>(); }), "dtype op=data expected=i32 found=f32[2]");
}

TEST(ErrorDetails, OfArraysForAGraph) {
  Session session;
  const Array x = [] {
    const Scope scope("embed");
    return placeholder({DType::f32, {2}});
  }();
  const Graph graph = graph_of({x + 1.0});
  EXPECT_EQ(known_of([&] { session.run(graph, {vector({1, 2, 3})}); }),
            "shape op=run node=0 scope=embed expected=f32[2] found=f32[3]");
  EXPECT_EQ(known_of([&] { session.run(graph, {indices({1, 2})}); }),
            "dtype op=run node=0 scope=embed expected=f32[2] found=i32[2]");
  EXPECT_EQ(known_of([&] { session.run(graph, {}); }), "invalid_argument op=run expected=1 arrays found=0 arrays");
  const auto program = session.prepare(graph);
  EXPECT_EQ(known_of([&] { session.run(program, {{{Buffer::allocate(4), {}}}}, numbers_of(graph), 0, true); }),
            "invalid_argument op=run expected=8 bytes of f32[2] found=4 bytes");
}

TEST(ErrorDetails, OfUnknownNames) {
  const auto refusal = [](auto change) {
    SessionOptions options;
    change(options);
    return known_of([&] { const Session session(options); });
  };
  EXPECT_EQ(refusal([](auto& options) { options.backend = "tpu"; }),
            "invalid_argument op=backend expected=cpu or reference found=tpu");
  EXPECT_EQ(refusal([](auto& options) { options.threads = -1; }),
            "invalid_argument op=threads expected=0 or more found=-1");
  EXPECT_EQ(refusal([](auto& options) { options.fusion = "most"; }),
            "invalid_argument op=fusion expected=none, primitive, all, +name or -name found=most");
  EXPECT_EQ(refusal([](auto& options) { options.rules = {Rule{"softcap", {Op::mul}, {}}}; }),
            "invalid_argument op=rules expected=a name of its own found=softcap");
  const auto unknown = caught([] { FusionChoice::parse("all,-nothing"); });
  EXPECT_EQ(unknown->details().found, "nothing");
  EXPECT_NE(unknown->details().expected.find("softcap"), std::string::npos);
}

TEST(ErrorDetails, OfFiles) {
  EXPECT_EQ(known_of([] { load_model("/nowhere/model.gguf"); }), "file");
}

TEST(ErrorDetails, OfStepsThatFail) {
  for (const char* backend : {"cpu", "reference"}) {
    SessionOptions options;
    options.backend = backend;
    Session session(options);
    const Array failing = row_out_of_range();
    EXPECT_EQ(known_of([&] { session.eval(failing); }),
              "execution op=take node=2 scope=layers.3.embed expected=an index in [0, 4) found=4 at position 0")
        << backend;
  }
}

// A run that another thread submitted, read by several.
TEST(ErrorDetails, ReachWhoeverReads) {
  Session session;
  const Array failing = row_out_of_range();
  const Array dependent = sum(failing, {0});
  std::thread([&] {
    session.async_eval(failing);
    session.async_eval(dependent);
  }).join();
  std::vector<std::thread> readers;
  for (int thread = 0; thread < 4; ++thread)
    readers.emplace_back([&, thread] {
      EXPECT_EQ(known_of([&] { wait(thread % 2 == 0 ? failing : dependent); }),
                "execution op=take node=2 scope=layers.3.embed expected=an index in [0, 4) found=4 at position 0");
    });
  for (std::thread& reader : readers) reader.join();
}

// exp of f32 becomes a node of f16.
Rule wrong_rule() {
  const auto attempt = [](const Graph& graph, const UseCounts&, std::int32_t root, NumberGuards&) {
    const GraphNode& exp = graph.nodes[static_cast<std::size_t>(root)];
    Graph body;
    GraphNode x, result, narrow;
    x.attrs = InputAttrs{0};
    x.types = exp.types;
    result.op = Op::exp;
    result.inputs = {body.add(x)};
    result.types = exp.types;
    narrow.op = Op::cast;
    narrow.attrs = CastAttrs{DType::f16};
    narrow.inputs = {body.add(result)};
    narrow.types = {{DType::f16, exp.type().shape}};
    body.outputs = {body.add(narrow)};
    return Attempt{Replacement{exp.inputs, body, {root}, true}, {}};
  };
  return Rule{"wrong", {Op::exp}, attempt};
}

TEST(ErrorDetails, OfARuleThatMakesAnInvalidGraph) {
  SessionOptions options;
  options.rules = {wrong_rule()};
  Session session(options);
  const Array x = vector({1, 2}), y = vector({3, 4});
  const Scope scope("head");
  const Array z = exp(x) + y;
  const auto error = caught<CompileError>([&] { session.eval(z); });
  EXPECT_EQ(known(error), "compile op=add pass=fuse_named node=3 scope=head expected=f16 found=f32[2]")
      << error->what();
}

TEST(ErrorDetails, OfAPassThatThrows) {
  SessionOptions options;
  options.passes = {
      {"throws", [](Graph, PassContext&) -> Graph { throw std::runtime_error("no wish to"); }},
  };
  Session session(options);
  EXPECT_EQ(known_of([&] { session.eval(vector({1}) + vector({2})); }), "compile pass=throws");
}

}  // namespace
}  // namespace lazuli

// Outside of lazuli's namespace, as the programs that ask for places are.
namespace program {
namespace {

namespace lz = lazuli;

struct Recorded {
  Recorded() { lz::record_source_locations(true); }
  ~Recorded() { lz::record_source_locations(false); }
};

// Debug information, or the name of a function of this file.
bool is_of_this_file(const std::string& source) {
  return source.find("error_details_test.cc:") != std::string::npos || source.find("program::") != std::string::npos;
}

lz::Array failing() {
  const std::vector<float> values{1, 2, 3, 4};
  return lz::take(lz::Array::from(values, {4}), lz::Array::from({9}, {1}), 0);
}

TEST(SourceLocations, AreOffUnlessAskedFor) {
  EXPECT_FALSE(lz::records_source_locations());
  EXPECT_EQ(lz::source_of(failing()), "");
  const lz::Session session;
  EXPECT_EQ(lz::test::caught([] { failing().data<float>(); })->details().source, "");
}

TEST(SourceLocations, OfNodesAndErrors) {
  const Recorded recorded;
  const lz::Session session;
  const lz::Array array = failing();
  EXPECT_PRED1(is_of_this_file, lz::source_of(array));
  const auto shape = lz::test::caught([] { lz::matmul(lz::full({2, 3}, 1), lz::full({2, 3}, 1)); });
  EXPECT_PRED1(is_of_this_file, shape->details().source);
  const auto execution = lz::test::caught([&] { array.data<float>(); });
  EXPECT_PRED1(is_of_this_file, execution->details().source);
}

TEST(SourceLocations, ChangeNoListing) {
  const std::string plain = lz::to_text(lz::graph_of({failing()}));
  const Recorded recorded;
  EXPECT_EQ(lz::to_text(lz::graph_of({failing()})), plain);
}

}  // namespace
}  // namespace program
