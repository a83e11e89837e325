// SPDX-License-Identifier: MIT
// What the operands of random graphs hold.
#pragma once

#include <lazuli/graph/buffer.h>
#include <lazuli/graph/types/shape.h>
#include <lazuli/tests/fuzz/graphs/random.h>

#include <cstdint>

namespace lazuli::fuzz {

enum class Values : std::uint8_t {
  moderate,  // uniform in [-2, 2)
  ties,      // whole numbers from -3 to 3
  special,   // moderate ones, and NaN, infinities, zeros of both signs, denormal and largest numbers among them
  wide,      // any exponent, any integer
  denormal,  // tiny numbers, zeros of both signs
  equal,     // one number everywhere
  weights,   // uniform in [-0.5, 0.5): products of them stay moderate
  positive,  // uniform in [0.5, 2)
};

Values draw_kind(Random& choice);  // mostly moderate
BufferRef draw(const Type& type, Values kind, Random& random);
// Uniform in [low, high], for indices, positions and lengths.
BufferRef draw_integers(const Type& type, std::int64_t low, std::int64_t high, Random& random);

}  // namespace lazuli::fuzz
