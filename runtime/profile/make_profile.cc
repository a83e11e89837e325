// SPDX-License-Identifier: MIT
// From the spans of a run to nodes and the states of threads.
#include <lazuli/graph/base/fail.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/profile/profiled_parts.h>

#include <algorithm>

namespace lazuli {
namespace {

double microseconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-3; }

class Builder {
 public:
  Builder(Profile& profile, const RunRecord& record)
      : profile_(profile), record_(record), steps_(profile.compiled->program->steps()) {}

  void build() {
    profile_.threads = static_cast<int>(record_.workers.size());
    profile_.wall_us = microseconds(record_.end_ns - record_.begin_ns);
    for (std::size_t step = 0; step < steps_.size(); ++step) add_node(static_cast<int>(step));
    for (const RunRecord::Skipped& skipped : record_.skipped) {
      ProfiledNode& node = profile_.nodes[static_cast<std::size_t>(skipped.step)];
      if (skipped.part < 0)
        leave_out(skipped, node);
      else
        leave_out(skipped, node.parts[static_cast<std::size_t>(skipped.part)]);
    }
    for (const RunSpan& span : record_.workers[0])
      if (span.step != RunSpan::waiting && !steps_[static_cast<std::size_t>(span.step)].split) serial_.push_back(span);
    for (int thread = 0; thread < profile_.threads; ++thread) add_thread(thread);
    for (ProfiledNode& node : profile_.nodes) settle_parts(node);
    std::stable_sort(profile_.spans.begin(), profile_.spans.end(),
                     [](const ProfiledSpan& a, const ProfiledSpan& b) { return a.begin_us < b.begin_us; });
    for (const ProfiledSpan& span : profile_.spans) {
      if (span.thread != 0) continue;
      if (span.state == ThreadState::computes) profile_.pipeline.run_us += span.us;
      if (span.state == ThreadState::barrier || span.state == ThreadState::idle) profile_.pipeline.wait_us += span.us;
    }
  }

 private:
  template <class Counted>
  static void leave_out(const RunRecord::Skipped& skipped, Counted& counted) {
    counted.bytes -= static_cast<double>(skipped.bytes);
    counted.operations -= static_cast<double>(skipped.operations);
  }

  void add_node(int index) {
    const ProgramStep& step = steps_[static_cast<std::size_t>(index)];
    const GraphNode& scheduled = profile_.scheduled().nodes[static_cast<std::size_t>(step.node)];
    ProfiledNode node;
    node.step = index;
    node.id = step.node;
    node.op = scheduled.name();
    node.scope = scheduled.scope ? *scheduled.scope : std::string();
    node.kernel = step.kernel;
    node.isa = step.isa;
    node.kind = step.kind;
    node.arithmetic = step.arithmetic;
    node.split = step.split;
    node.bytes = static_cast<double>(step.bytes);
    node.weight_bytes = static_cast<double>(step.weight_bytes);
    node.operations = static_cast<double>(step.operations);
    for (const StepPart& part : step.parts)
      node.parts.push_back({part.op, part.scope, part.kernel, part.isa, part.kind, part.arithmetic, 0, 0,
                            static_cast<double>(part.bytes), static_cast<double>(part.weight_bytes),
                            static_cast<double>(part.operations)});
    profile_.nodes.push_back(std::move(node));
  }

  void add_thread(int thread) {
    const auto index = static_cast<std::size_t>(thread);
    const std::vector<RunSpan>& spans = record_.workers[index];
    std::span<const RunRecord::PartTime> parts;
    if (index < record_.parts.size()) parts = record_.parts[index];
    const std::int64_t first = spans.empty() ? record_.end_ns : spans.front().begin_ns,
                       last = spans.empty() ? record_.end_ns : spans.back().end_ns;
    add(ThreadState::launch, -1, thread, record_.begin_ns, first);
    for (const RunSpan& span : spans) {
      if (span.step == RunSpan::waiting) {
        add_wait(thread, span);
        continue;
      }
      add(ThreadState::computes, span.step, thread, span.begin_ns, span.end_ns);
      ProfiledNode& node = profile_.nodes[static_cast<std::size_t>(span.step)];
      const double us = microseconds(span.end_ns - span.begin_ns);
      node.us += us;
      const bool is_slowest = us > node.wall_us;
      if (is_slowest) node.wall_us = us;
      parts = add_parts(node, parts, is_slowest);
    }
    add(ThreadState::idle, -1, thread, last, record_.end_ns);
  }

  // Takes the times of the node's parts on one thread from the front of the list.
  static std::span<const RunRecord::PartTime> add_parts(ProfiledNode& node, std::span<const RunRecord::PartTime> times,
                                                        bool is_slowest) {
    if (is_slowest)
      for (ProfiledPart& part : node.parts) part.wall_us = 0;
    for (; !times.empty() && times.front().step == node.step; times = times.subspan(1)) {
      ProfiledPart& part = node.parts[static_cast<std::size_t>(times.front().part)];
      part.us += microseconds(times.front().ns);
      if (is_slowest) part.wall_us = microseconds(times.front().ns);
    }
    return times;
  }

  // A thread without a share of the launch looks at it and leaves, which belongs to no part: parts are to add up to the
  // launch all the same. Without times nothing is known of them.
  static void settle_parts(ProfiledNode& node) {
    double us = 0, wall_us = 0;
    for (const ProfiledPart& part : node.parts) {
      us += part.us;
      wall_us += part.wall_us;
    }
    if (us <= 0 || wall_us <= 0) node.parts.clear();
    for (ProfiledPart& part : node.parts) {
      part.us *= node.us / us;
      part.wall_us *= node.wall_us / wall_us;
    }
  }

  // While thread 0 runs a step that is not split, the others have no work; the rest of a wait belongs to the barrier.
  void add_wait(int thread, const RunSpan& wait) {
    std::int64_t at = wait.begin_ns;
    if (thread != 0)
      for (auto serial = std::lower_bound(serial_.begin(), serial_.end(), at,
                                          [](const RunSpan& span, std::int64_t time) { return span.end_ns <= time; });
           serial != serial_.end() && serial->begin_ns < wait.end_ns; ++serial) {
        const std::int64_t begin = std::max(at, serial->begin_ns), end = std::min(wait.end_ns, serial->end_ns);
        add(ThreadState::barrier, -1, thread, at, begin);
        add(ThreadState::idle, -1, thread, begin, end);
        at = end;
      }
    add(ThreadState::barrier, -1, thread, at, wait.end_ns);
  }

  void add(ThreadState state, int node, int thread, std::int64_t begin, std::int64_t end) {
    if (end <= begin && state != ThreadState::computes) return;
    profile_.spans.push_back({state, node, thread, microseconds(begin - record_.begin_ns), microseconds(end - begin)});
  }

  Profile& profile_;
  const RunRecord& record_;
  std::span<const ProgramStep> steps_;
  std::vector<RunSpan> serial_;  // of thread 0
};

}  // namespace

Profile make_profile(std::shared_ptr<const CompiledGraph> compiled, const RunRecord& record) {
  if (record.workers.empty()) fail("profile: the record holds no run");
  Profile profile;
  profile.compiled = std::move(compiled);
  Builder(profile, record).build();
  return profile;
}

namespace {

std::vector<double> by_scheduled_node(const Profile& profile, double ProfiledNode::* value) {
  std::vector<double> sums(profile.scheduled().nodes.size());
  for (const ProfiledNode& node : profile.nodes) sums[static_cast<std::size_t>(node.id)] += node.*value;
  return sums;
}

}  // namespace

std::vector<double> Profile::node_us() const { return by_scheduled_node(*this, &ProfiledNode::us); }
std::vector<double> Profile::node_bytes() const { return by_scheduled_node(*this, &ProfiledNode::bytes); }

double Profile::thread_us(ThreadState state) const {
  double total = 0;
  for (const ProfiledSpan& span : spans)
    if (span.state == state) total += span.us;
  return total;
}

double Profile::thread_us(StepKind kind) const {
  double total = 0;
  for (const ProfiledNode& node : nodes)
    for (const ProfiledPart& part : parts_of(node))
      if (part.kind == kind) total += part.us;
  return total;
}

double Profile::weight_bytes() const {
  double total = 0;
  for (const ProfiledNode& node : nodes) total += node.weight_bytes;
  return total;
}

double Profile::matmul_us() const {
  double total = 0;
  for (const ProfiledNode& node : nodes)
    for (const ProfiledPart& part : parts_of(node))
      if (part.kind == StepKind::matmul) total += part.wall_us;
  return total;
}

int Profile::barriers() const {
  const std::span<const ProgramStep> steps = compiled->program->steps();
  return static_cast<int>(
      std::count_if(steps.begin(), steps.end(), [](const ProgramStep& step) { return step.barrier; }));
}

}  // namespace lazuli
