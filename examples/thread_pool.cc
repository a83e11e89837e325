// SPDX-License-Identifier: MIT
// lazuli on threads that the program keeps itself, as it may want to pin or name them. Workers of a run wait for each
// other, so all of them must really run at once: a pool whose threads may be busy elsewhere will not do.
#include <lazuli/lazuli.h>

#include <barrier>
#include <iostream>
#include <thread>

namespace lz = lazuli;

namespace {

class OwnThreads final : public lz::Executor {
 public:
  explicit OwnThreads(int workers) : Executor(workers), begin_(workers), end_(workers) {
    for (int worker = 1; worker < workers; ++worker) threads_.emplace_back([this, worker] { work(worker); });
  }
  ~OwnThreads() override {
    stop_ = true;
    begin_.arrive_and_wait();
  }
  int runs() const { return runs_; }

 private:
  // The caller's thread is worker 0.
  void dispatch(lz::FunctionRef<void(int worker)> body) override {
    ++runs_;
    body_ = &body;
    begin_.arrive_and_wait();
    body(0);
    end_.arrive_and_wait();
  }
  void work(int worker) {
    for (begin_.arrive_and_wait(); !stop_; begin_.arrive_and_wait()) {
      (*body_)(worker);
      end_.arrive_and_wait();
    }
  }

  std::barrier<> begin_, end_;
  const lz::FunctionRef<void(int worker)>* body_ = nullptr;
  int runs_ = 0;
  bool stop_ = false;
  std::vector<std::jthread> threads_;  // the last member: they end before what they use
};

}  // namespace

int main() {
  OwnThreads threads(3);  // outlive the session
  lz::SessionOptions options;
  options.executor = &threads;
  lz::Session session(options);
  const lz::Array x = lz::full({256, 256}, 0.5), y = lz::sum(lz::matmul(x, x), {0, 1});
  session.eval(y);
  std::cout << y.item<float>() << " by " << session.threads() << " workers, " << threads.runs() << " runs\n";
  return y.item<float>() == 256 * 256 * 64 && session.threads() == 3 && threads.runs() > 0 ? 0 : 1;
}
