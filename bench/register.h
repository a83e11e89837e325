// The families of benchmarks, each in a file of its own.
#pragma once

namespace lazuli::bench {

void register_limits();
void register_kernels();

}  // namespace lazuli::bench
