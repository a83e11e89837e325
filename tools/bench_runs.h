// The measurements of `lazuli bench`: variants of one model side by side, one repetition of each in turn, so that what
// the host does meanwhile meets all of them alike.
#pragma once

#include <lazuli/backends/session.h>
#include <lazuli/models/runner.h>
#include <lazuli/tools/options.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::tool {

struct BenchVariant {
  std::string name;    // "fused", "chunk=64"
  std::string fusion;  // as SessionOptions::fusion
  std::int64_t chunk = 0;
};

// "fused,unfused" or "all,-softcap;none": names separated by semicolons, or by commas where no + or - follows. fused
// stands for all, unfused for none. Throws UsageError for empty names.
std::vector<BenchVariant> parse_variants(std::string_view text, std::int64_t chunk);
// "chunk=64,128,all"
std::vector<BenchVariant> parse_sweep(std::string_view text, const std::string& fusion);

struct BenchPlan {
  std::int64_t prompt = 0;  // tokens; 0 leaves the part out
  std::int64_t decode = 0;
  std::int64_t depth = 0;  // tokens of context before the first generated one
  int repetitions = 0;
  int warmup = 0;  // repetitions that are not counted
};

// Tokens per second of each repetition.
struct BenchSamples {
  std::vector<double> prompt, decode;
};

// Variants with the same fusion share a session. All are prepared before the first repetition.
class BenchRuns {
 public:
  BenchRuns(const LanguageModel& model, const CommonOptions& options, std::vector<BenchVariant> variants);
  ~BenchRuns();
  BenchRuns(const BenchRuns&) = delete;
  BenchRuns& operator=(const BenchRuns&) = delete;

  const std::vector<BenchVariant>& variants() const { return variants_; }
  int threads() const;
  // One entry a variant. `advance` is called after each run. Throws Interrupted.
  std::vector<BenchSamples> measure(const BenchPlan& plan, const std::function<void()>& advance);

 private:
  struct Lane;

  Session& session_for(const std::string& fusion, const CommonOptions& options);

  const LanguageModel& model_;
  std::vector<BenchVariant> variants_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace lazuli::tool
