// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/cgroup.h>
#include <lazuli/backends/cpu/host/process_memory.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/graph/base/error.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>

namespace lazuli {
namespace {

namespace fs = std::filesystem;

struct alignas(cache_line) Counter {
  long value = 0;
};

TEST(ThreadPool, EveryWorkerRunsOnceEachRun) {
  ThreadPool pool(2);
  std::vector<Counter> counts(pool.size());
  for (int run = 0; run < 5000; ++run) pool.run_on_all([&](int worker) { ++counts[worker].value; });
  for (const Counter& count : counts) EXPECT_EQ(count.value, 5000);
}

TEST(ThreadPool, CallerIsWorkerZero) {
  ThreadPool pool(3);
  std::vector<std::thread::id> ids(3);
  pool.run_on_all([&](int worker) { ids[worker] = std::this_thread::get_id(); });
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_NE(ids[1], ids[0]);
  EXPECT_NE(ids[2], ids[1]);
}

TEST(ThreadPool, OneThreadNeedsNoOther) {
  ThreadPool pool(1);
  int runs = 0;
  pool.run_on_all([&](int worker) {
    EXPECT_EQ(worker, 0);
    pool.barrier().wait();
    ++runs;
  });
  EXPECT_EQ(runs, 1);
}

TEST(ThreadPool, RejectsImpossibleSizes) {
  EXPECT_THROW(ThreadPool(0), Error);
  EXPECT_THROW(ThreadPool(-3), Error);
  EXPECT_THROW(ThreadPool(1 << 20), Error);
}

TEST(ThreadPool, DestroyedUnusedIdleOrAsleep) {
  {
    ThreadPool unused(4);
  }
  {
    ThreadPool spinning(2);
    spinning.run_on_all([](int) {});
  }
  ThreadPool asleep(4);
  asleep.run_on_all([](int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST(ThreadPool, WakesSleepingWorkers) {
  ThreadPool pool(2);
  std::vector<Counter> counts(pool.size());
  for (int run = 0; run < 50; ++run) {
    pool.run_on_all([&](int worker) { ++counts[worker].value; });
    std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  for (const Counter& count : counts) EXPECT_EQ(count.value, 50);
}

// Each worker reads what its neighbour wrote before the barrier: wrong or racing when the barrier lets one through.
void pass_values_around(Executor& executor, int runs, int rounds) {
  const int size = executor.size();
  for (int run = 0; run < runs; ++run) {
    std::vector<Counter> now(size), next(size);
    for (int worker = 0; worker < size; ++worker) now[worker].value = worker;
    executor.run_on_all([&](int worker) {
      for (int round = 0; round < rounds; ++round) {
        next[worker].value = now[(worker + 1) % size].value;
        executor.barrier().wait();
        now[worker].value = next[worker].value;
        executor.barrier().wait();
      }
    });
    for (int worker = 0; worker < size; ++worker) EXPECT_EQ(now[worker].value, (worker + rounds) % size);
  }
}

TEST(Barrier, OrdersWritesBetweenWorkers) {
  ThreadPool pool(2);
  pass_values_around(pool, 50, 200);
}

TEST(Barrier, OrdersWritesWhenOversubscribed) {
  ThreadPool pool(4 * usable_cores() + 1);
  pass_values_around(pool, 5, 40);
}

TEST(Barrier, LateWorkersFindTheOthersAsleep) {
  ThreadPool pool(2);
  std::vector<Counter> counts(pool.size());
  pool.run_on_all([&](int worker) {
    for (int round = 0; round < 10; ++round) {
      if (worker == round % 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      pool.barrier().wait();
      ++counts[worker].value;
    }
  });
  EXPECT_EQ(counts[0].value + counts[1].value, 20);
}

TEST(Barrier, WhoWaitsDoesOtherWorkUntilTheOthersCome) {
  ThreadPool pool(2);
  std::atomic<bool> waited_long_enough{false};
  int calls = 0;
  pool.run_on_all([&](int worker) {
    if (worker == 0) {
      while (!waited_long_enough) std::this_thread::yield();
      return pool.barrier().wait();
    }
    pool.barrier().wait([&] {
      if (++calls == 100) waited_long_enough = true;
      return calls < 200;  // it may also run out of work
    });
  });
  EXPECT_GE(calls, 100);
  EXPECT_LE(calls, 200);
}

TEST(Errors, WorkerThrowsWhileOthersWaitAtTheBarrier) {
  ThreadPool pool(3);
  for (int run = 0; run < 300; ++run) {
    const int culprit = run % 3;
    std::vector<Counter> passed(3);
    try {
      pool.run_on_all([&](int worker) {
        pool.barrier().wait();
        if (worker == culprit) throw ExecutionError("node " + std::to_string(run));
        pool.barrier().wait();
        ++passed[worker].value;
      });
      FAIL() << "nothing thrown";
    } catch (const ExecutionError& error) {
      EXPECT_EQ(error.what(), "node " + std::to_string(run));
    }
    for (const Counter& count : passed) EXPECT_EQ(count.value, 0);
    pass_values_around(pool, 1, 3);
  }
}

TEST(Errors, SleepersLeaveTheBarrier) {
  ThreadPool pool(4);
  EXPECT_THROW(pool.run_on_all([&](int worker) {
    if (worker == 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      throw std::runtime_error("late");
    }
    pool.barrier().wait();
  }),
               std::runtime_error);
  pass_values_around(pool, 1, 10);
}

TEST(Errors, OneOfSeveralIsReported) {
  ThreadPool pool(4);
  for (int run = 0; run < 100; ++run)
    EXPECT_THROW(pool.run_on_all([](int worker) { throw Error(std::to_string(worker)); }), Error);
}

// The outer run waits for the inner one, on whichever of its threads that began.
TEST(Errors, RunInsideARunOfAnotherExecutorIsRefused) {
  for (int caller = 0; caller < 2; ++caller)
    for (int between = 0; between < 2; ++between) {
      ThreadPool outer(2), inner(2);
      const auto innermost = [&](int worker) {
        if (worker == between) outer.run_on_all([](int) {});
      };
      EXPECT_THROW(outer.run_on_all([&](int worker) {
        if (worker == caller) inner.run_on_all(innermost);
      }),
                   InternalError);
      pass_values_around(outer, 1, 3);
      pass_values_around(inner, 1, 3);
    }
}

TEST(Errors, RunInsideARunIsRefused) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.run_on_all([&](int) { pool.run_on_all([](int) {}); }), InternalError);
  pass_values_around(pool, 1, 3);
}

// What a program that has threads of its own would hand to a session.
class FreshThreads final : public Executor {
 public:
  using Executor::Executor;

 private:
  void dispatch(FunctionRef<void(int worker)> body) override {
    std::vector<std::thread> threads;
    for (int worker = 1; worker < size(); ++worker) threads.emplace_back([&body, worker] { body(worker); });
    body(0);
    for (std::thread& thread : threads) thread.join();
  }
};

TEST(ThreadPool, RunsOfSeveralThreadsTakeTurns) {
  ThreadPool pool(2);
  int inside = 0;  // guarded by the turns
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int run = 0; run < 500; ++run)
        pool.run_on_all([&](int worker) {
          EXPECT_EQ(worker == 0 ? ++inside : 1, 1);
          pool.barrier().wait();
          if (worker == 0) --inside;
        });
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(inside, 0);
}

TEST(Executor, ForeignThreadsHaveBarrierAndErrorsToo) {
  FreshThreads executor(3);
  pass_values_around(executor, 5, 20);
  EXPECT_THROW(executor.run_on_all([&](int worker) {
    if (worker == 1) throw Error("worker 1");
    executor.barrier().wait();
  }),
               Error);
  pass_values_around(executor, 1, 20);
}

TEST(Executor, FunctionRefCallsTheObjectItself) {
  int calls = 0;
  auto count = [&calls](int by) mutable { return calls += by; };
  const FunctionRef<int(int)> reference = count;
  EXPECT_EQ(reference(2), 2);
  EXPECT_EQ(reference(3), 5);
}

TEST(UsableCores, FollowsTheAffinityMask) {
  EXPECT_GE(usable_cores(), 1);
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_LE(usable_cores(), CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(usable_cores(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

class CgroupQuota : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "lazuli_cgroup_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    mount_ = name;
  }
  void TearDown() override { fs::remove_all(mount_); }
  void write(const fs::path& path, const std::string& text) const {
    fs::create_directories((mount_ / path).parent_path());
    std::ofstream(mount_ / path) << text;
  }

  fs::path mount_;
};

TEST_F(CgroupQuota, NoneIsUnlimited) {
  EXPECT_EQ(cgroup_cpu_quota(mount_, "0::/\n"), std::nullopt);
  EXPECT_EQ(cgroup_cpu_quota(mount_, ""), std::nullopt);
  EXPECT_EQ(cgroup_cpu_quota(mount_, "nonsense\n1:\n"), std::nullopt);
  write("cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cpu_quota(mount_, "0::/\n"), std::nullopt);
}

TEST_F(CgroupQuota, Version2TakesTheSmallestOfTheAncestors) {
  write("jobs/cpu.max", "150000 100000\n");
  write("jobs/one/cpu.max", "400000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota(mount_, "0::/jobs/one\n"), 1.5);
  EXPECT_EQ(cgroup_cpu_quota(mount_, "0::/elsewhere\n"), std::nullopt);
}

TEST_F(CgroupQuota, Version2OutsideItsNamespaceReadsTheMount) {
  write("cpu.max", "50000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota(mount_, "0::/../../other\n"), 0.5);
}

TEST_F(CgroupQuota, Version1InAContainerReadsTheMount) {
  write("cpu,cpuacct/cpu.cfs_quota_us", "250000\n");
  write("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_quota(mount_, "5:memory:/x\n4:cpu,cpuacct:/docker/0123\n0::/\n"), 2.5);
}

TEST_F(CgroupQuota, Version1MinusOneIsUnlimited) {
  write("cpu/cpu.cfs_quota_us", "-1\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_quota(mount_, "1:cpu:/\n3:cpuset:/\n"), std::nullopt);
}

using CgroupMemory = CgroupQuota;

TEST_F(CgroupMemory, NoneIsUnlimited) {
  EXPECT_EQ(cgroup_available_memory(mount_, "0::/\n"), std::nullopt);
  write("memory.max", "max\n");
  write("memory.current", "1000\n");
  EXPECT_EQ(cgroup_available_memory(mount_, "0::/\n"), std::nullopt);
}

TEST_F(CgroupMemory, Version2CountsCachedFilesAsFree) {
  write("jobs/memory.max", "10000\n");
  write("jobs/memory.current", "7000\n");
  write("jobs/memory.stat", "anon 2000\nfile 5000\nactive_file 1500\ninactive_file 2500\n");
  EXPECT_EQ(cgroup_available_memory(mount_, "0::/jobs/one\n"), 7000);
  write("jobs/one/memory.max", "1000\n");
  write("jobs/one/memory.current", "3000\n");
  EXPECT_EQ(cgroup_available_memory(mount_, "0::/jobs/one\n"), 0);
}

TEST_F(CgroupMemory, Version1InAContainerReadsTheMount) {
  write("memory/memory.limit_in_bytes", "10000\n");
  write("memory/memory.usage_in_bytes", "7000\n");
  write("memory/memory.stat", "cache 9\ntotal_inactive_file 1000\ntotal_active_file 500\n");
  EXPECT_EQ(cgroup_available_memory(mount_, "5:memory:/docker/0123\n4:cpu,cpuacct:/x\n"), 4500);
}

TEST(ProcessMemory, IsKnownHere) {
  EXPECT_GT(available_memory().value_or(0), 0);
  EXPECT_GT(peak_resident_memory(), 1 << 20);
}

}  // namespace
}  // namespace lazuli
