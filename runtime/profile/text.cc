// SPDX-License-Identifier: MIT
// A profile for people: aligned text of at most 120 columns.
#include <fmt/format.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/profile/profile_verdict.h>
#include <lazuli/runtime/profile/profiled_parts.h>

#include <algorithm>
#include <numeric>

namespace lazuli {
namespace {

constexpr std::size_t columns = 120;

double share(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

// Cut where it is too long; a name's begin says the most.
std::string fitted(const std::string& text, std::size_t width) {
  return text.size() <= width ? text : text.substr(0, width - 2) + "..";
}

std::string rate(double per_us) { return per_us > 0 ? fmt::format("{:.1f}", per_us * 1e-3) : "-"; }

// Broken between words, further lines indented.
std::string wrapped(const std::string& text, std::size_t indent) {
  std::string lines;
  std::size_t at = 0;
  while (text.size() - at > columns - indent) {
    const std::size_t end = text.rfind(' ', at + columns - indent);
    if (end == std::string::npos || end <= at) break;
    lines += text.substr(at, end - at) + "\n" + std::string(indent, ' ');
    at = end + 1;
  }
  return lines + text.substr(at) + "\n";
}

std::string entry(std::string_view name, const std::string& text) {
  return fmt::format("{:<10}", name) + wrapped(text, 10);
}

std::string summary(const Profile& profile) {
  std::string text;
  for (const auto& [name, value] : profile.labels) text += entry(name, value);
  text +=
      entry("step", fmt::format("{}, {:.1f} us on {} thread{}; {} launches, {} barriers, {:.1f} KB of intermediates",
                                to_string(profile.scheduled().phase), profile.pipeline.total_us(), profile.threads,
                                profile.threads == 1 ? "" : "s", profile.nodes.size(), profile.barriers(),
                                static_cast<double>(profile.compiled->program->arena_bytes()) * 1e-3));
  const StepVerdict verdict = judge(figures_of(profile));
  text += entry("verdict", verdict.text) + entry("fusion", verdict.fusion_text);
  if (profile.preemptions > 0)
    text += entry(
        "note", fmt::format("the system took cores away {} time{} during this step, which the other threads waited for",
                            profile.preemptions, profile.preemptions == 1 ? "" : "s"));
  const double total = profile.pipeline.total_us();
  if (profile.limits)
    text += entry(
        "floor", fmt::format("{:.1f} MB of weights read once at {:.1f} GB/s: {:.1f} us, {:.1f} % of the step; "
                             "the matmuls alone take {:.1f} us, {:.1f} %",
                             profile.weight_bytes() * 1e-6, profile.limits->read_gbps, profile.floor_us(),
                             share(profile.floor_us(), total), profile.matmul_us(), share(profile.matmul_us(), total)));
  if (profile.overhead)
    text += entry("profiling", fmt::format("costs {:.2f} % of a step ({:.2f} to {:.2f} %, {} pairs of steps by turns)",
                                           100 * profile.overhead->share, 100 * profile.overhead->low,
                                           100 * profile.overhead->high, profile.overhead->pairs));
  return text;
}

std::string pipeline_table(const StepPipeline& pipeline) {
  const std::pair<const char*, double> parts[] = {{"build", pipeline.build_us},   {"lookup", pipeline.lookup_us},
                                                  {"launch", pipeline.launch_us}, {"run", pipeline.run_us},
                                                  {"wait", pipeline.wait_us},     {"sample", pipeline.sample_us}};
  std::string names = fmt::format("{:<10}", "pipeline"), times = fmt::format("{:<10}", "us"),
              shares = fmt::format("{:<10}", "share");
  for (const auto& [name, us] : parts) {
    names += fmt::format("{:>12}", name);
    times += fmt::format("{:>12.1f}", us);
    shares += fmt::format("{:>11.2f}%", share(us, pipeline.total_us()));
  }
  return names + "\n" + times + "\n" + shares + "\n";
}

std::string thread_table(const Profile& profile) {
  constexpr std::pair<const char*, ThreadState> states[] = {{"computes", ThreadState::computes},
                                                            {"barriers", ThreadState::barrier},
                                                            {"idle", ThreadState::idle},
                                                            {"launch", ThreadState::launch}};
  std::string text = fmt::format("{:<10}", "thread");
  for (const auto& [name, state] : states) text += fmt::format("{:>12}  {:>6}", name, "share");
  text += "\n";
  for (int thread = 0; thread < profile.threads; ++thread) {
    text += fmt::format("{:<10}", thread);
    for (const auto& [name, state] : states) {
      double us = 0;
      for (const ProfiledSpan& span : profile.spans)
        if (span.thread == thread && span.state == state) us += span.us;
      text += fmt::format("{:>12.1f}  {:>5.1f}%", us, share(us, profile.wall_us));
    }
    text += "\n";
  }
  return text;
}

std::string op_table(const Profile& profile) {
  const double total = profile.wall_us * profile.threads;
  std::string text = fmt::format("{:<40}  {:>8}  {:>10}  {:>6}  {:>9}  {:>8}  {:>8}\n", "op", "launches", "us", "share",
                                 "MB", "GB/s", "GFLOP/s");
  const auto add = [&](const std::string& name, const OpTime& op) {
    text += fmt::format("{:<40}  {:>8}  {:>10.1f}  {:>5.1f}%  {:>9.2f}  {:>8}  {:>8}\n", fitted(name, 40), op.launches,
                        op.us, share(op.us, total), op.bytes * 1e-6, rate(op.bytes / std::max(op.wall_us, 1e-9)),
                        rate(op.operations / std::max(op.wall_us, 1e-9)));
  };
  for (const OpTime& op : times_by_op(profile)) {
    add(op.op, op);
    for (const OpTime& part : op.parts) add("  " + part.op, part);
  }
  const double waiting = profile.thread_us(ThreadState::barrier), idle = profile.thread_us(ThreadState::idle);
  text += fmt::format("{:<40}  {:>8}  {:>10.1f}  {:>5.1f}%\n", "waiting at barriers", profile.barriers(), waiting,
                      share(waiting, total));
  text += fmt::format("{:<40}  {:>8}  {:>10.1f}  {:>5.1f}%\n", "idle", "", idle, share(idle, total));
  return text;
}

std::string parts_line(const ProfiledNode& node) {
  constexpr std::size_t indent = 6;
  return node.parts.empty() ? "" : std::string(indent, ' ') + wrapped(shares_of_parts(node), indent);
}

std::string hot_table(const Profile& profile, std::size_t most) {
  std::vector<std::size_t> order(profile.nodes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return profile.nodes[a].us > profile.nodes[b].us; });
  order.resize(std::min(order.size(), most));
  std::string text = fmt::format("{:>5} {:>9} {:>6} {:>7} {:>6} {:>7} {:>6}  {:<18} {:<20} {:<10} {}\n", "node", "us",
                                 "share", "MB", "GB/s", "GFLOP/s", "limit", "op", "kernel", "isa", "scope");
  for (const std::size_t index : order) {
    const ProfiledNode& node = profile.nodes[index];
    const std::string limit = profile.limits ? fmt::format("{:.0f}%", 100 * profile.limit_share(node)) : "-";
    text += fmt::format("{:>5} {:>9.1f} {:>5.1f}% {:>7.2f} {:>6.1f} {:>7.1f} {:>6}  {:<18} {:<20} {:<10} {}\n", node.id,
                        node.us, share(node.us, profile.wall_us * profile.threads), node.bytes * 1e-6, node.gbps(),
                        node.gflops(), limit, fitted(node.op, 18), fitted(node.kernel, 20), node.isa,
                        fitted(node.scope, 15));
    text += parts_line(node);
  }
  return text;
}

std::string histogram(const CompiledGraph& compiled) {
  constexpr std::size_t most = 24;
  std::vector<OpCount> counts = op_histogram(compiled);
  const std::size_t left_out = counts.size() - std::min(counts.size(), most);
  counts.resize(counts.size() - left_out);
  std::string text = fmt::format("{:<40}  {:>8}  {:>8}  {:>9}\n", "nodes", "built", "fused", "scheduled");
  for (const OpCount& count : counts)
    text +=
        fmt::format("{:<40}  {:>8}  {:>8}  {:>9}\n", fitted(count.op, 40), count.built, count.fused, count.scheduled);
  if (left_out > 0) text += fmt::format("and {} more\n", left_out);
  return text;
}

}  // namespace

std::string to_text(const Profile& profile, std::size_t most) {
  return fmt::format(
      "{}\n{}\n{}\nus are sums over threads, rates are those of the launch; a limit above 100 % means operands in a "
      "cache\nunder a launch: the kernels that fusion made it of, each measured\n\n"
      "{}\n{}\n{}",
      summary(profile), pipeline_table(profile.pipeline), thread_table(profile), op_table(profile),
      hot_table(profile, most), histogram(*profile.compiled));
}

}  // namespace lazuli
