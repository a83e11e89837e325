// SPDX-License-Identifier: MIT
#include <lazuli/backends/run_observer.h>

#include <chrono>
#include <utility>

namespace lazuli {

std::int64_t steady_clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void RunObserver::on_skipped(int, std::int64_t, std::int64_t) {}
void RunObserver::on_part_skipped(int, int, std::int64_t, std::int64_t) {}
void RunObserver::on_part(int, int, int, std::int64_t) {}
std::int64_t RunObserver::now_ns(int) { return steady_clock_ns(); }

RunRecorder::RunRecorder(Clock clock) : clock_(std::move(clock)) {}

std::int64_t RunRecorder::now_ns(int worker) { return clock_ ? clock_(worker) : steady_clock_ns(); }

// Memory of the run before is kept, so that only the first runs allocate while they are timed.
void RunRecorder::begin(int workers) {
  tracks_.resize(static_cast<std::size_t>(workers));
  for (std::size_t i = 0; i < tracks_.size() && i < record_.workers.size(); ++i) {
    tracks_[i].spans.swap(record_.workers[i]);
    tracks_[i].parts.swap(record_.parts[i]);
  }
  for (Track& track : tracks_) {
    track.spans.clear();
    track.parts.clear();
  }
  record_ = {};
  record_.workers.resize(tracks_.size());
  record_.parts.resize(tracks_.size());
  record_.begin_ns = now_ns(0);
}

void RunRecorder::on_span(int worker, const RunSpan& span) {
  tracks_[static_cast<std::size_t>(worker)].spans.push_back(span);
}

void RunRecorder::on_skipped(int step, std::int64_t bytes, std::int64_t operations) {
  record_.skipped.push_back({step, bytes, operations});
}

void RunRecorder::on_part_skipped(int step, int part, std::int64_t bytes, std::int64_t operations) {
  record_.skipped.push_back({step, bytes, operations, part});
}

void RunRecorder::on_part(int worker, int step, int part, std::int64_t ns) {
  tracks_[static_cast<std::size_t>(worker)].parts.push_back({step, part, ns});
}

void RunRecorder::end() noexcept {
  record_.end_ns = now_ns(0);
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    record_.workers[i].swap(tracks_[i].spans);
    record_.parts[i].swap(tracks_[i].parts);
  }
  ++runs_;
}

}  // namespace lazuli
