// SPDX-License-Identifier: MIT
// Files that give less than they are asked for, and a system that refuses: every call of every kind fails in turn.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/models/synth/synth.h>
#include <lazuli/runtime/tuning/tuning_record.h>
#include <lazuli/tests/faults/points.h>
#include <lazuli/tests/faults/system_calls.h>
#include <lazuli/tests/faults/work.h>
#include <lazuli/tests/support/golden_model.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace lazuli::test {
namespace {

namespace fs = std::filesystem;

struct Fault {
  Call call;
  int error;
};

class FileFailures : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "lazuli_faults_out.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  // All that reads and writes files, with what comes of it. Files are the same each time.
  std::vector<Work> work() {
    std::vector<Work> all = all_work(folder_);
    all.push_back({"save a chat's cache", 4, [this] { return save_cache(path("cache")); }});
    all.push_back({"write a checkpoint", 4, [this] { return write_checkpoint(path("synth.gguf")); }});
    all.push_back({"store a tuning file", 4, [] {
                     const TuningKey key{"cpu", "model", tuning_version()};
                     TuningRecord record;
                     record.key = key;
                     const std::string folder = cpu::default_cache_folder();
                     store_tuning(folder, record);
                     const FoundTuning found = find_tuning(folder, key);
                     if (!found.record) throw Error("no tuning file: " + found.note);  // it is ignored, which is right
                     return Bits{1};
                   }});
    return all;
  }

  // Of a real plan the small tensors, each where it would lie.
  static Bits write_checkpoint(const std::string& file) {
    static const synth::PlannedFile plan = [] {
      synth::PlannedFile all =
          synth::plan_gguf(synth::shortened(synth::find_architecture("gemma3-270m"), 1), synth::Quantisation::q4_0);
      std::erase_if(all.tensors, [](const auto& placed) { return lazuli::element_count(placed.tensor.shape) > 2000; });
      return all;
    }();
    synth::write_file(plan, file, 1, 2, [](std::int64_t) {});
    EXPECT_EQ(fs::file_size(file), static_cast<std::uintmax_t>(plan.bytes));
    std::string begin(plan.header.size(), '\0');
    std::ifstream stream(file, std::ios::binary);
    if (!stream.read(begin.data(), static_cast<std::streamsize>(begin.size()))) throw Error("the test cannot read");
    fs::remove(file);
    return {begin == plan.header ? 1u : 0u};
  }

  static Bits save_cache(const std::string& file) {
    const Session session(with_threads(1));
    const auto model = load_model(golden_model_path(tiny_checkpoint));
    Conversation conversation(*model);
    conversation.append(std::vector<std::int32_t>{2, 5, 7, 11});
    GenerateOptions options;
    options.max_tokens = 2;
    conversation.generate(options);
    OutputFile output(file);
    conversation.save(output);
    Conversation again(*model);
    again.load(file);
    return {again.ids().begin(), again.ids().end()};
  }

  std::string folder_;
};

TEST_F(FileFailures, ShortTransfersChangeNothing) {
  for (const bool from_disk : {false, true})
    for (const Work& each : work()) {
      if (!from_disk) fs::remove_all(std::string(std::getenv("XDG_CACHE_HOME")) + "/lazuli");
      const Bits expected = each.call();
      if (!from_disk) fs::remove_all(std::string(std::getenv("XDG_CACHE_HOME")) + "/lazuli");
      set_current_point(each.name + ", short transfers", 0);
      const ShortTransfers fault;
      EXPECT_EQ(each.call(), expected) << each.name;
      report_points("short transfers of " + each.name, fault.made(), fault.made());
    }
}

constexpr Fault faults[] = {
    {Call::open, EACCES},
    {Call::open, EMFILE},
    {Call::openat, EMFILE},
    {Call::read, EIO},
    {Call::pread, EIO},
    {Call::write, ENOSPC},
    {Call::write, EDQUOT},
    {Call::pwrite, ENOSPC},
    {Call::mmap, ENOMEM},
    {Call::mmap, EACCES},
    {Call::mprotect, ENOMEM},
    {Call::ftruncate, ENOSPC},
    {Call::rename, EIO},
    {Call::renameat, ENOSPC},
    {Call::fstat, EIO},
    {Call::mkdirat, EROFS},
    {Call::posix_fallocate, ENOSPC},
};

// By the index of work(). The n-th call of each kind, on a cold and on a warm cache: what was there stays as it was, or
// is replaced whole.
class EachFile : public FileFailures, public testing::WithParamInterface<std::size_t> {
 protected:
  // How often each kind of call is made.
  static std::vector<std::int64_t> calls_of(const std::function<void()>& call) {
    std::vector<std::int64_t> made;
    for (std::size_t kind = 0; kind < static_cast<std::size_t>(Call::count); ++kind)
      made.push_back(-calls_made(static_cast<Call>(kind)));
    call();
    for (std::size_t kind = 0; kind < made.size(); ++kind) made[kind] += calls_made(static_cast<Call>(kind));
    return made;
  }
};
INSTANTIATE_TEST_SUITE_P(FileFailures, EachFile, testing::Range<std::size_t>(0, 11));

TEST_P(EachFile, EveryCallRefused) {
  const std::vector<Work> all = work();
  ASSERT_EQ(all.size(), 11u);
  const Work& each = all[GetParam()];
  const std::string cache = std::string(std::getenv("XDG_CACHE_HOME")) + "/lazuli";
  const Bits expected = each.call();
  std::int64_t tried = 0, of = 0;
  std::vector<std::int64_t> warm;
  for (const bool cold : {false, true}) {
    const auto prepare = [&] {
      if (cold) fs::remove_all(cache);
    };
    prepare();
    const std::vector<std::int64_t> made = calls_of([&] { each.call(); });
    if (!cold) warm = made;
    const Left left({folder_, std::getenv("XDG_CACHE_HOME")});
    for (const Fault& fault : faults) {
      const auto kind = static_cast<std::size_t>(fault.call);
      const std::int64_t calls = made[kind];
      if (cold && calls <= warm[kind]) continue;  // no part in filling the caches
      const std::string what =
          each.name + ", " + std::string(name_of(fault.call)) + (cold ? ", cold caches" : ", warm caches");
      for (const std::int64_t point : sampled(up_to(calls), cold ? 1 : 3))
        for (const bool behind : {true, false}) {
          if (cold && !behind && !is_exhaustive()) continue;  // kernels are generated each time
          set_current_point(what + (behind ? ", from then on" : ", once"), point);
          prepare();
          Bits bits;
          const std::string error = error_under_fault([&] {
            const FailingCalls failing(fault.call, point, fault.error, behind);
            bits = each.call();
          });
          if (error.empty()) {
            EXPECT_EQ(bits, expected) << current_point();
          }
          ASSERT_EQ(each.call(), expected) << current_point() << ", after: " << error;
          left.expect_as_before();
          if (HasFailure()) return;
          ++tried;
        }
      of += 2 * calls;
    }
  }
  report_points("refused system calls of " + each.name, tried, of);
}

// No descriptor is free, or one, or two: until the call succeeds.
TEST_F(FileFailures, DescriptorsExhausted) {
  std::int64_t tried = 0;
  for (const Work& each : work()) {
    const Bits expected = each.call();
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const auto used =
        static_cast<rlim_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()) - 1);
    for (rlim_t free = 0;; ++free) {
      set_current_point(each.name + ", descriptors", static_cast<std::int64_t>(free));
      const rlimit few{used + free, before.rlim_max};
      Bits bits;
      ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
      const std::string error = error_under_fault([&] { bits = each.call(); });
      ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
      ++tried;
      ASSERT_EQ(each.call(), expected) << current_point() << ", after: " << error;
      if (error.empty()) {
        EXPECT_EQ(bits, expected) << current_point();
      }
      ASSERT_LT(free, 40u) << current_point() << ": " << error;
      if (error.empty() && free >= 4) break;
    }
  }
  report_points("exhausted descriptors", tried, tried);
}

}  // namespace
}  // namespace lazuli::test
