// SPDX-License-Identifier: MIT
#include <lazuli/graph/ops/ops_parts.h>
#include <lazuli/graph/ops/quantisation.h>

namespace lazuli {

Array quantise(const Array& x, DType dtype) { return make_array(Op::quantise, CastAttrs{dtype}, {x}); }

Array dequantise(const Array& x, DType dtype) {
  if (!is_real(dtype)) reject_call("dequantise", "dtype is {}, expected a real one", to_string(dtype));
  const Array values = make_array(Op::dequantise, NoAttrs{}, {x});
  return dtype == DType::f32 ? values : cast(values, dtype);
}

}  // namespace lazuli
