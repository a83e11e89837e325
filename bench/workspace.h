// SPDX-License-Identifier: MIT
// Memory that all cases use by turns: a gibibyte takes longer to fill and to map than most cases take to measure.
#pragma once

#include <lazuli/graph/buffer.h>

#include <cstdint>

namespace lazuli::bench {

class Workspace {
 public:
  // At least `count` floats about zero. Written once, by all usable cores, and never changed.
  const BufferRef& operands(std::int64_t count);
  // At least `bytes` for results. What is in it belongs to the case that runs.
  const BufferRef& results(std::int64_t bytes);

 private:
  BufferRef operands_, results_;
};

}  // namespace lazuli::bench
