// SPDX-License-Identifier: MIT
// Ops without operands.
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/graph/types/philox.h>
#include <lazuli/graph/types/scalar_value.h>

namespace lazuli::reference {

// Bound by the interpreter; defined so that the table of kernels has an entry for every op.
void input(const Call&) {}
void constant(const Call&) {}

void scalar(const Call& call) {
  store_scalar(call.as<ScalarAttrs>().value.value, call.result().dtype(), call.result().at(0));
}

void iota(const Call& call) {
  const Tensor& result = call.result();
  const bool real = is_real(result.dtype());
  for (std::int64_t i = 0; i < result.elements(); ++i)
    if (real)
      result.set_real(i, static_cast<double>(i));
    else
      result.set_integer(i, i);
}

void random_uniform(const Call& call) {
  const auto& attrs = call.as<RandomAttrs>();
  for (std::int64_t i = 0; i < call.result().elements(); ++i)
    call.result().set_real(i, lazuli::random_uniform(attrs.key, i, attrs.dtype));
}

void random_normal(const Call& call) {
  const auto& attrs = call.as<RandomAttrs>();
  for (std::int64_t i = 0; i < call.result().elements(); ++i)
    call.result().set_real(i, lazuli::random_normal(attrs.key, i, attrs.dtype));
}

}  // namespace lazuli::reference
