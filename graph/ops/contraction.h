// SPDX-License-Identifier: MIT
// Products of arrays whose axes have letters: what einsum, tensordot and their like are made of. Private to graph/.
#pragma once

#include <lazuli/graph/ops/ops.h>

#include <string>

namespace lazuli {

// Any numbers; one for each axis, each once.
using Letters = std::u32string;

struct Term {
  Array x;
  Letters letters;

  bool has(char32_t letter) const { return letters.find(letter) != Letters::npos; }
  std::int64_t size(char32_t letter) const { return x.shape()[letters.find(letter)]; }
};

// Letters that are not in `kept` are summed over.
Term sum_letters(const Term& term, const Letters& kept);
// a b, summed over the letters that are not in `kept`. Letters that both have are of one size, or, if they are kept, of
// size 1 in one of them. Sums over letters of both are a matmul of real dtypes, and mul and sum of others.
Term multiply(const Term& a, const Term& b, const Letters& kept);
// The axes in this order of the same letters.
Array in_order(const Term& term, const Letters& order);

}  // namespace lazuli
