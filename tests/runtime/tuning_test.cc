// SPDX-License-Identifier: MIT
// The measuring loop on a clock that the tests wind: what runs "takes" what they say it takes.
#include <gtest/gtest.h>
#include <lazuli/runtime/tuning/tune.h>

#include <cmath>
#include <vector>

namespace lazuli {
namespace {

class TuningTest : public testing::Test {
 protected:
  TuningClock clock() {
    return [this] { return now_; };
  }
  // Something that takes so long, times what the host makes of it.
  std::function<void()> taking(double seconds) {
    return [this, seconds] { now_ += seconds * slowness(); };
  }
  // A run of pseudo-random length between `seconds` / spread and `seconds` * spread.
  std::function<void()> wavering(double seconds, double spread) {
    return [this, seconds, spread] {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      const double unit = static_cast<double>(state_ >> 11) * 0x1p-53;
      now_ += seconds * std::pow(spread, 2 * unit - 1);
    };
  }
  double slowness() const { return now_ < slower_from_ ? 1 : 2; }

  double now_ = 0;
  double slower_from_ = 1e9;
  std::uint64_t state_ = 1;
};

TEST_F(TuningTest, FasterIsFound) {
  const Comparison result = compare(taking(0.2), taking(0.1), clock());
  EXPECT_EQ(result.outcome, TrialOutcome::faster);
  EXPECT_DOUBLE_EQ(result.speed.value, 2);
  EXPECT_EQ(result.pairs, ComparisonOptions{}.min_pairs);  // an interval without width ends it
}

TEST_F(TuningTest, SlowerIsFound) {
  const Comparison result = compare(taking(0.1), taking(0.125), clock());
  EXPECT_EQ(result.outcome, TrialOutcome::slower);
  EXPECT_NEAR(result.speed.value, 0.8, 1e-9);
}

TEST_F(TuningTest, EqualIsATie) { EXPECT_EQ(compare(taking(0.1), taking(0.1), clock()).outcome, TrialOutcome::tie); }

TEST_F(TuningTest, GainsTooSmallToMatterAreATie) {
  EXPECT_EQ(compare(taking(0.1), taking(0.0995), clock()).outcome, TrialOutcome::tie);
}

TEST_F(TuningTest, NoiseDecidesNothingAndSaysSo) {
  const Comparison result = compare(wavering(0.1, 2), wavering(0.1, 2), clock());
  EXPECT_EQ(result.outcome, TrialOutcome::noisy);
  EXPECT_GT(result.speed.high - result.speed.low, 0.02);
}

TEST_F(TuningTest, ADifferenceBeyondTheNoiseIsFoundInIt) {
  ComparisonOptions options;
  options.seconds = 60;
  EXPECT_EQ(compare(wavering(0.1, 1.2), wavering(0.07, 1.2), clock(), options).outcome, TrialOutcome::faster);
}

TEST_F(TuningTest, AHostThatSlowsDownHalfWayDecidesNothing) {
  slower_from_ = 2.5;
  EXPECT_EQ(compare(taking(0.1), taking(0.1), clock()).outcome, TrialOutcome::tie);
}

TEST_F(TuningTest, ADifferenceThatLastsOnlyForAWhileIsUnsteady) {
  ComparisonOptions options;
  options.seconds = 1000;
  options.narrow = 0;
  options.max_pairs = 100;
  // Faster in two thirds of the pairs, and so in the median, but slower in all the later ones.
  const auto candidate = [this, runs = 0]() mutable {
    ++runs;
    now_ += runs > 67 ? 0.104 : runs % 2 == 0 ? 0.0985 : 0.095;
  };
  const Comparison result = compare(taking(0.1), candidate, clock(), options);
  EXPECT_EQ(result.outcome, TrialOutcome::unsteady);
  EXPECT_GT(result.speed.low, 1);
}

TEST_F(TuningTest, TooFewPairsDecideNothing) {
  ComparisonOptions options;
  options.seconds = 5;
  const Comparison result = compare(taking(1), taking(0.5), clock(), options);
  EXPECT_LT(result.pairs, options.min_pairs);
  EXPECT_EQ(result.outcome, TrialOutcome::noisy);
}

TEST_F(TuningTest, ShortRunsAreRepeatedWithinASample) {
  int runs = 0;
  const auto count = [&] {
    ++runs;
    now_ += 0.001;
  };
  const Comparison result = compare(taking(0.001), count, clock());
  EXPECT_EQ(runs, 2 + 30 * result.pairs);
}

// Settings that take what `cost` says, in the parts it names.
struct FakeHost {
  double now = 0;
  std::map<std::string, std::function<double(const Settings&)>> cost;

  std::shared_ptr<const Contender> prepare(const Settings& settings) {
    auto contender = std::make_shared<Contender>();
    for (const auto& [part, seconds_of] : cost) {
      const double seconds = seconds_of(settings);
      contender->parts.push_back({part, std::to_string(seconds), [this, seconds] { now += seconds; }});
    }
    return contender;
  }
  std::vector<TunedChoice> tune(std::vector<TunableChoice> choices, double seconds = 1000) {
    TuneOptions options;
    options.clock = [this] { return now; };
    options.seconds = seconds;
    return lazuli::tune(choices, [this](const Settings& settings) { return prepare(settings); }, options);
  }
};

bool is(const Settings& settings, const char* name, const char* value) { return settings.at(name) == value; }

TEST(Tune, TurnsOffAFusionThatIsSlower) {
  FakeHost host;
  host.cost["decode"] = [](const Settings& settings) { return is(settings, "softcap", "on") ? 0.11 : 0.1; };
  const auto tuned = host.tune({{"softcap", {"on", "off"}}, {"tanh_mul", {"on", "off"}}});
  EXPECT_EQ(tuned[0].value, "off");
  EXPECT_EQ(tuned[0].trials[0].outcome, TrialOutcome::faster);
  EXPECT_NEAR(tuned[0].trials[0].parts[0].comparison.speed.value, 1.1, 1e-9);
  EXPECT_EQ(tuned[1].value, "on");
  EXPECT_EQ(tuned[1].trials[0].outcome, TrialOutcome::same);
}

TEST(Tune, KeepsWhatIsFasterInOnePartAndSlowerInAnother) {
  FakeHost host;
  host.cost["decode"] = [](const Settings& settings) { return is(settings, "chunk", "64") ? 0.1 : 0.12; };
  host.cost["prompt"] = [](const Settings& settings) { return is(settings, "chunk", "64") ? 0.2 : 0.1; };
  const auto tuned = host.tune({{"chunk", {"512", "64"}}});
  EXPECT_EQ(tuned[0].value, "512");
  EXPECT_EQ(tuned[0].trials[0].outcome, TrialOutcome::mixed);
}

TEST(Tune, GoesOnFromWhatWasTaken) {
  FakeHost host;
  const std::map<std::string, double> cost{{"64", 0.3}, {"128", 0.15}, {"256", 0.1}, {"512", 0.2}};
  host.cost["prompt"] = [&](const Settings& settings) { return cost.at(settings.at("chunk")); };
  const auto tuned = host.tune({{"chunk", {"512", "64", "128", "256"}}});
  EXPECT_EQ(tuned[0].value, "256");
  EXPECT_EQ(tuned[0].trials[0].outcome, TrialOutcome::slower);
  EXPECT_EQ(tuned[0].trials[2].against, "128");
}

TEST(Tune, SaysWhatItHadNoTimeFor) {
  FakeHost host;
  host.cost["decode"] = [](const Settings& settings) { return is(settings, "a", "on") ? 0.1 : 0.05; };
  const auto tuned = host.tune({{"a", {"on", "off"}}}, 0);
  EXPECT_EQ(tuned[0].value, "on");
  EXPECT_EQ(tuned[0].trials[0].outcome, TrialOutcome::unmeasured);
}

}  // namespace
}  // namespace lazuli
