// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/weight_requests.h>

#include <algorithm>

namespace lazuli::cpu {

bool lay_out_next(std::span<WeightRequest> requests, std::span<BufferInfo> buffers, WeightStore& store,
                  Executor& executor) {
  const auto next = std::ranges::find_if(requests, [](const WeightRequest& request) { return !request.weight; });
  if (next == requests.end()) return false;
  const bool packed = next->form == WeightForm::packed;
  std::shared_ptr<const StoredWeight> weight =
      packed ? store.packed(next->constant, executor) : store.dequantised(next->constant, executor);
  if (packed) *next->packed = view(weight->packed);
  buffers[static_cast<std::size_t>(next->buffer)].constant = packed ? weight->packed.data : weight->dequantised;
  next->weight = std::move(weight);
  return true;
}

}  // namespace lazuli::cpu
