// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/profiled_parts.h>
#include <lazuli/runtime/profile/trace.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace lazuli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int process = 1;
constexpr double before_end_us = 1e-3;  // arrows bind to the slice around their time; a slice does not hold its own end

class Trace {
 public:
  explicit Trace(const Profile& profile) : profile_(profile), of_thread_(static_cast<std::size_t>(profile.threads)) {
    for (const ProfiledSpan& span : profile.spans) {
      of_thread_[static_cast<std::size_t>(span.thread)].push_back(&span);
      if (span.state == ThreadState::computes) of_node_[node(span).id].push_back(&span);
    }
  }

  std::string write(std::string_view title) {
    name_tracks(title);
    for (const ProfiledSpan& span : profile_.spans) add_slice(span);
    add_scopes();
    for (const auto& [node, spans] : of_node_) add_arrows_to(node, *spans.front());
    add_barrier_arrows();
    add_memory();
    return Json{{"displayTimeUnit", "ns"}, {"traceEvents", std::move(events_)}}.dump(-1, ' ', false,
                                                                                     Json::error_handler_t::replace);
  }

 private:
  const ProfiledNode& node(const ProfiledSpan& span) const {
    return profile_.nodes[static_cast<std::size_t>(span.node)];
  }
  const ProgramStep& step(const ProfiledSpan& span) const {
    return profile_.compiled->program->steps()[static_cast<std::size_t>(node(span).step)];
  }

  static Json event(const char* phase, std::string_view name, int track, double us) {
    return {{"ph", phase}, {"name", name}, {"pid", process}, {"tid", track}, {"ts", us}};
  }

  // Threads, and behind them the scopes.
  void name_tracks(std::string_view title) {
    const auto name = [&](const char* what, int track, std::string text) {
      Json named = event("M", what, track, 0);
      named["args"] = {{"name", std::move(text)}};
      events_.push_back(std::move(named));
    };
    name("process_name", 0, std::string(title));
    for (int thread = 0; thread < profile_.threads; ++thread)
      name("thread_name", thread, fmt::format("thread {}", thread));
    name("thread_name", profile_.threads, "scopes");
  }

  void add_slice(const ProfiledSpan& span) {
    constexpr std::string_view waits[] = {"", "launch", "wait", "idle"};
    const bool computes = span.state == ThreadState::computes;
    Json slice =
        event("X", computes ? node(span).op : waits[static_cast<std::size_t>(span.state)], span.thread, span.begin_us);
    slice["cat"] = computes ? "step" : "wait";
    slice["dur"] = span.us;
    if (computes) {
      const ProfiledNode& ran = node(span);
      slice["args"] = {{"node", ran.id},
                       {"scope", ran.scope},
                       {"kernel", ran.kernel},
                       {"type", to_string(profile_.scheduled().nodes[static_cast<std::size_t>(ran.id)].type())},
                       {"bytes", ran.bytes},
                       {"operations", ran.operations}};
      if (!ran.parts.empty()) slice["args"]["parts"] = shares_of_parts(ran);
    }
    events_.push_back(std::move(slice));
  }

  static std::vector<std::string> parts_of(const std::string& scope) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < scope.size();) {
      const std::size_t end = std::min(scope.find('.', at), scope.size());
      parts.push_back(scope.substr(at, end - at));
      at = end + 1;
    }
    return parts;
  }

  // "layers" holds "3", which holds "mlp": a scope lasts while thread 0 computes steps in it, one after the other.
  void add_scopes() {
    struct Open {
      std::string name;
      double begin_us;
    };
    std::vector<Open> open;
    double last_us = 0;
    const auto close = [&](std::size_t depth) {
      for (; open.size() > depth; open.pop_back()) {
        Json slice = event("X", open.back().name, profile_.threads, open.back().begin_us);
        slice["cat"] = "scope";
        slice["dur"] = last_us - open.back().begin_us;
        events_.push_back(std::move(slice));
      }
    };
    for (const ProfiledSpan* span : of_thread_[0]) {
      if (span->state != ThreadState::computes) continue;
      const std::vector<std::string> parts = parts_of(node(*span).scope);
      std::size_t same = 0;
      while (same < open.size() && same < parts.size() && open[same].name == parts[same]) ++same;
      close(same);
      for (std::size_t i = same; i < parts.size(); ++i) open.push_back({parts[i], span->begin_us});
      last_us = span->begin_us + span->us;
    }
    close(0);
  }

  // From the slice that finished a value last to the first that reads it.
  void add_arrows_to(std::int32_t reader, const ProfiledSpan& first) {
    std::set<std::int32_t> producers;
    for (const ValueId input : profile_.scheduled().nodes[static_cast<std::size_t>(reader)].inputs)
      producers.insert(input.node);
    for (const std::int32_t producer : producers) {
      const auto found = of_node_.find(producer);
      if (found == of_node_.end()) continue;  // a leaf
      add_arrow(
          "value",
          **std::max_element(found->second.begin(), found->second.end(),
                             [](const ProfiledSpan* a, const ProfiledSpan* b) { return end_of(*a) < end_of(*b); }),
          first);
    }
  }

  // A barrier is where a step needs one: what each thread computes next behind it, and what it computed last before.
  void add_barrier_arrows() {
    const std::span<const ProgramStep> steps = profile_.compiled->program->steps();
    for (std::size_t barrier = 0; barrier < steps.size(); ++barrier) {
      if (!steps[barrier].barrier) continue;
      const ProfiledSpan* last = nullptr;
      std::vector<const ProfiledSpan*> behind;
      for (const std::vector<const ProfiledSpan*>& spans : of_thread_) {
        const ProfiledSpan *before = nullptr, *after = nullptr;
        for (const ProfiledSpan* span : spans) {
          if (span->state != ThreadState::computes) continue;
          if (node(*span).step >= static_cast<int>(barrier)) {
            after = span;
            break;
          }
          before = span;
        }
        if (after) behind.push_back(after);
        if (before && (!last || end_of(*before) > end_of(*last))) last = before;
      }
      for (const ProfiledSpan* span : behind)
        if (last && span->thread != last->thread && span->begin_us >= last->begin_us)
          add_arrow("barrier", *last, *span);
    }
  }

  static double end_of(const ProfiledSpan& span) { return span.begin_us + span.us; }

  void add_arrow(const char* name, const ProfiledSpan& from, const ProfiledSpan& to) {
    const auto add_end = [&](const char* phase, int thread, double us) {
      Json end = event(phase, name, thread, us);
      end["cat"] = name;
      end["id"] = arrows_;
      if (*phase == 'f') end["bp"] = "e";
      events_.push_back(std::move(end));
    };
    add_end("s", from.thread, std::max(from.begin_us, end_of(from) - before_end_us));
    add_end("f", to.thread, to.begin_us);
    ++arrows_;
  }

  void add_memory() {
    for (const ProfiledSpan* span : of_thread_[0]) {
      if (span->state != ThreadState::computes) continue;
      Json counter = event("C", "arena", 0, span->begin_us);
      counter["args"] = {{"bytes", step(*span).arena_bytes}};
      events_.push_back(std::move(counter));
    }
  }

  const Profile& profile_;
  std::vector<std::vector<const ProfiledSpan*>> of_thread_;  // by begin
  std::map<std::int32_t, std::vector<const ProfiledSpan*>> of_node_;
  Json events_ = Json::array();
  int arrows_ = 0;
};

}  // namespace

std::string chrome_trace(const Profile& profile, std::string_view title) { return Trace(profile).write(title); }

}  // namespace lazuli
