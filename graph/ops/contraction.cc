// SPDX-License-Identifier: MIT
#include <lazuli/graph/ops/contraction.h>
#include <lazuli/graph/ops/ops_parts.h>

namespace lazuli {
namespace {

// What letters of two terms are to their product.
struct Roles {
  Letters batch, left, right, summed;  // of both and kept, of one alone, of both and summed
};

Roles roles_of(const Term& a, const Term& b, const Letters& kept) {
  Roles roles;
  for (char32_t letter : a.letters) {
    const bool is_kept = kept.find(letter) != Letters::npos;
    (!b.has(letter) ? roles.left : is_kept ? roles.batch : roles.summed) += letter;
  }
  for (char32_t letter : b.letters)
    if (!a.has(letter)) roles.right += letter;
  return roles;
}

Shape sizes_of(const Term& term, const Letters& letters) {
  Shape sizes;
  for (char32_t letter : letters) sizes.push_back(term.size(letter));
  return sizes;
}

Shape join(Shape a, const Shape& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// [batch..., rows, columns], each of the latter of several letters.
Array as_matrices(const Term& term, const Letters& batch, const Letters& rows, const Letters& columns) {
  const Shape matrix{element_count(sizes_of(term, rows)), element_count(sizes_of(term, columns))};
  return reshape(in_order(term, batch + rows + columns), join(sizes_of(term, batch), matrix));
}

Term multiply_matrices(const Term& a, const Term& b, const Roles& roles) {
  // A product with a vector has that on the left: kernels for few rows read the matrix as it lies.
  if (roles.right.empty() && !roles.left.empty())
    return multiply_matrices(b, a, {roles.batch, roles.right, roles.left, roles.summed});
  const Array product = matmul(as_matrices(a, roles.batch, roles.left, roles.summed),
                               as_matrices(b, roles.batch, roles.summed, roles.right));
  const Shape batch(product.shape().begin(), product.shape().end() - 2);
  return {reshape(product, join(join(batch, sizes_of(a, roles.left)), sizes_of(b, roles.right))),
          roles.batch + roles.left + roles.right};
}

// The axes in the order of the letters, of size 1 for those it lacks.
Array spread(const Term& term, const Letters& letters) {
  Letters own;
  Shape shape;
  for (char32_t letter : letters) {
    if (term.has(letter)) own += letter;
    shape.push_back(term.has(letter) ? term.size(letter) : 1);
  }
  return reshape(in_order(term, own), std::move(shape));
}

}  // namespace

Array in_order(const Term& term, const Letters& order) {
  if (order == term.letters) return term.x;
  Dims permutation;
  for (char32_t letter : order) permutation.push_back(static_cast<std::int64_t>(term.letters.find(letter)));
  return transpose(term.x, std::move(permutation));
}

Term sum_letters(const Term& term, const Letters& kept) {
  Letters left;
  Dims axes;
  for (std::size_t axis = 0; axis < term.letters.size(); ++axis) {
    if (kept.find(term.letters[axis]) == Letters::npos)
      axes.push_back(static_cast<std::int64_t>(axis));
    else
      left += term.letters[axis];
  }
  return {axes.empty() ? term.x : sum(term.x, axes), left};
}

Term multiply(const Term& a, const Term& b, const Letters& kept) {
  // What one of them has alone is summed before it meets the other.
  const Term left = sum_letters(a, kept + b.letters), right = sum_letters(b, kept + left.letters);
  const Roles roles = roles_of(left, right, kept);
  if (!roles.summed.empty() && is_real(left.x.dtype())) return multiply_matrices(left, right, roles);
  const Letters all = roles.batch + roles.left + roles.right + roles.summed;
  return sum_letters({spread(left, all) * spread(right, all), all}, roles.batch + roles.left + roles.right);
}

}  // namespace lazuli
