// SPDX-License-Identifier: MIT
// What `lazuli bench` makes of --sweep and --compare.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tools/bench/bench_plan.h>
#include <lazuli/tools/support/errors.h>

namespace lazuli::tool {
namespace {

using test::error_of;
using Values = std::vector<std::string>;

BenchRequest sweeps(const Values& texts, const char* compare = "") {
  BenchRequest request;
  for (const std::string& text : texts) request.sweeps.push_back(parse_sweep(text));
  if (*compare != '\0') request.compare = parse_compare(compare);
  return request;
}

// "prompt fused", then "0 / 2" for each pair.
Values listing(const BenchRequest& request) {
  Values lines;
  const BenchPlan plan = bench_plan(request);
  for (const BenchCase& one : plan.cases) lines.push_back(fmt::format("{} {}", to_string(one.part), one.name));
  for (const BenchPair& pair : plan.pairs) lines.push_back(fmt::format("{} / {}", pair.after, pair.before));
  return lines;
}

TEST(BenchPlan, ValuesOfFusionGoOnAfterACommaWithASign) {
  const BenchAxis axis = parse_sweep("fusion=all,all,-softcap,+row_chain,none");
  EXPECT_EQ(axis.key, "fusion");
  EXPECT_EQ(axis.values, (Values{"all", "all,-softcap,+row_chain", "none"}));
  EXPECT_EQ(parse_compare("fused,-softcap,unfused").values, (Values{"fused,-softcap", "unfused"}));
  EXPECT_EQ(parse_compare("-softcap,none").values, (Values{"-softcap", "none"}));
}

TEST(BenchPlan, WithoutAxesBothPartsRunOnce) {
  EXPECT_EQ(listing(sweeps({})), (Values{"prompt fused", "decode fused"}));
  BenchRequest request = sweeps({});
  request.options.fusion = "all,-softcap";
  request.sizes.prompt = 0;
  EXPECT_EQ(listing(request), (Values{"decode all,-softcap"}));
}

TEST(BenchPlan, ComparesTheFirstWithTheOthers) {
  EXPECT_EQ(listing(sweeps({}, "fused,unfused")),
            (Values{"prompt fused", "decode fused", "prompt unfused", "decode unfused", "0 / 2", "1 / 3"}));
  // One and the same twice shows the noise.
  EXPECT_EQ(listing(sweeps({}, "all,all")),
            (Values{"prompt all", "decode all", "prompt all", "decode all", "0 / 2", "1 / 3"}));
}

TEST(BenchPlan, SweepsCompareTheOthersWithTheFirst) {
  EXPECT_EQ(listing(sweeps({"chunk=1,64,all"})),
            (Values{"prompt chunk=1", "prompt chunk=64", "prompt chunk=all", "1 / 0", "2 / 0"}));
}

TEST(BenchPlan, PartsThatNoAxisConcernsAreLeftOut) {
  EXPECT_EQ(listing(sweeps({"depth=8,512"})), (Values{"decode depth=8", "decode depth=512", "1 / 0"}));
  EXPECT_EQ(listing(sweeps({"chunk=64", "depth=8,512"})),
            (Values{"prompt chunk=64", "decode depth=8", "decode depth=512", "2 / 1"}));
}

TEST(BenchPlan, SeveralAxesGiveTheirProduct) {
  EXPECT_EQ(listing(sweeps({"threads=1,2", "kv=f16,f32"})),
            (Values{"prompt threads=1/kv=f16", "decode threads=1/kv=f16", "prompt threads=1/kv=f32",
                    "decode threads=1/kv=f32", "prompt threads=2/kv=f16", "decode threads=2/kv=f16",
                    "prompt threads=2/kv=f32", "decode threads=2/kv=f32", "2 / 0", "3 / 1", "4 / 0", "5 / 1", "6 / 0",
                    "7 / 1"}));
  // --compare looks at each point of the sweep by itself, and the chunk is none of generation's business.
  EXPECT_EQ(listing(sweeps({"chunk=64,128"}, "fused,unfused")),
            (Values{"prompt chunk=64/fusion=fused", "decode fusion=fused", "prompt chunk=64/fusion=unfused",
                    "decode fusion=unfused", "prompt chunk=128/fusion=fused", "prompt chunk=128/fusion=unfused",
                    "0 / 2", "1 / 3", "4 / 5"}));
}

TEST(BenchPlan, ValuesReachTheOptions) {
  const std::vector<BenchCase> cases =
      bench_plan(sweeps({"prompt=16", "depth=9", "chunk=all", "threads=1", "precision=f32", "backend=reference",
                         "kv=bf16", "altup=split", "fusion=unfused,+softcap"}))
          .cases;
  ASSERT_EQ(cases.size(), 2u);
  for (const BenchCase& one : cases) {
    EXPECT_EQ(one.options.threads, 1);
    EXPECT_EQ(one.options.precision, "f32");
    EXPECT_EQ(one.options.backend, "reference");
    EXPECT_EQ(one.options.kv, "bf16");
    EXPECT_EQ(one.options.altup, "split");
    EXPECT_EQ(one.options.fusion, "none,+softcap");
  }
  EXPECT_EQ(cases[0].sizes.prompt, 16);
  EXPECT_EQ(cases[0].options.runner().chunk, RunnerOptions::whole_prompt);
  EXPECT_EQ(cases[1].sizes.depth, 9);
  EXPECT_EQ(cases[1].options.chunk, "");
}

TEST(BenchPlan, ErrorsNameWhatIsWrong) {
  EXPECT_EQ(
      error_of<UsageError>([] { parse_sweep("chunks=64"); }),
      "--sweep: \"chunks\" cannot be swept; near it: chunk; expected one of prompt, depth, threads, chunk, altup, "
      "fusion, split-bytes, precision, backend, kv and =VALUE,VALUE");
  EXPECT_EQ(error_of<UsageError>([] { parse_sweep("chunk"); }), "--sweep: a value is empty; expected VALUE,VALUE");
  EXPECT_EQ(error_of<UsageError>([] { parse_sweep("chunk=64,,128"); }),
            "--sweep: a value is empty; expected VALUE,VALUE");
  EXPECT_EQ(error_of<UsageError>([] { parse_compare("fused,"); }), "--compare: a value is empty; expected VALUE,VALUE");
  const auto error_of_value = [](const char* sweep) {
    return error_of<UsageError>([&] { bench_plan(sweeps({sweep})); });
  };
  EXPECT_EQ(error_of_value("chunk=0"), "--chunk: \"0\" is neither a number from 1 to 1048576 nor \"all\"");
  EXPECT_NE(error_of_value("kv=f17").find("f17"), std::string::npos);
  EXPECT_NE(error_of_value("threads=none").find("none"), std::string::npos);
  EXPECT_NE(error_of_value("depth=0").find("--depth"), std::string::npos);
  EXPECT_EQ(error_of<UsageError>([] { bench_plan(sweeps({"kv=f16", "kv=f32"})); }),
            "--sweep: kv is swept twice; expected each option once, and fusion not beside --compare");
  EXPECT_EQ(error_of<UsageError>([] { bench_plan(sweeps({"fusion=all"}, "fused,unfused")); }),
            "--sweep: fusion is swept twice; expected each option once, and fusion not beside --compare");
}

}  // namespace
}  // namespace lazuli::tool
