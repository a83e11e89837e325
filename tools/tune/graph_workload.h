// SPDX-License-Identifier: MIT
// What `lazuli tune --graph` measures: calls of the graph of a file, under any settings of a session.
#pragma once

#include <lazuli/runtime/tuning/tune.h>
#include <lazuli/tools/support/graph_file.h>
#include <lazuli/tools/support/options.h>

#include <memory>
#include <vector>

namespace lazuli::tool {

class GraphWorkload {
 public:
  // `options` says what is not tuned. The file outlives the object.
  GraphWorkload(CommonOptions options, const GraphFile& file);

  std::vector<TunableChoice> choices() const;
  // A session of its own, compiled and warm. The one part is "run": as many calls as take a few milliseconds.
  std::shared_ptr<const Contender> prepare(const Settings& settings);

 private:
  CommonOptions options_;
  const GraphFile& file_;
  int calls_ = 0;  // of a sample; 0: not known yet
};

}  // namespace lazuli::tool
