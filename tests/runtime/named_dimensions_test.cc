// SPDX-License-Identifier: MIT
// Functions compiled once for every length: the bits of functions compiled for each, no byte behind an argument read,
// no memory beyond that of the bound.
#include <gtest/gtest.h>
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/ops/operators.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/quantisation.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/guarded_memory.h>
#include <lazuli/tests/support/safetensors_writer.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace lazuli {
namespace {

using test::error_of;
using test::GuardedMemory;

constexpr std::int64_t bound = 96;
const std::vector<std::int64_t> lengths = {1, 2, 7, 63, 64, bound};

Array random_array(Shape shape, int seed, const AllocatorRef& allocator = nullptr) {
  const Type type{DType::f32, std::move(shape)};
  std::mt19937 generator(static_cast<unsigned>(seed));
  std::uniform_real_distribution<float> values(0.1f, 1.0f);
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()), allocator);
  for (std::int64_t i = 0; i < type.elements(); ++i) buffer->as<float>()[i] = values(generator) - (i % 3 == 0 ? 1 : 0);
  return Array::from(std::move(buffer), type);
}

Array weight(Shape shape, int seed) { return constant(random_array(std::move(shape), seed), "w"); }

Array integers(Shape shape, std::int32_t limit, const AllocatorRef& allocator) {
  const Type type{DType::i32, std::move(shape)};
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()), allocator);
  for (std::int64_t i = 0; i < type.elements(); ++i)
    buffer->as<std::int32_t>()[i] = static_cast<std::int32_t>(i * 7 % limit);
  return Array::from(std::move(buffer), type);
}

Array positions(std::int64_t count, const AllocatorRef& allocator) {
  const Array array = integers({count}, 1, allocator);
  auto* values = array.node()->results()[0].buffer->as<std::int32_t>();
  for (std::int64_t i = 0; i < count; ++i) values[i] = static_cast<std::int32_t>(i);
  return array;
}

struct Sized {
  ArrayFunction function;
  // For a length; from an allocator that knows what is read behind them.
  std::function<std::vector<Array>(std::int64_t length, const AllocatorRef& allocator)> arguments;
  std::vector<ArgumentDimension> dimensions = {{0, 0, {"tokens", bound}}};
};

void expect_same(const std::vector<Array>& found, const std::vector<Array>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].type(), expected[i].type()) << "result " << i;
    const auto bytes = static_cast<std::size_t>(found[i].type().bytes());
    const std::byte *left = found[i].bytes(), *right = expected[i].bytes();
    std::size_t differ = 0;
    while (differ < bytes && left[differ] == right[differ]) ++differ;
    EXPECT_EQ(differ, bytes) << "result " << i << ", " << to_string(found[i].type());
  }
}

// One program for all lengths, which gives what a program for each gives.
void expect_one_program(const Sized& sized, SessionOptions options, Phase phase = Phase::any) {
  options.verify = true;
  const auto guarded = std::make_shared<GuardedMemory>();
  SessionOptions own = options;
  own.allocator = guarded;
  Session once(own), anew(options);
  const CompiledFunction function = compile(sized.function, {.phase = phase, .dimensions = sized.dimensions});
  const CompiledFunction plain = compile(sized.function, {.phase = phase});
  for (const std::int64_t length : lengths) {
    SCOPED_TRACE("length " + std::to_string(length));
    const std::vector<Array> found = once.call(function, sized.arguments(length, guarded));
    const std::vector<Array> expected = anew.call(plain, sized.arguments(length, nullptr));
    expect_same(found, expected);
    if (testing::Test::HasFatalFailure()) return;
  }
  EXPECT_EQ(once.statistics().programs, 1);
  EXPECT_EQ(function.signatures(), 1);
  EXPECT_EQ(anew.statistics().programs, static_cast<std::int64_t>(lengths.size()));
}

SessionOptions with(int threads, const std::string& fusion = "all") {
  SessionOptions options;
  options.threads = threads;
  options.fusion = fusion;
  return options;
}

void expect_one_program(const Sized& sized) {
  for (const int threads : {1, 3})
    for (const char* fusion : {"all", "none", "primitive"}) {
      SCOPED_TRACE(std::string(fusion) + ", threads " + std::to_string(threads));
      expect_one_program(sized, with(threads, fusion));
    }
  SCOPED_TRACE("reference");
  SessionOptions reference;
  reference.backend = "reference";
  expect_one_program(sized, reference);
}

// x [T, 64]
std::vector<Array> rows_of_64(std::int64_t length, const AllocatorRef& allocator) {
  return {random_array({length, 64}, 3, allocator)};
}

Sized mlp_block(std::int64_t hidden) {
  const Array gain = weight({64}, 5), bias = weight({64}, 6), up = weight({hidden, 64}, 7),
              down = weight({64, hidden}, 8), head = weight({10, 64}, 9);
  return {[=](const std::vector<Array>& a) {
            const Array h = layer_norm(a[0], gain, bias, 1e-5);
            const Array y = a[0] + linear(gelu(linear(h, up)), down);
            return std::vector{y, softmax(linear(rms_norm(y, gain, 1e-6), head))};
          },
          rows_of_64};
}

TEST(NamedDimensions, AnMlpBlockIsCompiledOnce) { expect_one_program(mlp_block(256)); }
TEST(NamedDimensions, OddSizesOfWeights) { expect_one_program(mlp_block(37)); }

TEST(NamedDimensions, GatedProductsOfOneOperand) {
  const Array gate = weight({96, 64}, 1), up = weight({96, 64}, 2), down = weight({64, 96}, 3);
  const Sized sized{[=](const std::vector<Array>& a) {
                      return std::vector{linear(gelu_tanh(linear(a[0], gate)) * linear(a[0], up), down),
                                         linear(a[0], gate), argmax(linear(a[0], up), 1)};
                    },
                    rows_of_64};
  expect_one_program(sized);
  for (const Phase phase : {Phase::prefill, Phase::decode}) expect_one_program(sized, with(3), phase);
}

TEST(NamedDimensions, QuantisedWeights) {
  const Array table = weight({96, 64}, 1);
  std::vector<float> values(table.data<float>().begin(), table.data<float>().end());
  const Type type{DType::q8_0, {96, 64}};
  BufferRef blocks = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  quantise(DType::q8_0, values.data(), type.elements(), blocks->data());
  const Array w = Array::constant(blocks, type, "w");
  const Sized sized{[=](const std::vector<Array>& a) { return std::vector{silu(linear(a[0], w)), take_rows(w, a[1])}; },
                    [](std::int64_t length, const AllocatorRef& allocator) {
                      return std::vector{random_array({length, 64}, 3, allocator), integers({length}, 96, allocator)};
                    },
                    {{0, 0, {"tokens", bound}}, {1, 0, {"tokens", bound}}}};
  expect_one_program(sized);
  for (const Phase phase : {Phase::prefill, Phase::decode}) expect_one_program(sized, with(3), phase);
}

TEST(NamedDimensions, OneRowOfFewOutputs) {
  const Array router = weight({8, 64}, 1);
  expect_one_program({[=](const std::vector<Array>& a) {
                        const Array scores = softmax(linear(tanh(a[0]), router));
                        const TopK best = top_k(scores, 3);
                        return std::vector{best.values, best.indices, scores * 2.0};
                      },
                      rows_of_64});
}

TEST(NamedDimensions, ElementwiseAndViews) {
  const Array row = weight({64}, 1);
  expect_one_program({[=](const std::vector<Array>& a) {
                        const Array x = a[0], heads = reshape(x, {x.size(0), 4, 16});
                        const Array swapped = transpose(heads, {0, 2, 1});
                        const Array joined = concatenate({slice_axis(x, 1, 0, 8) * 2.0, slice_axis(x, 1, 40, 64)}, 1);
                        return std::vector{x * row + 1.0,
                                           cast(exp(x), DType::f16),
                                           swapped + 0.5,
                                           reshape(swapped, {1, x.size(0), 64}),
                                           joined,
                                           select(x > 0.0, x, -x),
                                           max(x, {1}, true) - x,
                                           expand_dims(sum(heads, {1, 2}), 0),
                                           split(x, 2, 1)[1],
                                           x};
                      },
                      rows_of_64});
}

TEST(NamedDimensions, OrderAndSumsAlongOtherAxes) {
  expect_one_program({[](const std::vector<Array>& a) {
                        const Array heads = reshape(a[0], {a[0].size(0), 4, 16});
                        return std::vector{sort(a[0], 1),    argsort(heads, 1),    cumsum(heads, 1),
                                           cumsum(a[0], 1),  argmin(heads, 1),     log_softmax(heads, 1),
                                           min(heads, {1}),  prod(a[0], {1}),      softmax(heads, 2),
                                           mean(heads, {2}), top_k(a[0], 2).values};
                      },
                      rows_of_64});
}

TEST(NamedDimensions, ReductionsOverTheRowsOfARun) {
  expect_one_program({[](const std::vector<Array>& a) {
                        return std::vector{sum(a[0], {0}),         mean(a[0] * 2.0, {0}),    max(a[0], {0}, true),
                                           min(a[0], {0}),         prod(a[0], {0}),          any(a[0] > 0.0, {0}),
                                           all(a[0] > -1.0, {0}),  sum(sum(a[0], {1}), {0}), var(a[0], {0}),
                                           stddev(a[0], {0}, true)};
                      },
                      rows_of_64});
  EXPECT_EQ(error_of([] {
              Session session;
              compile([](const std::vector<Array>& a) { return std::vector{var(a[0], {0}, false, 1)}; },
                      {.dimensions = {{0, 0, {"tokens", bound}}}})(rows_of_64(7, nullptr));
            }),
            "var: ddof 1 over the named axis of f32[tokens<=96,64], expected 0");
}

TEST(NamedDimensions, WeightsQuantisedInTheRun) {
  expect_one_program(
      {[](const std::vector<Array>& a) { return std::vector{linear(a[0], quantise(a[1], DType::q8_0)) + 1.0}; },
       [](std::int64_t length, const AllocatorRef& allocator) {
         return std::vector{random_array({length, 64}, 3, allocator), random_array({40, 64}, 4)};
       }});
}

TEST(NamedDimensions, LookUps) {
  const Array table = weight({50, 64}, 1), places = weight({bound, 64}, 2);
  expect_one_program({[=](const std::vector<Array>& a) {
                        const Array x = take(table, a[0], 0) + take(places, a[1], 0);
                        return std::vector{layer_norm(x, 1e-5), take(table, expand_dims(a[0], 1), 0),
                                           gather(x, cast(expand_dims(a[1], 1), DType::i32) * 0, 1)};
                      },
                      [](std::int64_t length, const AllocatorRef& allocator) {
                        return std::vector{integers({length}, 50, allocator), positions(length, allocator)};
                      },
                      {{0, 0, {"tokens", bound}}, {1, -1, {"tokens", bound}}}});
}

TEST(NamedDimensions, MatmulsWithPlainOperands) {
  const Sized sized{[](const std::vector<Array>& a) {
                      const Array heads = reshape(a[0], {a[0].size(0), 4, 16});
                      return std::vector{matmul(a[0], a[1]), linear(a[0], a[2]),
                                         matmul(heads, slice_axis(a[1], 0, 0, 16)),
                                         matmul(expand_dims(heads, 2), reshape(a[1], {4, 16, 24})),
                                         linear(heads, slice_axis(a[2], 1, 0, 16))};
                    },
                    [](std::int64_t length, const AllocatorRef& allocator) {
                      return std::vector{random_array({length, 64}, 3, allocator), random_array({64, 24}, 4, allocator),
                                         random_array({33, 64}, 5, allocator)};
                    }};
  expect_one_program(sized);
  SessionOptions exact = with(3);
  exact.precision = Precision::f32;
  expect_one_program(sized, exact);
  expect_one_program(mlp_block(256), exact);
}

TEST(NamedDimensions, ProductsInDouble) {
  expect_one_program({[](const std::vector<Array>& a) {
                        const Array x = cast(a[0], DType::f64), w = cast(a[1], DType::f64);
                        const Array part = transpose(slice_axis(w, 1, 0, 16), {1, 0});
                        return std::vector{linear(x, w), matmul(reshape(x, {x.size(0), 4, 16}), part)};
                      },
                      [](std::int64_t length, const AllocatorRef& allocator) {
                        return std::vector{random_array({length, 64}, 3, allocator),
                                           random_array({33, 64}, 5, allocator)};
                      }});
}

TEST(NamedDimensions, RopeByPositions) {
  expect_one_program({[](const std::vector<Array>& a) {
                        const Array x = reshape(a[0], {a[0].size(0), 4, 16});
                        return std::vector{rope(x, a[1], RopeAttrs{}),
                                           rope(cast(x, DType::f16), a[1], RopeAttrs{500, 1, 4})};
                      },
                      [](std::int64_t length, const AllocatorRef& allocator) {
                        return std::vector{random_array({length, 64}, 3, allocator), positions(length, allocator)};
                      },
                      {{0, 0, {"tokens", bound}}, {1, 0, {"tokens", bound}}}});
}

// The block of an encoder: what a query sees are the keys of the run.
TEST(NamedDimensions, AttentionOverTheRowsOfARun) {
  const Array qkv = weight({3 * 64, 64}, 1), out = weight({64, 64}, 2);
  for (const bool causal : {false, true}) {
    const Sized sized{[=](const std::vector<Array>& a) {
                        const Array mixed = linear(a[0], qkv);
                        const auto heads = [&](int part) {
                          return reshape(slice_axis(mixed, 1, part * 64, part * 64 + 64), {mixed.size(0), 4, 16});
                        };
                        const Array q = rope(heads(0), a[1], RopeAttrs{}), k = rope(heads(1), a[1], RopeAttrs{});
                        const Array length = max(a[1], {0}) + 1;
                        const Array seen = causal ? a[1] : a[1] * 0 + (length - 1);
                        const Array y = attention(q, k, heads(2), seen, length, AttentionAttrs{0.25, 0});
                        return std::vector{a[0] + linear(reshape(y, {mixed.size(0), 64}), out)};
                      },
                      [](std::int64_t length, const AllocatorRef& allocator) {
                        return std::vector{random_array({length, 64}, 3, allocator), positions(length, allocator)};
                      },
                      {{0, 0, {"tokens", bound}}, {1, 0, {"tokens", bound}}}};
    for (const int threads : {1, 3})
      for (const char* fusion : {"all", "none"}) expect_one_program(sized, with(threads, fusion));
    for (const Phase phase : {Phase::prefill, Phase::decode}) expect_one_program(sized, with(3), phase);
    SessionOptions reference;
    reference.backend = "reference";
    expect_one_program(sized, reference);
  }
}

TEST(NamedDimensions, TwoNamesInOneFunction) {
  const Array w = weight({32, 64}, 1);
  const Sized sized{[=](const std::vector<Array>& a) {
                      return std::vector{gelu(linear(a[0], w)), a[1] * 2.0 + mean(a[0], {0}), sum(a[1], {1})};
                    },
                    [](std::int64_t length, const AllocatorRef& allocator) {
                      return std::vector{random_array({length, 64}, 3, allocator),
                                         random_array({1, bound + 1 - length, 64}, 4, allocator)};
                    },
                    {{0, 0, {"tokens", bound}}, {1, 1, {"frames", bound}}}};
  expect_one_program(sized);
}

TEST(NamedDimensions, DonatedArgumentsGoRound) {
  Session session(with(3));
  const CompiledFunction step = compile([](const std::vector<Array>& a) { return std::vector{a[0] + a[1]}; },
                                        {.donate = {0}, .dimensions = {{0, 0, {"n", bound}}, {1, 0, {"n", bound}}}});
  for (const std::int64_t length : lengths) {
    Array state = random_array({length, 8}, 1);
    const Array x = random_array({length, 8}, 2), first = state + 0.0;
    session.eval({first});
    for (int i = 0; i < 3; ++i) state = step(std::move(state), x)[0];
    expect_same({state}, {first + x + x + x});
  }
  EXPECT_EQ(step.signatures(), 1);
}

TEST(NamedDimensions, FilesKeepThem) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/block.lzg";
  Session session(with(3));
  const Sized sized = mlp_block(96);
  const CompiledFunction plain = compile(sized.function);
  {
    const CompiledFunction function =
        compile(sized.function, {.argument_names = {"x"}, .dimensions = sized.dimensions});
    save(function, sized.arguments(5, nullptr), path);
  }
  const CompiledFunction loaded = load(path);
  EXPECT_EQ(to_string(load_graph(path).type({0, 0})), "f32[tokens<=96,64]");
  for (const std::int64_t length : lengths)
    expect_same(loaded(sized.arguments(length, nullptr)), plain(sized.arguments(length, nullptr)));
  EXPECT_EQ(loaded.signatures(), 1);
  EXPECT_EQ(error_of([&] { loaded(sized.arguments(bound + 1, nullptr)); }),
            "compile: argument 0 has tokens = 97 along axis 0, expected 1 to 96");
  EXPECT_EQ(error_of([&] { loaded({random_array({5, 63}, 1)}); }),
            "call: argument 0 'x' is f32[5,63], expected f32[tokens<=96,64]");
  // Within another function it is inlined, at the size that it finds there.
  const CompiledFunction outer = compile([&](const std::vector<Array>& a) { return loaded({a[0] + 0.0}); });
  expect_same(outer(sized.arguments(7, nullptr)), plain(sized.arguments(7, nullptr)));
  const Graph graph = load_graph(path);
  for (const std::int64_t length : lengths) {
    const std::vector<Array> arguments = sized.arguments(length, nullptr);
    expect_same(session.run(graph, arguments), plain(arguments));
  }
}

TEST(NamedDimensions, BoundsHoldForCallsWithinATrace) {
  const CompiledFunction inner = compile([](const std::vector<Array>& a) { return std::vector{a[0] * 2.0}; },
                                         {.dimensions = {{0, 0, {"tokens", bound}}}});
  const CompiledFunction outer =
      compile([&](const std::vector<Array>& a) { return inner({concatenate({a[0], a[0]}, 0)}); });
  Session session;
  EXPECT_EQ(outer(rows_of_64(48, nullptr))[0].shape(), (Shape{96, 64}));
  EXPECT_EQ(error_of([&] { outer(rows_of_64(49, nullptr)); }),
            "compile: argument 0 has tokens = 98 along axis 0, expected 1 to 96");
}

TEST(NamedDimensions, ErrorsNameArgumentAndSize) {
  const Session session;
  const ArrayFunction add = [](const std::vector<Array>& a) { return std::vector{a[0] + a[1]}; };
  const auto call = [&](const ArrayFunction& function, std::vector<ArgumentDimension> dimensions, std::int64_t first,
                        std::int64_t second) {
    return error_of([&] {
      compile(function,
              {.dimensions = std::move(dimensions)})({random_array({first, 4}, 1), random_array({second, 4}, 2)});
    });
  };
  const std::vector<ArgumentDimension> both = {{0, 0, {"tokens", 8}}, {1, 0, {"tokens", 8}}};
  EXPECT_EQ(call(add, both, 5, 5), "no error");
  EXPECT_EQ(call(add, both, 9, 9), "compile: argument 0 has tokens = 9 along axis 0, expected 1 to 8");
  EXPECT_EQ(call(add, both, 0, 0), "compile: argument 0 has tokens = 0 along axis 0, expected 1 to 8");
  EXPECT_EQ(call(add, both, 5, 6), "compile: argument 1 has tokens = 6 along axis 0, expected 5, as argument 0 has");
  EXPECT_EQ(call(add, {{0, 0, {"tokens", 8}}, {1, 0, {"rows", 8}}}, 5, 5).substr(0, 45),
            "add: found f32[tokens<=8,4], f32[rows<=8,4], ");
  EXPECT_EQ(call(add, {{2, 0, {"tokens", 8}}}, 5, 5),
            "compile: dimension tokens names argument 2, expected 0 to 1, as the call has 2");
  EXPECT_EQ(call(add, {{0, 0, {"tokens", 8}}, {0, 1, {"rows", 8}}}, 5, 5),
            "compile: argument 0 has the dimensions tokens and rows, expected one at most");
  EXPECT_EQ(call(add, {{0, 0, {"tokens", 8}}, {1, 0, {"tokens", 9}}}, 5, 5),
            "compile: dimension tokens has the bounds 8 and 9, expected one");
  EXPECT_EQ(call(add, {{0, 2, {"tokens", 8}}}, 5, 5), "compile: axis 2 is out of range for an array of rank 2");
  EXPECT_EQ(call(add, {{0, 1, {"tokens", 8}}}, 5, 5),
            "dimension: tokens is axis 1 of f32[5,tokens<=8], expected the first axis longer than 1");
  EXPECT_EQ(call(add, {{0, 0, {"tokens", 1}}}, 1, 1), "dimension: tokens is at most 1, expected a bound of 2 or more");
}

TEST(NamedDimensions, ProfilesTellOfTheRowsOfARun) {
  Session session(with(3));
  const Sized sized = mlp_block(256);
  const CompiledFunction function = compile(sized.function, {.dimensions = sized.dimensions});
  const auto figures = [&](std::int64_t length) {
    const std::vector<Array> arguments = sized.arguments(length, nullptr);
    ProfileOptions options;
    options.measure_limits = false;
    const Profile profile = lazuli::profile(session, [&] { wait(function(arguments)[0]); }, options);
    double operations = 0;
    for (const ProfiledNode& node : profile.nodes) {
      EXPECT_GE(node.bytes, node.weight_bytes) << length;
      operations += node.operations;
    }
    return operations;
  };
  const double of_one = figures(1), of_all = figures(bound);
  EXPECT_GT(of_one, 0);
  EXPECT_NEAR(of_all / of_one, bound, 1);
}

TEST(NamedDimensions, MemoryIsThatOfTheBound) {
  Session session(with(3));
  const Sized sized = mlp_block(256);
  const auto needs = [&](Type type) {
    const std::vector<Array> results = sized.function({placeholder(std::move(type))});
    return session.memory_needs(results);
  };
  const MemoryNeeds plain = needs({DType::f32, {bound, 64}}),
                    named = needs(with_named_axis({DType::f32, {bound, 64}}, 0, "tokens"));
  EXPECT_EQ(named.result_bytes, plain.result_bytes);
  EXPECT_LE(named.intermediate_bytes, plain.intermediate_bytes);
  const CompiledFunction function = compile(sized.function, {.dimensions = sized.dimensions});
  for (const std::int64_t length : lengths) {
    const std::vector<Array> results = function(sized.arguments(length, nullptr));
    for (const Array& result : results) {
      result.bytes();
      EXPECT_EQ(static_cast<std::int64_t>(result.node()->results()[0].buffer->size()), result.type().bytes());
    }
  }
  EXPECT_LE(session.statistics().arena_bytes, std::max(plain.intermediate_bytes, named.intermediate_bytes));
}

}  // namespace
}  // namespace lazuli
