// A profiled run as a Chrome trace, for Perfetto (ui.perfetto.dev) and chrome://tracing.
#pragma once

#include <lazuli/backends/backend.h>

#include <string>
#include <string_view>

namespace lazuli {

// JSON in the Trace Event Format (Google, "Trace Event Format", object form). One track a worker, with a slice for every
// step it computed and every wait at a barrier; times in microseconds from the begin of the run. A slice carries scope,
// kernel, type and bytes. Arrows lead from the step that made a value to those that read it, and the counter "arena"
// shows the bytes of intermediate values alive. `title` names the process.
std::string chrome_trace(const Program& program, const Profile& profile, std::string_view title);

}  // namespace lazuli
