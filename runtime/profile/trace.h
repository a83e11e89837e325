// SPDX-License-Identifier: MIT
// A profiled step as a Chrome trace, for Perfetto (ui.perfetto.dev) and chrome://tracing.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/runtime/profile/profile.h>

#include <string>
#include <string_view>

namespace lazuli {

// JSON in the Trace Event Format (Google, "Trace Event Format", object form). One track a thread, with a slice for
// every step it computed and every wait, and one for the scopes that thread 0 goes through, nested; times in
// microseconds from the begin of the run. A slice carries scope, kernel, type, bytes and operations, and one of several
// kernels what share each of them takes of the launch on all threads. Arrows "value" lead from the step that made a
// value to those that read it, arrows "barrier" from the step of the last thread to arrive at a barrier to what the
// others do behind it. The counter "arena" shows the bytes of intermediate values alive. `title` names the process.
LAZULI_API std::string chrome_trace(const Profile& profile, std::string_view title);

}  // namespace lazuli
