// SPDX-License-Identifier: MIT
// Shape rules of quantise and dequantise: rows of whole blocks.
#include <lazuli/graph/shape_rules/infer_call.h>
#include <lazuli/graph/types/quantised.h>

namespace lazuli::infer {
namespace {

void require_blocks(const Call& call, DType dtype) {
  const Shape& shape = call.operand(0).shape;
  const int block = lazuli::info(dtype).block_elements;
  if (shape.empty() || shape.back() % block != 0)
    call.reject_shape(fmt::format("a last axis of whole blocks of {}", block), call.found(0),
                      "operand 0 is {}, expected a last axis of whole blocks of {}", call.found(0), block);
}

}  // namespace

Types quantise(const Call& call) {
  const DType dtype = call.as<CastAttrs>().dtype;
  if (!is_quantised(dtype) || !has_quantiser(dtype))
    call.reject_dtype("a quantised dtype with a quantiser", std::string(to_string(dtype)),
                      "cannot encode to {}, expected a quantised dtype with a quantiser", to_string(dtype));
  require_blocks(call, dtype);
  return {{dtype, call.operand(0).shape}};
}

Types dequantise(const Call& call) {
  require_blocks(call, call.operand(0).dtype);
  return {{DType::f32, call.operand(0).shape}};
}

}  // namespace lazuli::infer
