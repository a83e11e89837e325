// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/formats/packed_dispatch.h>
#include <lazuli/backends/cpu/weights/scale_form.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace lazuli {
namespace {

std::optional<packed::Scales> scales_of(DType dtype) {
  std::optional<packed::Scales> scales;
  packed::visit_format(dtype, [&](auto format) { scales = decltype(format)::planes.scales; });
  return scales;
}

// Scales and biases stand first in every block.
bool all_bf16(const std::byte* blocks, std::int64_t count, int block_bytes) {
  std::uint32_t lower_bits = 0;
  for (std::int64_t block = 0; block < count; ++block) {
    const auto* words = reinterpret_cast<const std::uint8_t*>(blocks + block * block_bytes);
    lower_bits |= packed::load32(words) | packed::load32(words + 4);
  }
  return (lower_bits & 0xffffu) == 0;
}

// Of blocks of the one type whose scales are products of a factor.
float scale_of(const std::byte* blocks, std::int64_t block) {
  return packed::load_f32(reinterpret_cast<const std::uint8_t*>(blocks + block * block_bytes(DType::e2m1_16)));
}

bool all_products(float factor, const std::byte* blocks, std::int64_t count) {
  for (std::int64_t block = 0; block < count; ++block) {
    const float half = 0.5f * scale_of(blocks, block);
    if (packed::ue5m3_to_f32(packed::f32_to_ue5m3(half / factor)) * factor != half) return false;
  }
  return true;
}

// The factor behind scales that are rounded products of it and numbers of four bits. The largest of a few scales is
// such a number times the factor, so the factor is one of eight quotients, or next to one, but for a power of two. That
// is chosen so that the largest becomes 8 to 15: f16 has 17 binades below and 12 above then, and E4M3, where the scales
// come from, 18 in all.
ScaleForm propose_factor(const std::byte* blocks, std::int64_t count) {
  const std::int64_t sample = std::min<std::int64_t>(count, 4096);
  float largest = 0;
  for (std::int64_t block = 0; block < sample; ++block) largest = std::max(largest, 0.5f * scale_of(blocks, block));
  if (largest == 0 || !std::isfinite(largest)) return {};
  for (int number = 8; number < 16; ++number) {
    const float quotient = largest / static_cast<float>(number);
    for (const float factor : {quotient, std::nextafter(quotient, 0.0f), std::nextafter(quotient, HUGE_VALF)})
      if (factor > 0 && all_products(factor, blocks, sample)) return {1, factor};
  }
  return {};
}

}  // namespace

ScaleForm propose_scale_form(DType dtype, const std::byte* blocks, std::int64_t elements) {
  const std::optional<packed::Scales> scales = scales_of(dtype);
  if (scales == packed::Scales::wide_halves) return propose_factor(blocks, elements / block_elements(dtype));
  if (scales != packed::Scales::wide_minimum) return {};
  return elements > 0 && all_bf16(blocks, 1, block_bytes(dtype)) ? ScaleForm{2, 1} : ScaleForm{};
}

bool scales_fit(ScaleForm form, DType dtype, const std::byte* blocks, std::int64_t elements) {
  if (form.width == 4) return true;
  const std::int64_t count = elements / block_elements(dtype);
  if (form.width == 1) return all_products(form.factor, blocks, count);
  return all_bf16(blocks, count, block_bytes(dtype));
}

}  // namespace lazuli
