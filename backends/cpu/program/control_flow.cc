// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/range.h>
#include <lazuli/backends/cpu/program/control_flow.h>
#include <lazuli/graph/base/error.h>

#include <algorithm>

namespace lazuli::cpu {

bool Body::is_split() const {
  return std::any_of(steps.begin(), steps.end(), [](const Step& step) { return step.split; });
}

void Body::list_launches() {
  for (Step& step : steps)
    if (step.control) step.control->list_launches();
  if (!launches_.empty()) return;
  launches_.reserve(steps.size());  // all or none
  for (Step& step : steps)
    launches_.push_back({std::move(step.run), step.units, step.control.get(), step.split, step.barrier, &step});
}

bool ControlFlow::is_split() const {
  return std::any_of(bodies.begin(), bodies.end(), [](const Body& body) { return body.is_split(); });
}

void ControlFlow::list_launches() {
  for (Body& body : bodies) body.list_launches();
}

// Shares stay as they are: numbers that tell whose a grain is count the steps of a program, not of its iterations.
void Walk::step(const Body::Launch& launch) const {
  if (launch.barrier) meet();
  if (launch.control != nullptr) {
    if (launch.split || is_first()) launch.control->run(*this);
  } else if (launch.split) {
    const auto [begin, end] = share(launch.units, worker_, workers_);
    if (begin < end) launch.run(memory_, begin, end, worker_);
  } else if (is_first()) {
    launch.run(memory_, 0, launch.units, 0);
  }
}

void Walk::steps(const Body& body) const {
  const Body::Launch* current = nullptr;
  try {
    for (const Body::Launch& launch : body.launches()) {
      current = &launch;
      step(launch);
    }
  } catch (const ExecutionError&) {  // names what it is about
    throw;
  } catch (const Error& error) {
    const GraphNode& node = current->step->described;
    ErrorDetails details = error.details();
    if (details.kind < ErrorKind::execution) details.kind = ErrorKind::execution;
    throw ExecutionError(fmt::format("{}: {}{}", node.name(), error.what(), Scope::where(node.scope)),
                         std::move(details));
  }
}

}  // namespace lazuli::cpu
