// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/weight_requests.h>

namespace lazuli::cpu {

void lay_out(std::span<WeightRequest> requests, std::span<BufferInfo> buffers, WeightStore& store, Executor& executor) {
  for (WeightRequest& request : requests) {
    if (request.weight) continue;
    const bool packed = request.form == WeightForm::packed;
    std::shared_ptr<const StoredWeight> weight =
        packed ? store.packed(request.constant, executor) : store.dequantised(request.constant, executor);
    if (packed) *request.packed = view(weight->packed);
    buffers[static_cast<std::size_t>(request.buffer)].constant = packed ? weight->packed.data : weight->dequantised;
    request.weight = std::move(weight);
  }
}

}  // namespace lazuli::cpu
