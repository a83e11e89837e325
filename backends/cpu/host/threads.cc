// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/floating_point_mode.h>
#include <lazuli/graph/base/fork.h>
#include <pthread.h>

#include <exception>
#include <memory>
#include <system_error>
#include <utility>

namespace lazuli {
namespace {

using std::chrono::microseconds;

// Long enough for the skew between equal slices of one short instruction.
constexpr microseconds barrier_spin{20};
// And of a long one, such as a matmul of a prompt. To sleep and be woken costs some 30 us on either side.
constexpr microseconds barrier_yield{1000};
constexpr microseconds no_yield{0};
// An offer of the core that takes longer was taken.
constexpr microseconds longest_refusal{5};
// Covers the host's work between two programs of a decode step, some 50 us: a worker that has gone to sleep by then
// begins as much later.
constexpr microseconds idle_spin{200};

microseconds unless_oversubscribed(int threads, microseconds spin) {
  return threads > usable_cores() ? microseconds{0} : spin;
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// True as soon as done() holds, false when `limit` has passed.
template <class Predicate>
bool spin_until(Predicate done, microseconds limit) {
  if (done()) return true;
  if (limit.count() == 0) return false;
  const auto end = std::chrono::steady_clock::now() + limit;
  do {
    // A pause takes 10 to 140 cycles depending on the CPU, so the clock decides, asked now and then.
    for (int i = 0; i < 32; ++i) {
      pause();
      if (done()) return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// Offers the core to others; true as soon as done() holds, false when `limit` has passed or another thread took the
// offer: going on then keeps the threads from running that are waited for.
template <class Predicate>
bool yield_until(Predicate done, microseconds limit) {
  auto now = std::chrono::steady_clock::now();
  const auto end = now + limit;
  while (now < end) {
    std::this_thread::yield();
    if (done()) return true;
    const auto before = std::exchange(now, std::chrono::steady_clock::now());
    if (now - before > longest_refusal) return false;
  }
  return false;
}

// Spins, then yields, then sleeps, until value differs from `old`.
void wait_while_equal(const std::atomic<std::uint32_t>& value, std::uint32_t old, microseconds spin,
                      microseconds yield) {
  const auto differs = [&] { return value.load(std::memory_order_acquire) != old; };
  if (!spin_until(differs, spin) && !yield_until(differs, yield)) value.wait(old, std::memory_order_acquire);
}

}  // namespace

Barrier::Barrier(int participants, microseconds spin) : participants_(participants), spin_(spin) {}

void Barrier::wait(FunctionRef<bool()> meanwhile) {
  const std::uint32_t generation = generation_.load(std::memory_order_acquire);
  if (generation & aborted_bit) throw Aborted{};
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == participants_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.fetch_add(2, std::memory_order_acq_rel);
    generation_.notify_all();
    return;
  }
  while (generation_.load(std::memory_order_acquire) == generation && meanwhile()) {
  }
  wait_while_equal(generation_, generation, spin_, spin_.count() == 0 ? spin_ : barrier_yield);
  if (generation_.load(std::memory_order_acquire) & aborted_bit) throw Aborted{};
}

void Barrier::abort() noexcept {
  generation_.fetch_or(aborted_bit, std::memory_order_acq_rel);
  generation_.notify_all();
}

void Barrier::reset() noexcept {
  arrived_.store(0, std::memory_order_relaxed);
  generation_.fetch_and(~aborted_bit, std::memory_order_acq_rel);
}

Executor::Executor(int size)
    : size_(size), barrier_(size, unless_oversubscribed(size, barrier_spin)), generation_(process_generation()) {
  if (size < 1 || size > max_threads) fail("threads: {} threads asked for, expected 1 to {}", size, max_threads);
}

bool Executor::of_parent_process() const { return generation_ != process_generation(); }

namespace {

struct Inside;

// The innermost body this thread is in.
thread_local const Inside* inside = nullptr;

// A body and, by `caller`, those around it, on whichever threads they run: all of them wait for this one.
struct Inside {
  Inside(const Executor& in, const Inside* around)
      : executor(&in), caller(around), before(std::exchange(inside, this)) {}
  ~Inside() { inside = before; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  const Executor* executor;
  const Inside* caller;
  const Inside* before;
};

bool is_inside(const Executor& executor) {
  for (const Inside* body = inside; body != nullptr; body = body->caller)
    if (body->executor == &executor) return true;
  return false;
}

// Turns are taken in the order of their numbers, so that no session is kept waiting by one that runs all the time.
struct Turn {
  Turn(std::atomic<std::uint32_t>& next, std::atomic<std::uint32_t>& current)
      : turn(current), number(next.fetch_add(1, std::memory_order_relaxed)) {
    for (std::uint32_t now; (now = turn.load(std::memory_order_acquire)) != number;)
      turn.wait(now, std::memory_order_acquire);
  }
  ~Turn() {
    turn.store(number + 1, std::memory_order_release);
    turn.notify_all();
  }
  std::atomic<std::uint32_t>& turn;
  const std::uint32_t number;
};

}  // namespace

void Executor::run_on_all(FunctionRef<void(int worker)> body) {
  if (of_parent_process()) fail_after_fork("threads: started");
  if (is_inside(*this)) fail_internal("run_on_all: another run is in progress on this executor");
  const Turn turn(next_turn_, turn_);

  barrier_.reset();
  std::exception_ptr first_error;
  std::atomic_flag failed;
  const Inside* const caller = inside;
  const auto guarded = [&, caller](int worker) noexcept {
    const DefaultFloatingPointMode mode;
    const Inside here(*this, caller);
    try {
      body(worker);
    } catch (const Barrier::Aborted&) {
      // Somebody else failed and reports it.
    } catch (...) {
      if (!failed.test_and_set(std::memory_order_acq_rel)) first_error = std::current_exception();
      barrier_.abort();
    }
  };
  dispatch(guarded);
  if (first_error) std::rethrow_exception(first_error);
}

ThreadPool::ThreadPool(int threads) : Executor(threads), spin_(unless_oversubscribed(threads, idle_spin)) {}

ThreadPool::~ThreadPool() {
  if (of_parent_process()) {
    keep_for_ever(std::make_shared<std::vector<std::thread>>(std::move(threads_)));
    return;
  }
  stop_.store(true, std::memory_order_relaxed);
  run_.fetch_add(1, std::memory_order_acq_rel);
  run_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::start_threads() {
  threads_.reserve(size() - 1);
  const std::uint32_t run = run_.load(std::memory_order_relaxed);
  for (int worker = 1 + static_cast<int>(threads_.size()); worker < size(); ++worker) {
    try {
      threads_.emplace_back([this, worker, run] { work(worker, run); });
    } catch (const std::system_error& error) {
      // Those already started sleep until a later run succeeds or the pool ends.
      fail("threads: cannot start thread {} of {}: {}", worker + 1, size(), error.code().message());
    }
    pthread_setname_np(threads_.back().native_handle(), fmt::format("lazuli-{}", worker).c_str());
  }
}

void ThreadPool::dispatch(FunctionRef<void(int worker)> body) {
  if (static_cast<int>(threads_.size()) < size() - 1) start_threads();
  if (threads_.empty()) return body(0);

  body_ = &body;
  unfinished_.store(size() - 1, std::memory_order_relaxed);
  run_.fetch_add(1, std::memory_order_acq_rel);
  run_.notify_all();
  body(0);
  if (!spin_until([&] { return unfinished_.load(std::memory_order_acquire) == 0; }, spin_))
    for (int left; (left = unfinished_.load(std::memory_order_acquire)) != 0;)
      unfinished_.wait(left, std::memory_order_acquire);
  body_ = nullptr;
}

void ThreadPool::work(int worker, std::uint32_t seen_run) {
  for (;; ++seen_run) {
    wait_while_equal(run_, seen_run, spin_, no_yield);
    if (stop_.load(std::memory_order_relaxed)) return;
    (*body_)(worker);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  }
}

}  // namespace lazuli
