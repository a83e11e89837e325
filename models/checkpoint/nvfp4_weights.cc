// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/models/checkpoint/derived_buffer.h>
#include <lazuli/models/checkpoint/nvfp4_weights.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

namespace lazuli {
namespace {

// E4M3 codes as scales: negative ones and NaN (0x7f) have no meaning.
void check_scales(const std::string& place, const std::byte* codes, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    if (const auto code = std::to_integer<int>(codes[i]); code > 0x7e)
      fail_file("{}: scale {} is the code 0x{:02x}, expected a number that is not negative", place, i, code);
}

// Four groups make one block of the GGUF type: their scales, then the codes of each, halves split.
void fill_blocks(const std::byte* codes, const std::byte* scales, std::int64_t groups, std::byte* out) {
  for (std::int64_t group = 0; group < groups; group += 4) {
    std::memcpy(out, scales + group, 4);
    out += 4;
    for (int i = 0; i < 4; ++i, codes += 8, out += 8) split_halves(codes, 16, out);
  }
}

// E4M3 by code, times the factor: one f32 rounding each.
std::array<float, 128> scale_table(float factor) {
  std::array<float, 128> table{};
  for (int code = 0; code < 127; ++code) {
    // As the scale of an nvfp4 block whose first code is 1.
    std::array<std::byte, 36> block{};
    block[0] = static_cast<std::byte>(code);
    block[4] = std::byte{2};
    std::array<float, 64> values;
    dequantise(DType::nvfp4, block.data(), 64, values.data());
    table[static_cast<std::size_t>(code)] = values[0] * factor;
  }
  return table;
}

void fill_groups(const std::byte* codes, const std::byte* scales, std::int64_t groups, float factor, std::byte* out) {
  const std::array<float, 128> table = scale_table(factor);
  for (std::int64_t group = 0; group < groups; ++group, codes += 8, out += 12) {
    std::memcpy(out, &table[static_cast<std::size_t>(scales[group])], 4);
    std::memcpy(out + 4, codes, 8);
  }
}

}  // namespace

void split_halves(const std::byte* neighbours, int count, std::byte* out) {
  const auto code = [&](int i) { return neighbours[i / 2] >> (i % 2 * 4) & std::byte{15}; };
  for (int j = 0; j < count / 2; ++j) out[j] = code(j) | code(j + count / 2) << 4;
}

TensorFactor scalar_factor(const ModuleTensors& module, const Array& factor) {
  if (factor.dtype() != DType::f32 || factor.type().elements() != 1)
    fail_file("module {}: its scale is {}; expected one f32", module.published, to_string(factor.type()));
  return [place = module.place(), source = memory_of(factor)] {
    float value;
    std::memcpy(&value, source->data(), sizeof value);
    if (!std::isfinite(value) || value <= 0) fail_file("{}: its scale is {}; expected a positive number", place, value);
    return value;
  };
}

Array make_nvfp4_weight(const ModuleTensors& module, const Array& codes, const Array& scales, TensorFactor factor) {
  const std::int64_t groups = scales.type().elements();
  Shape shape = scales.shape();
  const bool same_rows = codes.shape().size() == shape.size() && !shape.empty() &&
                         std::equal(shape.begin(), shape.end() - 1, codes.shape().begin());
  if (scales.dtype() != DType::u8 || !same_rows || codes.type().bytes() != groups * 8)
    fail_file("module {}: codes are {} and scales {}; expected 8 bytes of codes to each scale of 8 bits",
              module.published, to_string(codes.type()), to_string(scales.type()));
  shape.back() *= 16;
  const bool blocks = !factor && shape.back() % 64 == 0;
  const Type type{blocks ? DType::nvfp4 : DType::e2m1_16, shape};
  auto fill = [place = module.place(), code_data = memory_of(codes), scale_data = memory_of(scales), groups,
               factor = std::move(factor), blocks](std::byte* out) {
    check_scales(place, scale_data->data(), groups);
    if (blocks)
      fill_blocks(code_data->data(), scale_data->data(), groups, out);
    else
      fill_groups(code_data->data(), scale_data->data(), groups, factor ? factor() : 1.0f, out);
    code_data->release_pages();
    scale_data->release_pages();
  };
  return Array::constant(make_derived_buffer(static_cast<std::size_t>(type.bytes()), std::move(fill)), type,
                         module.canonical + ".weight");
}

Array make_modelopt_weight(const ModuleTensors& module) {
  const auto find = [&](const char* leaf) -> const Array* {
    const auto found = module.parts.find(leaf);
    return found == module.parts.end() ? nullptr : &found->second;
  };
  const Array* packed = find("weight_packed");
  const Array* codes = packed != nullptr ? packed : find("weight");
  const Array* scales = find("weight_scale");
  const Array* factor = find(packed != nullptr ? "weight_global_scale" : "weight_scale_2");
  if (codes == nullptr || scales == nullptr || factor == nullptr || codes->dtype() != DType::u8)
    fail_file("module {} is quantised in a way that is not supported; expected nvfp4 of ModelOpt or compressed-tensors",
              module.published);
  TensorFactor value = scalar_factor(module, *factor);
  if (packed != nullptr) value = [value] { return 1.0f / value(); };
  return make_nvfp4_weight(module, *codes, *scales, std::move(value));
}

}  // namespace lazuli
