// SPDX-License-Identifier: MIT
// AltUp (Baykal et al. 2023) in three spellings: the composite op, planes split into arrays of their own, and stacked
// planes multiplied as one matrix. Each becomes the same fused node, and gives the same numbers.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/run_reference.h>

#include <functional>

namespace lazuli {
namespace {

struct Sizes {
  std::int64_t planes, rows, width, active;
};

// What a step of one layer's AltUp reads.
struct Operands {
  Array planes;      // [P, 1, T, H]
  Array prediction;  // [1, T, P·P]
  Array correction;  // [1, T, P]
  Array activated;   // [1, T, H]
  std::int64_t active;
};

Array input(DType dtype, Shape shape, std::uint32_t seed) {
  const Type type{dtype, std::move(shape)};
  return Array::from(test::random_buffer(type, seed, -1, 1), type);
}

Operands operands_of(const Sizes& sizes, DType dtype) {
  const auto& [planes, rows, width, active] = sizes;
  return {input(dtype, {planes, 1, rows, width}, 1), input(dtype, {1, rows, planes * planes}, 2),
          input(dtype, {1, rows, planes}, 3), input(dtype, {1, rows, width}, 4), active};
}

struct Formulation {
  const char* name;
  std::function<Array(const Operands&)> predict;
  std::function<Array(const Operands&, const Array& predicted)> correct;
};

Array column(const Array& coefficients, std::int64_t position) {
  return slice_axis(coefficients, -1, position, position + 1);
}

// Planes to the back, [1, T, H, P] times [1, T, P, P], and to the front again.
Array predict_stacked(const Operands& x) {
  const std::int64_t count = x.planes.size(0), rows = x.planes.size(2);
  const Array coefficients = transpose(reshape(x.prediction, {1, rows, count, count}), {0, 1, 3, 2});
  const Array mixed = matmul(transpose(x.planes, {1, 2, 3, 0}), coefficients);
  return transpose(mixed, {3, 0, 1, 2}) + x.planes;
}
Array correct_stacked(const Operands& x, const Array& predicted) {
  const Array innovation = x.activated - index(predicted, 0, x.active);
  const Array coefficients = expand_dims(transpose(x.correction + 1.0, {2, 0, 1}), 3);  // [P, 1, T, 1]
  return expand_dims(innovation, 0) * coefficients + predicted;
}

Array predict_split(const Operands& x) {
  const std::vector<Array> planes = unstack(x.planes, 0);
  const auto count = static_cast<std::int64_t>(planes.size());
  std::vector<Array> predicted;
  for (std::int64_t j = 0; j < count; ++j) {
    Array mixed = column(x.prediction, j * count) * planes[0];
    for (std::int64_t i = 1; i < count; ++i)
      mixed = mixed + column(x.prediction, j * count + i) * planes[static_cast<std::size_t>(i)];
    predicted.push_back(planes[static_cast<std::size_t>(j)] + mixed);
  }
  return stack(predicted);
}
Array correct_split(const Operands& x, const Array& predicted) {
  const std::vector<Array> planes = unstack(predicted, 0);
  const Array innovation = x.activated - planes[static_cast<std::size_t>(x.active)];
  std::vector<Array> corrected;
  for (std::size_t j = 0; j < planes.size(); ++j)
    corrected.push_back(planes[j] + (column(x.correction, static_cast<std::int64_t>(j)) + 1.0) * innovation);
  return stack(corrected);
}

std::vector<Formulation> formulations() {
  return {
      {"stacked", predict_stacked, correct_stacked},
      {"split", predict_split, correct_split},
      {"composite", [](const Operands& x) { return altup_predict(x.planes, x.prediction, {x.active}); },
       [](const Operands& x, const Array& predicted) {
         return altup_correct(predicted, x.activated, x.correction, {x.active});
       }},
  };
}

struct Step {
  Graph graph;  // after the passes
  Array predicted, corrected;
};

Step run(const Formulation& formulation, const Sizes& sizes, DType dtype, const std::string& fusion,
         const std::string& backend) {
  SessionOptions options;
  options.backend = backend;
  options.fusion = fusion;
  options.verify = true;
  Session session(options);
  const Operands x = operands_of(sizes, dtype);
  Step step;
  step.predicted = formulation.predict(x);
  step.corrected = formulation.correct(x, step.predicted);
  const Array outputs[] = {step.predicted, step.corrected};
  step.graph = session.optimised(outputs);
  eval(outputs);
  return step;
}

int fused_nodes(const Graph& graph, std::string_view name) {
  int count = 0;
  for (const GraphNode& node : graph.nodes) count += node.op == Op::fused && node.name() == name;
  return count;
}

const Buffer& buffer_of(const Array& array) { return *array.node()->results()[0].buffer; }

void expect_near(const Array& expected, const Array& actual, double tolerance) {
  EXPECT_LE(test::max_difference(expected.type(), buffer_of(expected), buffer_of(actual)), tolerance);
}

// Sums of P products of numbers up to 1: f32 against the reference's double. In bf16 the spellings round each product
// and sum, the composite once: up to one ulp (2^-7) for each of the P terms.
double tolerance_of(DType dtype) { return dtype == DType::f32 ? 2e-6 : 4 * 0x1p-7; }

const Sizes all_sizes[] = {{4, 1, 2048, 0}, {4, 7, 33, 0}, {2, 3, 17, 1}, {3, 5, 64, 2}};

TEST(Altup, EverySpellingBecomesOneIsland) {
  for (const Sizes& sizes : all_sizes)
    for (const Formulation& formulation : formulations()) {
      SCOPED_TRACE(formulation.name);
      const Step step = run(formulation, sizes, DType::f32, "all", "cpu");
      EXPECT_EQ(fused_nodes(step.graph, "altup_predict"), 1) << to_text(step.graph);
      EXPECT_EQ(fused_nodes(step.graph, "altup_correct"), 1) << to_text(step.graph);
    }
}

TEST(Altup, AgreesWithTheReferenceAtEveryLevel) {
  for (const Sizes& sizes : all_sizes)
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Step oracle = run(formulations().back(), sizes, dtype, "none", "reference");
      for (const Formulation& formulation : formulations())
        for (const char* fusion : {"all", "none", "primitive", "all,-altup_predict", "none,+altup_correct"})
          for (const char* backend : {"cpu", "reference"}) {
            SCOPED_TRACE(std::string(formulation.name) + " " + fusion + " " + backend);
            const Step step = run(formulation, sizes, dtype, fusion, backend);
            expect_near(oracle.predicted, step.predicted, tolerance_of(dtype));
            expect_near(oracle.corrected, step.corrected, tolerance_of(dtype));
          }
    }
}

// The split spelling computes literally what the island does.
TEST(Altup, SplitSpellingKeepsItsBits) {
  for (const Sizes& sizes : all_sizes) {
    const Formulation split_form = formulations()[1];
    const Step all = run(split_form, sizes, DType::f32, "all", "cpu"),
               none = run(split_form, sizes, DType::f32, "none", "cpu");
    EXPECT_TRUE(test::same_bits(all.predicted.type(), buffer_of(all.predicted), buffer_of(none.predicted)));
    EXPECT_TRUE(test::same_bits(all.corrected.type(), buffer_of(all.corrected), buffer_of(none.corrected)));
  }
}

TEST(Altup, CompositeKeepsItsBitsInEveryDtype) {
  for (const Sizes& sizes : all_sizes)
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::f64}) {
      const Formulation composite = formulations().back();
      const Step all = run(composite, sizes, dtype, "all", "cpu"), none = run(composite, sizes, dtype, "none", "cpu");
      EXPECT_TRUE(test::same_bits(all.predicted.type(), buffer_of(all.predicted), buffer_of(none.predicted)));
      EXPECT_TRUE(test::same_bits(all.corrected.type(), buffer_of(all.corrected), buffer_of(none.corrected)));
    }
}

// The planes with `activated` added to all but the first.
Array updated_planes(const Operands& x) {
  const std::int64_t count = x.planes.size(0);
  const Array behind_first = greater(reshape(iota(count), {count, 1, 1, 1}), 0);
  return select(behind_first, x.planes + x.activated, x.planes);
}

TEST(Altup, AnUpdateOfThePlanesComesIntoTheIsland) {
  for (const Sizes& sizes : all_sizes) {
    std::vector<Array> results;
    for (const char* fusion : {"all", "none"}) {
      SessionOptions options;
      options.fusion = fusion;
      options.verify = true;
      Session session(options);
      const Operands x = operands_of(sizes, DType::f32);
      const Array predicted[] = {altup_predict(updated_planes(x), x.prediction, {x.active})};
      const Graph graph = session.optimised(predicted);
      if (fusion == std::string("all")) {
        EXPECT_EQ(fused_nodes(graph, "altup_predict"), 1) << to_text(graph);
        EXPECT_EQ(fused_nodes(graph, "add_select"), 0) << to_text(graph);
      }
      eval(predicted);
      results.push_back(predicted[0]);
    }
    EXPECT_TRUE(test::same_bits(results[0].type(), buffer_of(results[0]), buffer_of(results[1])));
  }
}

TEST(Altup, AnUpdateThatOthersReadStaysOutside) {
  Session session;
  const Operands x = operands_of({4, 3, 32, 0}, DType::f32);
  const Array planes = updated_planes(x);
  const Array outputs[] = {altup_predict(planes, x.prediction, {0}), exp(planes)};
  const Graph graph = session.optimised(outputs);
  for (const GraphNode& node : graph.nodes)
    if (node.op == Op::fused && node.name() == "altup_predict") {
      EXPECT_EQ(node.inputs.size(), 2U) << to_text(graph);
    }
  eval(outputs);
}

TEST(Altup, SecondReaderOfTheProductKeepsItWhole) {
  Session session;
  const Operands x = operands_of({4, 3, 32, 0}, DType::f32);
  const Array coefficients = transpose(reshape(x.prediction, {1, 3, 4, 4}), {0, 1, 3, 2});
  const Array product = matmul(transpose(x.planes, {1, 2, 3, 0}), coefficients);
  const Array outputs[] = {transpose(product, {3, 0, 1, 2}) + x.planes, exp(product)};
  EXPECT_EQ(fused_nodes(session.optimised(outputs), "altup_predict"), 0);
  eval(outputs);
}

}  // namespace
}  // namespace lazuli
