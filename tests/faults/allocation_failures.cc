// SPDX-License-Identifier: MIT
// Memory runs out at every allocation in turn: the call ends with an error or goes on; afterwards the same call gives
// the same bits, and nothing is kept or left behind.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/tests/faults/allocations.h>
#include <lazuli/tests/faults/points.h>
#include <lazuli/tests/faults/work.h>
#include <lazuli/tests/support/golden_model.h>

#include <filesystem>

namespace lazuli::test {
namespace {

class AllocationFailures : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "lazuli_faults_out.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // `call` makes and drops all it uses, or leaves what it uses as it was.
  void expect_survived(const std::string& name, const std::function<Bits()>& call, std::int64_t budget) {
    const Bits expected = call();
    ASSERT_EQ(call(), expected);  // kernels are on disk by now, static objects made
    std::vector<std::int64_t> places;
    std::int64_t made = 0;
    {
      const RecordedAllocations recorded;
      call();
      places = recorded.first_of_each_place();
      made = recorded.made();
    }
    const Left left({folder_, std::getenv("XDG_CACHE_HOME")});
    const std::vector<std::int64_t> points = is_exhaustive() ? up_to(made) : sampled(places, budget);
    const std::int64_t out = allocations_out();
    for (const Failing failing : {Failing::once, Failing::from_then_on})
      for (const std::int64_t point : points) {
        set_current_point(name + (failing == Failing::once ? ", once" : ", from then on"), point);
        Bits bits;
        const char* error = error_under_fault([&] {
          const FailingAllocations fault(point, failing);
          bits = call();
        });
        if (*error == '\0') {
          EXPECT_EQ(bits, expected) << current_point();
        }
        bits = Bits();
        ASSERT_EQ(call(), expected) << current_point() << ", after: " << error;
        left.expect_as_before();
        ASSERT_LE(allocations_out(), out) << current_point() << ", after: " << error;
        if (HasFailure()) return;
      }
    report_points("allocations of " + name, 2 * static_cast<std::int64_t>(points.size()), 2 * made);
  }

  std::string folder_;
};

// By the index of all_work. Where there are several threads, which allocation fails is not the same each time.
class EachWork : public AllocationFailures, public testing::WithParamInterface<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(AllocationFailures, EachWork, testing::Range<std::size_t>(0, 8));

TEST_P(EachWork, LeavesNothing) {
  const std::vector<Work> all = all_work(folder_);
  ASSERT_EQ(all.size(), 8u);
  const Work& work = all[GetParam()];
  expect_survived(work.name, work.call, work.budget);
}

TEST_F(AllocationFailures, LeaveASessionUsable) {
  Session session(with_threads(1));
  expect_survived(
      "a session's programs",
      [&] {
        session.clear();
        Bits bits = run_small_graph(session);
        session.clear();
        return bits;
      },
      60);
}

// The code generator runs in each call; what it takes itself is exempt.
TEST_F(AllocationFailures, WhereKernelsAreGenerated) {
  expect_survived(
      "generated kernels",
      [&] {
        SessionOptions options = with_threads(1);
        options.disk_cache = false;
        Session session(options);
        const Array x = Array::from({1.0f, 2.0f, 3.0f, 4.0f}, {4});
        return bits_of(tanh(exp(x * 0.5) + 1.0));
      },
      12);
}

TEST_F(AllocationFailures, WhereOpenBlasIsCalled) {
  expect_survived(
      "f32 precision",
      [&] {
        SessionOptions options = with_threads(1);
        options.precision = Precision::f32;
        const Session session(options);
        return generate_few(*load_model(golden_model_path(tiny_checkpoint)));
      },
      12);
}

// A chat goes on where it was: the text stays, and the next call gives what the failed one would have.
TEST_F(AllocationFailures, LeaveAConversationUsable) {
  const Session session(with_threads(1));
  const auto model = load_model(golden_model_path(tiny_checkpoint));
  RunnerOptions runner;
  runner.chunk = 4;
  GenerateOptions options;
  options.max_tokens = 4;
  const std::vector<std::int32_t> first{2, 5, 7, 11, 13, 17}, second{19, 23, 29};
  const auto begin = [&] {
    Conversation conversation(*model, runner);
    conversation.append(first);
    conversation.generate(options);
    conversation.append(second);
    return conversation;
  };
  const auto ids_of = [](const Conversation& conversation) {
    return std::vector<std::int32_t>(conversation.ids().begin(), conversation.ids().end());
  };
  Conversation whole = begin();
  const std::vector<std::int32_t> text = ids_of(whole), expected = whole.generate(options).ids;
  std::int64_t made = 0;
  std::vector<std::int64_t> places;
  {
    Conversation counted = begin();
    const RecordedAllocations recorded;
    counted.generate(options);
    places = recorded.first_of_each_place();
    made = recorded.made();
  }
  const std::vector<std::int64_t> points = is_exhaustive() ? up_to(made) : sampled(places, 40);
  for (const Failing failing : {Failing::once, Failing::from_then_on})
    for (const std::int64_t point : points) {
      set_current_point(failing == Failing::once ? "a chat, once" : "a chat, from then on", point);
      Conversation conversation = begin();
      const std::string error = error_under_fault([&] {
        const FailingAllocations fault(point, failing);
        conversation.generate(options);
      });
      if (error.empty()) continue;
      ASSERT_EQ(ids_of(conversation), text) << current_point() << ", after: " << error;
      ASSERT_EQ(conversation.generate(options).ids, expected) << current_point() << ", after: " << error;
    }
  report_points("allocations of a chat", 2 * static_cast<std::int64_t>(points.size()), 2 * made);
}

}  // namespace
}  // namespace lazuli::test
