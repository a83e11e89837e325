// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/derived_buffer.h>
#include <lazuli/models/checkpoint/mlx_weights.h>
#include <lazuli/models/checkpoint/nvfp4_weights.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

namespace lazuli {
namespace {

using nlohmann::json;

const Array& part(const ModuleTensors& module, const char* leaf) {
  const auto found = module.parts.find(leaf);
  if (found == module.parts.end()) fail_file("module {} is quantised but has no {}", module.published, leaf);
  return found->second;
}

void check_rows(const ModuleTensors& module, const Array& weight, const Array& scales) {
  const Shape &a = weight.shape(), &b = scales.shape();
  const bool fits = weight.dtype() == DType::u32 && a.size() >= 2 && a.size() == b.size() &&
                    std::equal(a.begin(), a.end() - 1, b.begin());
  if (!fits || b.back() == 0)
    fail_file("module {}: weight is {} and scales {}; expected u32 and equal rows", module.published,
              to_string(weight.type()), to_string(scales.type()));
}

float real_at(const std::byte* data, DType dtype, std::int64_t index) {
  if (dtype == DType::f32) {
    float value;
    std::memcpy(&value, data + index * 4, 4);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, data + index * 2, 2);
  return dtype == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

Shape with_columns(const Array& weight, std::int64_t columns) {
  Shape shape = weight.shape();
  shape.back() = columns;
  return shape;
}

void release(std::initializer_list<BufferRef> sources) {
  for (const BufferRef& source : sources) source->release_pages();
}

Array make_affine(const ModuleTensors& module, const Array& weight, const Array& scales, std::int64_t group) {
  const Array& biases = part(module, "biases");
  if (biases.type() != scales.type() || !is_real(scales.dtype()) || scales.dtype() == DType::f64)
    fail_file("module {}: scales are {} and biases {}; expected one type of f32, f16 and bf16", module.published,
              to_string(scales.type()), to_string(biases.type()));
  if (group == 0) fail_file("module {} is quantised, but config.json has no quantization", module.published);
  const std::int64_t words = weight.size(-1), groups = scales.size(-1), bits = words * 32 / groups / group;
  const std::optional<DType> dtype = parse_dtype(fmt::format("affine{}_{}", bits, group));
  if (!dtype || words * 32 != groups * group * bits)
    fail_file(
        "module {}: {} words of weights to {} scales are no whole number of bits in groups of {} that is supported",
        module.published, words, groups, group);
  const std::int64_t blocks = scales.type().elements(), code_bytes = group * bits / 8;
  const Type type{*dtype, with_columns(weight, groups * group)};

  auto fill = [codes = memory_of(weight), scale = memory_of(scales), bias = memory_of(biases), blocks, code_bytes,
               real = scales.dtype()](std::byte* out) {
    const std::byte *from = codes->data(), *scale_data = scale->data(), *bias_data = bias->data();
    for (std::int64_t block = 0; block < blocks; ++block) {
      const float factors[2] = {real_at(scale_data, real, block), real_at(bias_data, real, block)};
      std::memcpy(out, factors, sizeof factors);
      std::memcpy(out + sizeof factors, from, static_cast<std::size_t>(code_bytes));
      out += static_cast<std::int64_t>(sizeof factors) + code_bytes;
      from += code_bytes;
    }
    release({codes, scale, bias});
  };
  return Array::constant(make_derived_buffer(static_cast<std::size_t>(type.bytes()), std::move(fill)), type,
                         module.canonical + ".weight");
}

// E8M0: 255 is not a number.
void check_exponents(const std::string& place, const std::byte* codes, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    if (codes[i] == std::byte{255}) fail_file("{}: scale {} is the code 255, which is not a number", place, i);
}

// mxfp8 stores blocks as they come; mxfp4 puts elements j and j + 16 into byte j where MLX has 2j and 2j + 1.
Array make_mxfp(const ModuleTensors& module, const Array& weight, const Array& scales, bool four_bits) {
  const std::int64_t blocks = scales.type().elements(), code_bytes = four_bits ? 16 : 32;
  const Type type{four_bits ? DType::mxfp4 : DType::mxfp8, with_columns(weight, scales.size(-1) * 32)};
  auto fill = [place = module.place(), codes = memory_of(weight), exponents = memory_of(scales), blocks, code_bytes,
               four_bits](std::byte* out) {
    const std::byte *from = codes->data(), *exponent = exponents->data();
    check_exponents(place, exponent, blocks);
    for (std::int64_t block = 0; block < blocks; ++block, from += code_bytes) {
      *out++ = exponent[block];
      if (four_bits)
        split_halves(from, 32, out);
      else
        std::memcpy(out, from, static_cast<std::size_t>(code_bytes));
      out += code_bytes;
    }
    release({codes, exponents});
  };
  return Array::constant(make_derived_buffer(static_cast<std::size_t>(type.bytes()), std::move(fill)), type,
                         module.canonical + ".weight");
}

const json* quantisation_of(const json& config) {
  for (const char* key : {"quantization", "quantization_config"}) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_object() && found->contains("group_size")) return &*found;
  }
  return nullptr;
}

// A module's path behind whatever tools put before "layers", "embed_tokens" and the like: "model.", "language_model."
// and both in either order.
std::string_view without_prefix(std::string_view path) {
  for (;;) {
    const std::size_t before = path.size();
    for (const std::string_view part : {"model.", "language_model."})
      if (path.starts_with(part)) path.remove_prefix(part.size());
    if (path.size() == before) return path;
  }
}

}  // namespace

std::int64_t mlx_group_size(const json& config, const std::string& module) {
  const json* said = quantisation_of(config);
  if (said == nullptr) return 0;
  constexpr const char* key = "group_size";
  std::int64_t group = json_size(*said, key, 0);
  for (const auto& [path, entry] : said->items())
    if (entry.is_object() && without_prefix(path) == without_prefix(module)) group = json_size(entry, key, group);
  return group;
}

BufferRef memory_of(const Array& constant) { return constant.result().buffer; }

Array make_mlx_weight(const ModuleTensors& module, std::int64_t group) {
  const Array &weight = part(module, "weight"), &scales = part(module, "scales");
  check_rows(module, weight, scales);
  if (scales.dtype() != DType::u8) return make_affine(module, weight, scales, group);
  const std::int64_t words = weight.size(-1), groups = scales.size(-1);
  if (words == groups * 4) return make_mxfp(module, weight, scales, /*four_bits=*/true);
  if (words == groups * 8) return make_mxfp(module, weight, scales, /*four_bits=*/false);
  if (words != groups * 2)
    fail_file("module {}: {} words of weights to {} scales of 8 bits; expected 2, 4 or 8 words each", module.published,
              words, groups);
  // global_scale is the largest magnitude; the largest code times the largest scale is 6 * 448.
  const auto global = module.parts.find("global_scale");
  if (global == module.parts.end()) return make_nvfp4_weight(module, weight, scales);
  return make_nvfp4_weight(module, weight, scales,
                           [largest = scalar_factor(module, global->second)] { return largest() / 2688.0f; });
}

}  // namespace lazuli
