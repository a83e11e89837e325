// SPDX-License-Identifier: MIT
// lazuli_bench: google-benchmark's options; the context names what the figures depend on.
#include <benchmark/benchmark.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/bench/register.h>
#include <lazuli/graph/base/error.h>

#include <cstdio>
#include <memory>
#include <string>

int main(int argc, char** argv) {
  try {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::AddCustomContext("cpu", lazuli::cpu_name());
    benchmark::AddCustomContext("isa", std::string(to_string(lazuli::selected_isa())));
    benchmark::AddCustomContext("threads", std::to_string(lazuli::usable_cores()));
    benchmark::AddCustomContext("onednn", lazuli::bench::onednn_state());
    const auto workspace = std::make_shared<lazuli::bench::Workspace>();
    lazuli::bench::register_limits();
    lazuli::bench::register_kernels(workspace);
    lazuli::bench::register_onednn(workspace);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::ClearRegisteredBenchmarks();  // ends the sessions before main does
    benchmark::Shutdown();
    return 0;
  } catch (const lazuli::Error& error) {
    std::fprintf(stderr, "lazuli_bench: %s\n", error.what());
    return 1;
  }
}
