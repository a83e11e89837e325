// What a fusion decided at one place of the graph, and whom to tell.
#pragma once

#include <lazuli/graph/graph.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

struct Verdict {
  std::string rule;
  bool fired = false;
  std::string reason;      // why not; empty when the rule fired
  std::int32_t node = -1;  // the place: a node of the graph the pass or the backend was given; -1: all of it
  Scope::Ref scope;
  std::vector<Source> from;  // the nodes of the graph as it was built that the place stands for
};

// Both callbacks may be left empty; without `note` no verdict is made.
struct VerdictSink {
  std::function<void(Verdict)> note;
  std::function<std::string(std::string_view)> why_off;  // why the fusion of this name is off

  // Never empty: an empty reason means that a rule fired.
  std::string reason_off(std::string_view name) const {
    std::string reason = why_off ? why_off(name) : std::string();
    return reason.empty() ? "switched off" : reason;
  }
};

}  // namespace lazuli
