#include <lazuli/backends/cpu/weight_store.h>
#include <lazuli/graph/quantised.h>

namespace lazuli::cpu {
namespace {

struct Range {
  std::int64_t begin, end;
};

Range share(std::int64_t units, int worker, int workers) {
  return {units * worker / workers, units * (worker + 1) / workers};
}

}  // namespace

std::shared_ptr<const StoredWeight> WeightStore::find_or_make(Store& store, const GraphNode& constant,
                                                              const std::function<StoredWeight()>& make) {
  const std::lock_guard lock(mutex_);
  auto& entry = store[constant.constant->id()];
  if (!entry) {
    entry = std::make_shared<const StoredWeight>(make());
    constant.constant->release_pages();
    if (progress_) progress_(constant.label, constant.type().bytes());
  }
  return entry;
}

std::shared_ptr<const StoredWeight> WeightStore::packed(const GraphNode& constant, Executor& executor) {
  return find_or_make(packed_, constant, [&] {
    const Type& type = constant.type();
    StoredWeight weight;
    weight.packed = allocate_packed(type.dtype, type.shape[0], type.shape[1]);
    executor.run_on_all([&](int worker) {
      const Range groups = share(weight.packed.groups(), worker, executor.size());
      pack_rows(constant.constant->data(), weight.packed, groups.begin, groups.end);
    });
    return weight;
  });
}

std::shared_ptr<const StoredWeight> WeightStore::dequantised(const GraphNode& constant, Executor& executor) {
  return find_or_make(dequantised_, constant, [&] {
    const Type& type = constant.type();
    const std::int64_t rows = type.shape[0], cols = type.shape[1];
    StoredWeight weight;
    weight.dequantised = Buffer::allocate(static_cast<std::size_t>(rows * cols) * sizeof(float));
    executor.run_on_all([&](int worker) {
      const Range range = share(rows, worker, executor.size());
      dequantise(type.dtype, constant.constant->data() + byte_size(type.dtype, range.begin * cols),
                 (range.end - range.begin) * cols, weight.dequantised->as<float>() + range.begin * cols);
    });
    return weight;
  });
}

std::int64_t WeightStore::bytes() const {
  const std::lock_guard lock(mutex_);
  std::int64_t total = 0;
  for (const Store* store : {&packed_, &dequantised_})
    for (const auto& [id, weight] : *store) total += weight->bytes();
  return total;
}

}  // namespace lazuli::cpu
