// SPDX-License-Identifier: MIT
#include <lazuli/models/gemma/altup.h>

#include <cmath>

namespace lazuli {
namespace {

// Keeps the division finite where a projection is all zeros.
constexpr double min_mean_square = 1e-5;

Array mean_square(const Array& x) { return mean(square(x), {-1}, /*keep_dims=*/true); }

// `x` scaled to the magnitude [T, 1].
Array with_magnitude(const Array& x, const Array& magnitude) {
  return x * magnitude / sqrt(maximum(mean_square(x), min_mean_square));
}

Array column(const Array& coefficients, std::size_t position) {
  const auto begin = static_cast<std::int64_t>(position);
  return slice_axis(coefficients, -1, begin, begin + 1);
}

}  // namespace

AltupPlanes AltupPlanes::from_stack(Array stacked, std::int64_t active) {
  AltupPlanes planes;
  planes.active = index(stacked, 0, active);
  planes.stacked = std::move(stacked);
  return planes;
}

AltupPlanes AltupPlanes::from_parts(std::vector<Array> parts, std::int64_t active) {
  AltupPlanes planes;
  planes.active = parts[static_cast<std::size_t>(active)];
  planes.split = std::move(parts);
  return planes;
}

std::vector<Array> AltupPlanes::parts() const { return is_stacked() ? lazuli::unstack(stacked, 0) : split; }

Linear clipped(const Array& coefficients, double limit) {
  return {std::isfinite(limit) ? clip(coefficients, -limit, limit) : coefficients};
}

Array Altup::modalities(const Array& x) const {
  return tanh(router(router_norm(x) * (1.0 / static_cast<double>(x.size(-1)))));
}

AltupPlanes Altup::predict(const AltupPlanes& planes) const {
  Scope scope("altup");
  const Array coefficients = prediction(modalities(planes.active));
  if (planes.is_stacked())
    return AltupPlanes::from_stack(altup_predict(planes.stacked, coefficients, {active}), active);
  const std::vector<Array>& x = planes.split;
  std::vector<Array> predicted;
  for (std::size_t j = 0; j < x.size(); ++j) {
    Array mixed = column(coefficients, j * x.size()) * x[0];
    for (std::size_t i = 1; i < x.size(); ++i) mixed = mixed + column(coefficients, j * x.size() + i) * x[i];
    predicted.push_back(x[j] + mixed);
  }
  return AltupPlanes::from_parts(std::move(predicted), active);
}

AltupPlanes Altup::correct(const AltupPlanes& predicted, const Array& activated) const {
  Scope scope("altup");
  const Array coefficients = correction(modalities(activated));
  if (predicted.is_stacked())
    return AltupPlanes::from_stack(altup_correct(predicted.stacked, activated, coefficients, {active}), active);
  const Array innovation = activated - predicted.active;
  std::vector<Array> corrected;
  for (std::size_t j = 0; j < predicted.split.size(); ++j)
    corrected.push_back(predicted.split[j] + (column(coefficients, j) + 1.0) * innovation);
  return AltupPlanes::from_parts(std::move(corrected), active);
}

AltupPlanes Altup::add_behind_first(const AltupPlanes& planes, const Array& update) const {
  Scope scope("altup");
  if (planes.is_stacked()) {
    const std::int64_t count = planes.stacked.size(0);
    const Array behind_first = greater(reshape(iota(count), {count, 1, 1}), 0);
    AltupPlanes updated =
        AltupPlanes::from_stack(select(behind_first, planes.stacked + update, planes.stacked), active);
    if (active == 0) updated.active = planes.active;  // untouched: the next layer's router need not wait for the rest
    return updated;
  }
  std::vector<Array> updated = planes.split;
  for (std::size_t j = 1; j < updated.size(); ++j) updated[j] = updated[j] + update;
  return AltupPlanes::from_parts(std::move(updated), active);
}

AltupPlanes AltupEmbedding::expand(const Array& embedded) const {
  Scope scope("altup_expand");
  const Array magnitude = sqrt(mean_square(embedded));
  std::vector<Array> planes{embedded};
  for (const Linear& expansion : expansions) planes.push_back(with_magnitude(expansion(embedded), magnitude));
  return form == AltupForm::stacked ? AltupPlanes::from_stack(stack(planes), active)
                                    : AltupPlanes::from_parts(std::move(planes), active);
}

Array AltupEmbedding::contract(const AltupPlanes& planes) const {
  Scope scope("altup_contract");
  const std::vector<Array> parts = planes.parts();
  const Array magnitude = sqrt(mean_square(parts[0]));
  Array total = parts[0];
  for (std::size_t j = 1; j < parts.size(); ++j)
    total = total + with_magnitude(contractions[j - 1](parts[j]), magnitude);
  return total / static_cast<double>(parts.size());
}

}  // namespace lazuli
