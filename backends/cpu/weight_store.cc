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

// A stack of matrices [..., N, K] is laid out as one, the rows of each below those of the one before.
struct Matrix {
  std::int64_t rows, cols;
};

Matrix as_matrix(const Shape& shape) {
  return {element_count(Shape(shape.begin(), shape.end() - 1)), shape.back()};
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
    const auto [rows, cols] = as_matrix(type.shape);
    StoredWeight weight;
    const bool packs = can_pack(type.dtype, cols);
    const std::byte* source = constant.constant->data();
    weight.packed = allocate_packed(packs ? type.dtype : DType::f32, rows, cols);
    executor.run_on_all([&](int worker) {
      const Range groups = share(weight.packed.groups(), worker, executor.size());
      if (packs)
        pack_rows(source, weight.packed, groups.begin, groups.end);
      else
        pack_dequantised_rows(type.dtype, source, weight.packed, groups.begin, groups.end);
    });
    return weight;
  });
}

std::shared_ptr<const StoredWeight> WeightStore::dequantised(const GraphNode& constant, Executor& executor) {
  return find_or_make(dequantised_, constant, [&] {
    const Type& type = constant.type();
    const Matrix matrix = as_matrix(type.shape);
    const std::int64_t rows = matrix.rows, cols = matrix.cols;
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
