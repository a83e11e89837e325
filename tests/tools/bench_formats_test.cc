// SPDX-License-Identifier: MIT
// The results of `lazuli bench` in every format, to the letter.
#include <gtest/gtest.h>
#include <lazuli/tools/bench/bench_formats.h>
#include <lazuli/tools/bench/bench_plot.h>

namespace lazuli::tool {
namespace {

// All ratios of a pair are alike, so that the interval does not depend on the random numbers drawn for it.
BenchReport sample() {
  const std::vector<BenchLabel> fused{{"fusion", "all"}}, unfused{{"fusion", "all,-softcap"}};
  return {.cpu = "A \"CPU\", new",
          .isa = "avx2",
          .model = "Tiny & small",
          .threads = 2,
          .sizes = {.prompt = 512, .decode = 4, .depth = 8},
          .repetitions = 3,
          .limits = {.read_gbps = 20, .f32_gflops = 100, .int8_gops = 400},
          .prompt_peak_share = 0.5,
          .decode_floor_share = 0.25,
          .runs = {{.part = BenchPart::prompt,
                    .variant = "all",
                    .labels = fused,
                    .tokens = 512,
                    .threads = 2,
                    .rates = {1000, 1250, 500},
                    .checksum = 0xab},
                   {.part = BenchPart::decode,
                    .variant = "all",
                    .labels = fused,
                    .tokens = 4,
                    .depth = 8,
                    .threads = 2,
                    .rates = {50, 40, 25},
                    .checksum = 0xcd},
                   {.part = BenchPart::prompt,
                    .variant = "all,-softcap",
                    .labels = unfused,
                    .tokens = 512,
                    .threads = 2,
                    .rates = {800, 1000, 400},
                    .checksum = 0xab},
                   {.part = BenchPart::decode,
                    .variant = "all,-softcap",
                    .labels = unfused,
                    .tokens = 4,
                    .depth = 8,
                    .threads = 2,
                    .rates = {100, 80, 50},
                    .checksum = 0xce}},
          .pairs = {{0, 2}, {1, 3}}};
}

TEST(BenchFormats, Text) {
  EXPECT_EQ(bench_text(sample()),
            R"(Tiny & small
A "CPU", new, avx2, 2 threads, tokens/s, 3 repetitions
limits: read 20.0 GB/s; peaks f32 100 GFLOP/s, bf16 -, int8 400 GOP/s

run     tokens  variant           median         min         max
prompt  512     all              1000.00      500.00     1250.00
decode  4 at 8  all                40.00       25.00       50.00
prompt  512     all,-softcap      800.00      400.00     1000.00
decode  4 at 8  all,-softcap       80.00       50.00      100.00

prompt: all / all,-softcap: 1.250 (95 %: 1.250 to 1.250), +25.0 %
decode: all / all,-softcap: 0.500 (95 %: 0.500 to 0.500), -50.0 %
prompt 512: logits of the last row identical in all 2 variants
decode 4 at 8: generated ids of all,-softcap differ from those of all
prompt: 50 % of the matmul peak
decode: 25 % of the memory read rate
)");
}

TEST(BenchFormats, Markdown) {
  EXPECT_EQ(
      bench_markdown(sample()),
      R"(Tiny & small; A "CPU", new, avx2, 2 threads; tokens/s, median (min to max) of 3 by turns; limits: read 20.0 GB/s; peaks f32 100 GFLOP/s, bf16 -, int8 400 GOP/s

| run | tokens | variant | tokens/s |
| --- | --- | --- | ---: |
| prompt | 512 | all | 1000.00 (500.00 to 1250.00) |
| decode | 4 at 8 | all | 40.00 (25.00 to 50.00) |
| prompt | 512 | all,-softcap | 800.00 (400.00 to 1000.00) |
| decode | 4 at 8 | all,-softcap | 80.00 (50.00 to 100.00) |

| run | before | after | before, tokens/s | after, tokens/s | gain (95 %) |
| --- | --- | --- | ---: | ---: | ---: |
| prompt 512 | all,-softcap | all | 800.00 (400.00 to 1000.00) | 1000.00 (500.00 to 1250.00) | +25.0 % (+25.0 % to +25.0 %) |
| decode 4 at 8 | all,-softcap | all | 80.00 (50.00 to 100.00) | 40.00 (25.00 to 50.00) | -50.0 % (-50.0 % to -50.0 %) |

- prompt 512: logits of the last row identical in all 2 variants
- decode 4 at 8: generated ids of all,-softcap differ from those of all
- prompt: 50 % of the matmul peak
- decode: 25 % of the memory read rate
)");
}

TEST(BenchFormats, Csv) {
  EXPECT_EQ(bench_csv(sample()),
            R"(model,cpu,isa,threads,run,tokens,depth,variant,fusion,repetition,tokens_per_second
Tiny & small,"A ""CPU"", new",avx2,2,prompt,512,0,all,all,1,1000
Tiny & small,"A ""CPU"", new",avx2,2,prompt,512,0,all,all,2,1250
Tiny & small,"A ""CPU"", new",avx2,2,prompt,512,0,all,all,3,500
Tiny & small,"A ""CPU"", new",avx2,2,decode,4,8,all,all,1,50
Tiny & small,"A ""CPU"", new",avx2,2,decode,4,8,all,all,2,40
Tiny & small,"A ""CPU"", new",avx2,2,decode,4,8,all,all,3,25
Tiny & small,"A ""CPU"", new",avx2,2,prompt,512,0,"all,-softcap","all,-softcap",1,800
Tiny & small,"A ""CPU"", new",avx2,2,prompt,512,0,"all,-softcap","all,-softcap",2,1000
Tiny & small,"A ""CPU"", new",avx2,2,prompt,512,0,"all,-softcap","all,-softcap",3,400
Tiny & small,"A ""CPU"", new",avx2,2,decode,4,8,"all,-softcap","all,-softcap",1,100
Tiny & small,"A ""CPU"", new",avx2,2,decode,4,8,"all,-softcap","all,-softcap",2,80
Tiny & small,"A ""CPU"", new",avx2,2,decode,4,8,"all,-softcap","all,-softcap",3,50
)");
}

TEST(BenchFormats, Benchstat) {
  EXPECT_EQ(bench_benchstat(sample()),
            R"(goos: linux
goarch: amd64
pkg: lazuli
cpu: A "CPU", new
isa: avx2
model: Tiny & small
Unit tok/s better=higher
BenchmarkPrompt/prompt=512/fusion=all/threads=2 1 512000000 ns/op 1000.0000 tok/s
BenchmarkPrompt/prompt=512/fusion=all/threads=2 1 409600000 ns/op 1250.0000 tok/s
BenchmarkPrompt/prompt=512/fusion=all/threads=2 1 1024000000 ns/op 500.0000 tok/s
BenchmarkDecode/tokens=4/depth=8/fusion=all/threads=2 4 20000000 ns/op 50.0000 tok/s
BenchmarkDecode/tokens=4/depth=8/fusion=all/threads=2 4 25000000 ns/op 40.0000 tok/s
BenchmarkDecode/tokens=4/depth=8/fusion=all/threads=2 4 40000000 ns/op 25.0000 tok/s
BenchmarkPrompt/prompt=512/fusion=all,-softcap/threads=2 1 640000000 ns/op 800.0000 tok/s
BenchmarkPrompt/prompt=512/fusion=all,-softcap/threads=2 1 512000000 ns/op 1000.0000 tok/s
BenchmarkPrompt/prompt=512/fusion=all,-softcap/threads=2 1 1280000000 ns/op 400.0000 tok/s
BenchmarkDecode/tokens=4/depth=8/fusion=all,-softcap/threads=2 4 10000000 ns/op 100.0000 tok/s
BenchmarkDecode/tokens=4/depth=8/fusion=all,-softcap/threads=2 4 12500000 ns/op 80.0000 tok/s
BenchmarkDecode/tokens=4/depth=8/fusion=all,-softcap/threads=2 4 20000000 ns/op 50.0000 tok/s
)");
}

TEST(BenchFormats, JsonHasTheKeysScriptsRelyOn) {
  const Json report = bench_json(sample());
  EXPECT_EQ(report["limits"],
            (Json{{"read_gbps", 20.0}, {"f32_gflops", 100.0}, {"bf16_gflops", nullptr}, {"int8_gops", 400.0}}));
  EXPECT_EQ(report["runs"][1].dump(),
            R"({"name":"decode","variant":"all","labels":{"fusion":"all"},"tokens":4,"depth":8,"threads":2,)"
            R"("median":40.0,"min":25.0,"max":50.0,"unit":"tokens/s","samples":[50.0,40.0,25.0],)"
            R"("checksum":"00000000000000cd"})");
  EXPECT_EQ(report["ratios"][0].dump(),
            R"({"name":"prompt","first":"all","second":"all,-softcap","ratio":1.25,"low":1.25,"high":1.25})");
  EXPECT_EQ(report["decode_floor_share"], 0.25);
  EXPECT_EQ(report["prompt_peak_share"], 0.5);
}

TEST(BenchFormats, Plot) {
  BenchReport report = sample();
  report.runs = {
      {.variant = "chunk=64/kv=f16", .labels = {{"chunk", "64"}, {"kv", "f16"}}, .threads = 1, .rates = {100, 110, 90}},
      {.variant = "chunk=all/kv=f16",
       .labels = {{"chunk", "all"}, {"kv", "f16"}},
       .threads = 2,
       .rates = {180, 200, 190}}};
  EXPECT_EQ(
      bench_svg(report),
      R"(<svg xmlns="http://www.w3.org/2000/svg" width="800" height="328" viewBox="0 0 800 328" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="70.0" y="20.0" text-anchor="start">Tiny &amp; small; A &quot;CPU&quot;, new, avx2</text>
<text x="70.0" y="50.0" text-anchor="start">prompt, tokens/s</text>
<path d="M70.0 276.0L510.0 276.0" stroke="#dddddd"/>
<text x="62.0" y="280.0" text-anchor="end">0</text>
<path d="M70.0 223.0L510.0 223.0" stroke="#dddddd"/>
<text x="62.0" y="227.0" text-anchor="end">50</text>
<path d="M70.0 170.0L510.0 170.0" stroke="#dddddd"/>
<text x="62.0" y="174.0" text-anchor="end">100</text>
<path d="M70.0 117.0L510.0 117.0" stroke="#dddddd"/>
<text x="62.0" y="121.0" text-anchor="end">150</text>
<path d="M70.0 64.0L510.0 64.0" stroke="#dddddd"/>
<text x="62.0" y="68.0" text-anchor="end">200</text>
<text x="180.0" y="294.0" text-anchor="middle">64</text>
<text x="400.0" y="294.0" text-anchor="middle">all</text>
<text x="290.0" y="314.0" text-anchor="middle">chunk</text>
<path d="M180.0 170.0L400.0 74.6" fill="none" stroke="#0072b2" stroke-width="1.5"/>
<path d="M180.0 180.6L180.0 159.4" stroke="#0072b2"/>
<path d="M176.0 180.6L184.0 180.6" stroke="#0072b2"/>
<path d="M176.0 159.4L184.0 159.4" stroke="#0072b2"/>
<circle cx="180.0" cy="170.0" r="3.5" fill="#0072b2"/>
<path d="M400.0 85.2L400.0 64.0" stroke="#0072b2"/>
<path d="M396.0 85.2L404.0 85.2" stroke="#0072b2"/>
<path d="M396.0 64.0L404.0 64.0" stroke="#0072b2"/>
<circle cx="400.0" cy="74.6" r="3.5" fill="#0072b2"/>
<circle cx="526.0" cy="68.0" r="3.5" fill="#0072b2"/>
<text x="536.0" y="72.0" text-anchor="start">kv=f16</text>
</svg>
)");
}

}  // namespace
}  // namespace lazuli::tool
