// SPDX-License-Identifier: MIT
// Who chooses what: the order of the sources, what they say of themselves, and the files tunings are kept in.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <lazuli/runtime/tuning/choices.h>
#include <lazuli/tests/support/error_of.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace lazuli {
namespace {

namespace fs = std::filesystem;

using test::error_of;

TunedChoice tuned_choice(std::string name, std::string value, std::string against, TrialOutcome outcome, Ratio speed) {
  const bool taken = outcome == TrialOutcome::faster;
  return {std::move(name), taken ? value : against, {{value, against, outcome, {{"decode", {outcome, speed, 12}}}}}};
}

TuningRecord record_of(std::vector<TunedChoice> choices) {
  return {{"a CPU", "a model", "a build"}, "2026-11-21", std::move(choices)};
}

const Settings built_in{{"chunk", "512"}, {"threads", "2"}};

StatedChoices stated(Settings values) {
  return {ChoiceOrigin::stated, [](std::string_view name) { return "--" + std::string(name); }, std::move(values)};
}
StatedChoices environment(const std::map<std::string, std::string>& variables) {
  return environment_choices([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(Choices, AreBuiltInWithoutAnythingElse) {
  const Choices choices(built_in, {}, {});
  EXPECT_EQ(choices.value("softcap"), "on");
  EXPECT_EQ(choices.value("chunk"), "512");
  EXPECT_EQ(origin_text(*choices.find("chunk")), "default");
  EXPECT_EQ(to_string(choices.fusion()), "all");
  EXPECT_EQ(choices.find("altup"), nullptr);
}

TEST(Choices, LaterSourcesWin) {
  const MeasuredChoices shipped{
      ChoiceOrigin::shipped, record_of({tuned_choice("chunk", "64", "512", TrialOutcome::faster, {1.5, 1.4, 1.6}),
                                        tuned_choice("threads", "1", "2", TrialOutcome::faster, {1.1, 1.05, 1.2}),
                                        tuned_choice("softcap", "off", "on", TrialOutcome::faster, {1.2, 1.1, 1.3})})};
  const MeasuredChoices tuned{ChoiceOrigin::tuned,
                              record_of({tuned_choice("chunk", "128", "512", TrialOutcome::faster, {1.25, 1.2, 1.3})})};
  const Choices measured(built_in, {shipped, tuned}, {});
  EXPECT_EQ(measured.value("chunk"), "128");
  EXPECT_EQ(origin_text(*measured.find("chunk")), "tuned: 1.25x, 1.20 to 1.30 over 512");
  EXPECT_EQ(origin_text(*measured.find("softcap")), "measured on such a CPU: 1.20x, 1.10 to 1.30");
  EXPECT_EQ(to_string(measured.fusion()), "all,-softcap");

  const StatedChoices variables = environment({{"LAZULI_CHUNK", "256"}, {"LAZULI_FUSION", "+softcap"}});
  const Choices with_environment(built_in, {shipped, tuned}, {variables});
  EXPECT_EQ(with_environment.value("chunk"), "256");
  EXPECT_EQ(origin_text(*with_environment.find("chunk")), "LAZULI_CHUNK");
  EXPECT_EQ(with_environment.value("softcap"), "on");
  EXPECT_EQ(with_environment.value("threads"), "1");

  const Choices with_options(built_in, {shipped, tuned}, {variables, stated({{"chunk", "all"}})});
  EXPECT_EQ(with_options.value("chunk"), "all");
  EXPECT_EQ(origin_text(*with_options.find("chunk")), "--chunk");
}

TEST(Choices, AFusionTextIsOnTopOfWhatIsInForceOrReplacesIt) {
  const MeasuredChoices tuned{ChoiceOrigin::tuned,
                              record_of({tuned_choice("softcap", "off", "on", TrialOutcome::faster, {1.2, 1.1, 1.3})})};
  const Choices on_top(built_in, {tuned}, {stated({{"fusion", "-tanh_mul"}})});
  EXPECT_EQ(to_string(on_top.fusion()), "all,-softcap,-tanh_mul");
  EXPECT_EQ(on_top.find("softcap")->origin, ChoiceOrigin::tuned);
  const Choices replaced(built_in, {tuned}, {stated({{"fusion", "all,-tanh_mul"}})});
  EXPECT_EQ(to_string(replaced.fusion()), "all,-tanh_mul");
  EXPECT_EQ(origin_text(*replaced.find("softcap")), "--fusion");
}

TEST(Choices, SayWhyAFusionIsOff) {
  const MeasuredChoices tuned{
      ChoiceOrigin::tuned,
      record_of({tuned_choice("softcap", "off", "on", TrialOutcome::faster, {1.0638, 1.05, 1.08})})};
  const Choices choices(built_in, {tuned}, {stated({{"fusion", "-tanh_mul"}})});
  EXPECT_EQ(choices.why_off("softcap"), "slower on this host: 0.94x (tuned 2026-11-21)");
  EXPECT_EQ(choices.why_off("tanh_mul"), "switched off by --fusion");
}

TEST(Choices, MeasurementsThatDecidedNothingLeaveDefaults) {
  const MeasuredChoices tuned{
      ChoiceOrigin::tuned, record_of({tuned_choice("softcap", "off", "on", TrialOutcome::noisy, {0.98, 0.8, 1.2}),
                                      tuned_choice("tanh_mul", "off", "on", TrialOutcome::tie, {1, 0.995, 1.005}),
                                      tuned_choice("gelu_mul", "off", "on", TrialOutcome::slower, {0.8, 0.78, 0.82})})};
  const Choices choices(built_in, {tuned}, {});
  EXPECT_EQ(origin_text(*choices.find("softcap")), "default; tuned: noisy after 12 pairs, 1.02x, 0.83 to 1.25");
  EXPECT_EQ(origin_text(*choices.find("tanh_mul")), "tuned: tie, 1.00x, 1.00 to 1.01");
  EXPECT_EQ(origin_text(*choices.find("gelu_mul")), "tuned: 1.25x, 1.22 to 1.28");
  EXPECT_EQ(choices.value("gelu_mul"), "on");
}

// A file may have been edited by hand.
TEST(Choices, MeasurementsOfWhatNobodyCanHaveAreLeftOut) {
  const Ratio speed{1.2, 1.1, 1.3};
  const MeasuredChoices tuned{ChoiceOrigin::tuned,
                              record_of({tuned_choice("threads", "x", "2", TrialOutcome::faster, speed),
                                         tuned_choice("chunk", "-1", "512", TrialOutcome::faster, speed),
                                         tuned_choice("softcap", "banana", "on", TrialOutcome::faster, speed)})};
  const Choices choices(built_in, {tuned}, {});
  EXPECT_EQ(choices.value("threads"), "2");
  EXPECT_EQ(choices.value("chunk"), "512");
  EXPECT_EQ(choices.value("softcap"), "on");
}

TEST(Choices, RefuseWhatNobodyCanHave) {
  EXPECT_EQ(error_of([] { Choices(built_in, {}, {environment({{"LAZULI_CHUNK", "many"}})}); }),
            "LAZULI_CHUNK: \"many\" given, expected a number from 1 to 1048576, or all");
  EXPECT_EQ(error_of([] { Choices(built_in, {}, {environment({{"LAZULI_THREADS", "0"}})}); }),
            "LAZULI_THREADS: \"0\" given, expected a number from 1 to 4096");
  const std::string fusion = error_of([] { Choices(built_in, {}, {environment({{"LAZULI_FUSION", "-geluu_mul"}})}); });
  EXPECT_TRUE(fusion.starts_with("LAZULI_FUSION: there is no \"geluu_mul\"; near it: gelu_mul")) << fusion;
}

TEST(ShippedChoices, NameWhatThereIs) {
  CpuIdentity cpu;
  EXPECT_TRUE(shipped_choices(cpu, "").record.choices.empty());
  for (const int model : {143, 167, 173, 207}) {
    cpu = {"GenuineIntel", 6, model, Isa::amx, 2};
    const MeasuredChoices shipped = shipped_choices(cpu, "gemma3");
    if (model == 167) {
      ASSERT_FALSE(shipped.record.choices.empty());
    }
    const Settings others{{"threads", "2"}, {"chunk", "512"}, {"altup", "stacked"}, {"split_bytes", "0"}};
    const Choices choices(others, {shipped}, {});
    for (const TunedChoice& choice : shipped.record.choices) {
      ASSERT_NE(choices.find(choice.name), nullptr) << choice.name;
      EXPECT_EQ(choices.value(choice.name), choice.value);
    }
  }
}

class TuningFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "lazuli_choices_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string root() const { return folder_ / "lazuli"; }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path folder_;
  const TuningRecord record_ =
      record_of({tuned_choice("softcap", "off", "on", TrialOutcome::faster, {1.0638297872340425, 1.05, 1.08}),
                 tuned_choice("chunk", "64", "512", TrialOutcome::slower, {0.5, 0.4, 0.6})});
};

TEST_F(TuningFile, ComesBackAsItWasKept) {
  const std::string path = store_tuning(root(), record_);
  const FoundTuning found = find_tuning(root(), record_.key);
  ASSERT_TRUE(found.record);
  EXPECT_EQ(found.note, "");
  EXPECT_EQ(to_json(*found.record), to_json(record_));
  struct stat status{};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(TuningFile, OfAnotherVersionIsIgnoredWithANote) {
  const std::string path = store_tuning(root(), record_);
  TuningKey key = record_.key;
  key.version = "a later build";
  const FoundTuning found = find_tuning(root(), key);
  EXPECT_FALSE(found.record);
  EXPECT_EQ(found.note, path + " is not used: it is of another version of lazuli");
}

TEST_F(TuningFile, OfAnotherCpuIsIgnoredWithANote) {
  TuningRecord other = record_;
  other.key.cpu = "another CPU";
  const std::string from = store_tuning(root(), other), to = store_tuning(root(), record_);
  fs::copy_file(from, to, fs::copy_options::overwrite_existing);
  EXPECT_EQ(find_tuning(root(), record_.key).note, to + " is not used: it is of another CPU, another CPU");
  EXPECT_FALSE(find_tuning(root(), {"a third CPU", "", "a build"}).record);
}

TEST_F(TuningFile, ThatIsCorruptIsIgnoredAndReplaced) {
  const std::string path = store_tuning(root(), record_);
  const std::string whole = read(path);
  for (const std::string& damaged : {whole.substr(0, whole.size() / 2), std::string(), std::string("[]"),
                                     std::string("{\"format\": 99}"), std::string("{\"format\": \"one\"}")}) {
    std::ofstream(path) << damaged;
    const FoundTuning found = find_tuning(root(), record_.key);
    EXPECT_FALSE(found.record) << damaged;
    EXPECT_TRUE(found.note.starts_with(path + " is not used: ")) << found.note;
    EXPECT_EQ(found.note.find('\n'), std::string::npos);
  }
  EXPECT_EQ(store_tuning(root(), record_), path);
  EXPECT_TRUE(find_tuning(root(), record_.key).record);
}

TEST_F(TuningFile, OthersCanWriteIsNotTrusted) {
  const std::string path = store_tuning(root(), record_);
  ASSERT_EQ(chmod(path.c_str(), 0666), 0);
  EXPECT_FALSE(find_tuning(root(), record_.key).record);
  ASSERT_EQ(chmod(root().c_str(), 0777), 0);
  EXPECT_FALSE(find_tuning(root(), record_.key).record);
  EXPECT_NE(error_of([&] { store_tuning(root(), record_); }).find("others can write to it"), std::string::npos);
}

TEST_F(TuningFile, IsNeitherReadNorWrittenWithoutAFolder) {
  EXPECT_FALSE(find_tuning("", record_.key).record);
  EXPECT_NE(error_of([&] { store_tuning("", record_); }), "no error");
}

}  // namespace
}  // namespace lazuli
