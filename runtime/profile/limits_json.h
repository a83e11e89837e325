// SPDX-License-Identifier: MIT
// HostLimits as every report has them.
#pragma once

#include <lazuli/runtime/profile/host_limits.h>

#include <nlohmann/json.hpp>

namespace lazuli {

// {"read_gbps", "f32_gflops", "bf16_gflops", "int8_gops"}; null where there is no such arithmetic.
inline nlohmann::ordered_json limits_json(const HostLimits& limits) {
  using Json = nlohmann::ordered_json;
  const auto known = [](const std::optional<double>& rate) { return rate ? Json(*rate) : Json(); };
  return {{"read_gbps", limits.read_gbps},
          {"f32_gflops", known(limits.f32_gflops)},
          {"bf16_gflops", known(limits.bf16_gflops)},
          {"int8_gops", known(limits.int8_gops)}};
}

}  // namespace lazuli
