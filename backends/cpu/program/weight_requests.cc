// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/weight_requests.h>

#include <algorithm>
#include <utility>

namespace lazuli::cpu {

std::optional<LaidOut> lay_out_next(std::span<WeightRequest> requests, std::span<BufferInfo> buffers,
                                    WeightStore& store, Executor& executor) {
  const auto next = std::ranges::find_if(requests, [](const WeightRequest& request) { return !request.weight; });
  if (next == requests.end()) return std::nullopt;
  const bool packed = next->form == WeightForm::packed;
  auto [weight, is_new] =
      packed ? store.find_packed(next->constant, executor) : store.find_dequantised(next->constant, executor);
  if (packed) *next->packed = view(weight->packed);
  buffers[static_cast<std::size_t>(next->buffer)].constant = packed ? weight->packed.data : weight->dequantised;
  next->weight = std::move(weight);
  return LaidOut{next->constant.label, next->constant.type().bytes(), is_new};
}

}  // namespace lazuli::cpu
