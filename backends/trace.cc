#include <lazuli/backends/trace.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace lazuli {
namespace {

using Json = nlohmann::ordered_json;
using Entry = Profile::Entry;

constexpr int process = 1;

double microseconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-3; }

class Trace {
 public:
  Trace(const Program& program, const Profile& profile) : program_(program) {
    for (const Entry& entry : profile.entries) entries_.push_back(&entry);
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const Entry* a, const Entry* b) { return a->begin_ns < b->begin_ns; });
    for (const Entry* entry : entries_)
      if (entry->step != Profile::waiting) of_node_[step(*entry).node].push_back(entry);
  }

  std::string write(std::string_view title) {
    name_tracks(title);
    for (const Entry* entry : entries_) add_slice(*entry);
    for (const auto& [node, entries] : of_node_) add_arrows_to(node, *entries.front());
    add_memory();
    return Json{{"displayTimeUnit", "ns"}, {"traceEvents", std::move(events_)}}.dump(-1, ' ', false,
                                                                                     Json::error_handler_t::replace);
  }

 private:
  const ProgramStep& step(const Entry& entry) const { return program_.steps()[static_cast<std::size_t>(entry.step)]; }
  const GraphNode& node(std::int32_t id) const { return program_.scheduled().nodes[static_cast<std::size_t>(id)]; }

  static Json event(const char* phase, std::string_view name, int worker, std::int64_t ns) {
    return {{"ph", phase}, {"name", name}, {"pid", process}, {"tid", worker}, {"ts", microseconds(ns)}};
  }

  void name_tracks(std::string_view title) {
    const auto name = [&](const char* what, int worker, std::string text) {
      Json named = event("M", what, worker, 0);
      named["args"] = {{"name", std::move(text)}};
      events_.push_back(std::move(named));
    };
    name("process_name", 0, std::string(title));
    std::set<int> workers;
    for (const Entry* entry : entries_) workers.insert(entry->worker);
    for (const int worker : workers) name("thread_name", worker, fmt::format("worker {}", worker));
  }

  void add_slice(const Entry& entry) {
    const bool waits = entry.step == Profile::waiting;
    Json slice =
        event("X", waits ? std::string_view("wait") : node(step(entry).node).name(), entry.worker, entry.begin_ns);
    slice["cat"] = waits ? "wait" : "step";
    slice["dur"] = microseconds(entry.end_ns - entry.begin_ns);
    if (!waits) {
      const ProgramStep& ran = step(entry);
      const GraphNode& computed = node(ran.node);
      slice["args"] = {{"node", ran.node},
                       {"scope", computed.scope ? *computed.scope : std::string()},
                       {"kernel", ran.kernel},
                       {"type", to_string(computed.type())},
                       {"bytes", ran.bytes}};
    }
    events_.push_back(std::move(slice));
  }

  // From the slice that finished a value last to the first that reads it.
  void add_arrows_to(std::int32_t reader, const Entry& first) {
    std::set<std::int32_t> producers;
    for (const ValueId input : node(reader).inputs) producers.insert(input.node);
    for (const std::int32_t producer : producers) {
      const auto found = of_node_.find(producer);
      if (found == of_node_.end()) continue;  // a leaf
      const Entry& last = **std::max_element(found->second.begin(), found->second.end(),
                                             [](const Entry* a, const Entry* b) { return a->end_ns < b->end_ns; });
      // Arrows bind to the slice around their time; a slice does not hold its own end.
      add_arrow_end("s", last.worker, std::max(last.begin_ns, last.end_ns - 1));
      add_arrow_end("f", first.worker, first.begin_ns);
      ++arrows_;
    }
  }

  void add_arrow_end(const char* phase, int worker, std::int64_t ns) {
    Json end = event(phase, "value", worker, ns);
    end["cat"] = "value";
    end["id"] = arrows_;
    if (*phase == 'f') end["bp"] = "e";
    events_.push_back(std::move(end));
  }

  void add_memory() {
    for (const Entry* entry : entries_) {
      if (entry->step == Profile::waiting || entry->worker != 0) continue;
      Json counter = event("C", "arena", 0, entry->begin_ns);
      counter["args"] = {{"bytes", step(*entry).arena_bytes}};
      events_.push_back(std::move(counter));
    }
  }

  const Program& program_;
  std::vector<const Entry*> entries_;  // by begin
  std::map<std::int32_t, std::vector<const Entry*>> of_node_;
  Json events_ = Json::array();
  int arrows_ = 0;
};

}  // namespace

std::string chrome_trace(const Program& program, const Profile& profile, std::string_view title) {
  return Trace(program, profile).write(title);
}

}  // namespace lazuli
