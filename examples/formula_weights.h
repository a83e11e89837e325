// SPDX-License-Identifier: MIT
// Weights by formula, so that an example and its numpy reference (NAME_reference.py) have the same ones without a file.
#pragma once

#include <lazuli/lazuli.h>

#include <cstdint>
#include <vector>

// Value i is scale (2 u - 1), where u in [0, 1) is a multiplicative hash of i and the seed: formula_weights.py.
inline lazuli::Array formula_weights(lazuli::Shape shape, std::uint32_t seed, double scale) {
  std::vector<float> values(static_cast<std::size_t>(lazuli::element_count(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint32_t hash = (static_cast<std::uint32_t>(i) + 1) * 2654435761u + seed * 40503u;
    hash = (hash ^ (hash >> 15)) * 2246822519u;
    values[i] = static_cast<float>(scale * (2.0 * (hash ^ (hash >> 13)) / 4294967296.0 - 1.0));
  }
  return lazuli::Array::from(values, std::move(shape));
}
