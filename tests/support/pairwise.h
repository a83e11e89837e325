// SPDX-License-Identifier: MIT
// Covering sets: few rows of settings in which every pair of values of two factors occurs.
#pragma once

#include <cstddef>
#include <set>
#include <utility>
#include <vector>

namespace lazuli::test {

using Row = std::vector<int>;  // of each factor, which value: row[f] in [0, sizes[f])

// Every combination, the last factor fastest.
inline std::vector<Row> full_product(const std::vector<int>& sizes) {
  std::vector<Row> rows{{}};
  for (const int size : sizes) {
    std::vector<Row> longer;
    for (const Row& row : rows)
      for (int value = 0; value < size; ++value) {
        longer.push_back(row);
        longer.back().push_back(value);
      }
    rows = std::move(longer);
  }
  return rows;
}

// A value of one factor together with a value of a later one.
using Pair = std::pair<std::pair<std::size_t, int>, std::pair<std::size_t, int>>;

inline std::set<Pair> pairs_of(const Row& row) {
  std::set<Pair> pairs;
  for (std::size_t a = 0; a < row.size(); ++a)
    for (std::size_t b = a + 1; b < row.size(); ++b) pairs.insert({{a, row[a]}, {b, row[b]}});
  return pairs;
}

// Takes, again and again, the first row of the product that brings the most new pairs: the same rows every time.
inline std::vector<Row> pairwise(const std::vector<int>& sizes) {
  const std::vector<Row> all = full_product(sizes);
  std::set<Pair> open;
  for (const Row& row : all) open.merge(pairs_of(row));
  std::vector<Row> chosen;
  while (!open.empty()) {
    const Row* best = nullptr;
    std::size_t most = 0;
    for (const Row& row : all) {
      std::size_t fresh = 0;
      for (const Pair& pair : pairs_of(row)) fresh += open.count(pair);
      if (fresh <= most) continue;
      most = fresh;
      best = &row;
    }
    for (const Pair& pair : pairs_of(*best)) open.erase(pair);
    chosen.push_back(*best);
  }
  return chosen;
}

}  // namespace lazuli::test
