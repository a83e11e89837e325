// SPDX-License-Identifier: MIT
// Golden tests of rules and passes: text in, text out. tests/rules/*.lir hold cases of this form:
//
//   # RUN gelu_mul                  the rules or passes to run, in order; "all" is the whole pipeline
//   %0 = input : f32[2,8]
//   ...                             # CHECK: text that a line of the result holds; CHECKs match in order
//   # CHECK-NOT: text               no line of the result holds it
//   # WHY: text                     a reason given for a place where nothing happened
//   return %3
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/passes/pipeline.h>
#include <lazuli/passes/rules/rules.h>
#include <lazuli/tests/support/paths.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace lazuli {
namespace {

struct Case {
  std::string name;  // file and line
  std::vector<std::string> run;
  std::string graph;
  std::vector<std::string> check, check_not, why;

  friend void PrintTo(const Case& test, std::ostream* stream) { *stream << test.name; }
};

std::string squeezed(std::string_view text) {  // runs of spaces become one
  std::string result;
  for (char c : text)
    if (c != ' ' || (!result.empty() && result.back() != ' ')) result.push_back(c);
  while (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

// The directives behind the first "#" of a line: "CHECK: a  # WHY: b".
void read_directives(std::string_view comment, Case& test) {
  std::size_t begin = 0;
  while (begin < comment.size()) {
    const std::size_t end = std::min(comment.find('#', begin + 1), comment.size());
    const std::string text = squeezed(comment.substr(begin + 1, end - begin - 1));
    const auto take = [&](std::string_view prefix, std::vector<std::string>& into) {
      if (text.starts_with(prefix)) into.push_back(squeezed(std::string_view(text).substr(prefix.size())));
    };
    take("CHECK:", test.check);
    take("CHECK-NOT:", test.check_not);
    take("WHY:", test.why);
    begin = end;
  }
}

std::vector<Case> read_cases() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(test::rules_folder))
    if (entry.path().extension() == ".lir") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Case> cases;
  for (const auto& file : files) {
    std::ifstream stream(file);
    std::string line;
    for (int number = 1; std::getline(stream, line); ++number) {
      if (line.starts_with("# RUN ")) {
        cases.emplace_back().name = fmt::format("{}:{}", file.filename().string(), number);
        // Names end at two spaces; the rest is a remark.
        const std::string names = line.substr(6, line.find("  ", 6) - 6);
        std::istringstream list(names);
        for (std::string name; std::getline(list, name, ',');) cases.back().run.push_back(squeezed(name));
      } else if (!cases.empty()) {
        const std::size_t comment = line.find('#');
        cases.back().graph += line.substr(0, comment) + "\n";
        if (comment != std::string::npos) read_directives(std::string_view(line).substr(comment), cases.back());
      }
    }
  }
  return cases;
}

class RulesTest : public testing::TestWithParam<Case> {
 protected:
  RulesTest() {
    context_.note = [this](Verdict verdict) {
      if (!verdict.fired) reasons_ += verdict.rule + ": " + verdict.reason + "\n";
    };
    context_.evaluate = [](const Graph& graph) { return test::run_reference(graph, {}); };
  }

  Graph run(Graph graph, const std::string& name) {
    PipelineOptions options;
    options.verify = true;
    if (name == "all") return run_pipeline(std::move(graph), context_, options);
    for (const Rule& rule : named_rules())
      if (rule.name == name) return rewrite(std::move(graph), {&rule, 1}, context_);
    const auto pass = std::find_if(default_pipeline().begin(), default_pipeline().end(),
                                   [&](const Pass& known) { return known.name == name; });
    if (pass == default_pipeline().end()) fail("there is no rule or pass \"{}\"", name);
    return run_pipeline(std::move(graph), {&*pass, 1}, context_, options);
  }

  PassContext context_;
  std::string reasons_;
};

// Constants come back from text without data.
void give_constants_data(Graph& graph) {
  std::uint32_t seed = 1;
  for (GraphNode& node : graph.nodes)
    if (node.op == Op::constant && !node.constant) node.constant = test::random_buffer(node.type(), seed++);
}

TEST_P(RulesTest, Golden) {
  const Case& test = GetParam();
  Graph graph = parse_graph(test.graph);
  give_constants_data(graph);
  for (const std::string& name : test.run) graph = run(std::move(graph), name);
  verify(graph, test.run.back());
  const std::string text = to_text(graph);
  std::istringstream lines(text);
  std::string line;
  auto expected = test.check.begin();
  while (expected != test.check.end() && std::getline(lines, line))
    if (squeezed(line).find(*expected) != std::string::npos) ++expected;
  if (expected != test.check.end()) ADD_FAILURE() << "no line holds: " << *expected << "\n" << text << reasons_;
  for (const std::string& unwanted : test.check_not)
    EXPECT_EQ(text.find(unwanted), std::string::npos) << "found: " << unwanted << "\n" << text;
  for (const std::string& reason : test.why)
    EXPECT_NE(reasons_.find(reason), std::string::npos) << "no reason says: " << reason << "\n" << text << reasons_;
}

// What a rule or pass makes of a graph computes the same; AltUp's matmul formulation alone is summed in another order.
TEST_P(RulesTest, SameValues) {
  const Case& test = GetParam();
  Graph graph = parse_graph(test.graph);
  give_constants_data(graph);
  std::vector<BufferRef> inputs;
  for (ValueId input : graph.inputs()) inputs.push_back(test::random_buffer(graph.type(input), 7, 0, 1));
  const std::vector<BufferRef> expected = test::run_reference(graph, inputs);
  Graph result = graph;
  for (const std::string& name : test.run) result = run(std::move(result), name);
  const std::vector<BufferRef> actual = test::run_reference(result, inputs);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_LE(test::max_difference(graph.type(graph.outputs[i]), *expected[i], *actual[i]), 1e-5) << to_text(result);
}

INSTANTIATE_TEST_SUITE_P(Files, RulesTest, testing::ValuesIn(read_cases()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

// A rule states the spellings that programs use; the definition is one of them.
TEST(Rules, TakeTheDefinitionsOfTheirOps) {
  const std::vector<Type> operands{{DType::f32, {2, 8}}};
  int rules = 0;
  for (const Rule& rule : named_rules()) {
    const std::optional<Op> op = parse_op(rule.name);
    if (!op || !is_elementwise(*op)) continue;
    ++rules;
    PassContext context;
    const Graph raised = fuse_named(decomposition(*op, info(*op).default_attrs, operands), context);
    EXPECT_EQ(raised.node(raised.outputs[0]).name(), rule.name) << to_text(raised);
  }
  EXPECT_GE(rules, 2);
}

}  // namespace
}  // namespace lazuli
