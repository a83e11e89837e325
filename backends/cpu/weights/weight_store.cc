// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/weights/weight_store.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <utility>
#include <vector>

namespace lazuli::cpu {
namespace {

constexpr std::int64_t max_cached_bytes = std::int64_t{16} << 30;  // a few models
// Of the checkpoint's bytes, at most so many a worker are in memory beside their packed form.
constexpr std::int64_t read_ahead_bytes = std::int64_t{8} << 20;

// A stack of matrices [..., N, K] is laid out as one, the rows of each below those of the one before.
struct Matrix {
  std::int64_t rows, cols;
};

Matrix as_matrix(const Shape& shape) { return {element_count(Shape(shape.begin(), shape.end() - 1)), shape.back()}; }

// Calls body(begin, end) on ranges of `units` of `unit_bytes` each, and gives the pages of each back when it is done.
template <class Body>
void for_pieces(const Buffer& source, Range units, std::int64_t unit_bytes, Body body) {
  const std::int64_t step = std::max<std::int64_t>(1, read_ahead_bytes / std::max<std::int64_t>(1, unit_bytes));
  for (std::int64_t begin = units.begin; begin < units.end; begin += step) {
    const std::int64_t end = std::min(begin + step, units.end);
    body(begin, end);
    source.release_pages(static_cast<std::size_t>(begin * unit_bytes),
                         static_cast<std::size_t>((end - begin) * unit_bytes));
  }
}

// The narrowest scales that lose nothing; only types with scales of their own are read for it.
ScaleForm scale_form_of(const Buffer& source, DType dtype, Matrix matrix, Executor& executor) {
  const std::byte* blocks = source.data();
  const ScaleForm proposed = propose_scale_form(dtype, blocks, matrix.rows * matrix.cols);
  std::atomic<bool> fits = true;
  executor.run_on_all([&](int worker) {
    const Range rows = share(matrix.rows, worker, executor.size());
    const std::byte* begin = blocks + byte_size(dtype, rows.begin * matrix.cols);
    if (!scales_fit(proposed, dtype, begin, (rows.end - rows.begin) * matrix.cols)) fits = false;
  });
  return fits ? proposed : ScaleForm{};
}

void pack(const Buffer& source, DType dtype, PackedWeight& weight, Executor& executor) {
  const std::byte* rows = source.data();
  const std::int64_t group_bytes = byte_size(dtype, weight.cols) * packed_group_rows;
  executor.run_on_all([&](int worker) {
    for_pieces(source, share(weight.groups(), worker, executor.size()), group_bytes,
               [&](std::int64_t begin, std::int64_t end) {
                 if (dtype == weight.source)
                   pack_rows(rows, weight, begin, end);
                 else
                   pack_dequantised_rows(dtype, rows, weight, begin, end);
               });
  });
}

std::uint64_t checksum_on_all(std::span<const std::byte> bytes, Executor& executor) {
  std::vector<std::uint64_t> parts(static_cast<std::size_t>(executor.size()));
  executor.run_on_all([&](int worker) {
    const Range pieces = share(checksum_pieces(bytes.size()), worker, executor.size());
    parts[static_cast<std::size_t>(worker)] = checksum(bytes, pieces.begin, pieces.end);
  });
  return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0});
}

BufferRef buffer_of(std::shared_ptr<const CacheEntry> entry) {
  const std::span<const std::byte> payload = entry->payload();
  return Buffer::view(payload.data(), payload.size(), std::move(entry));
}

}  // namespace

WeightStore::WeightStore(const std::string& cache_folder, LogSink log, AllocatorRef allocator)
    : files_(cache_folder, "weights", max_cached_bytes), log_(std::move(log)), allocator_(std::move(allocator)) {
  if (log_ && !files_.trouble().empty())
    log_(LogLevel::warning, fmt::format("packed weights are not kept on disk: {}", files_.trouble()));
}

FoundWeight WeightStore::find_or_make(Store& store, const GraphNode& constant,
                                      const std::function<StoredWeight()>& make) {
  const std::lock_guard lock(mutex_);
  const std::pair key(constant.constant->id(), as_matrix(constant.type().shape).cols);
  if (const auto found = store.find(key); found != store.end()) return {found->second.weight, false};
  sweep_locked();
  const std::int64_t laid_out_before = laid_out_;
  const auto begin = std::chrono::steady_clock::now();
  auto weight = std::make_shared<const StoredWeight>(make());
  if (log_) {
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
    const bool made = laid_out_ > laid_out_before;
    log_(made ? LogLevel::info : LogLevel::debug,
         fmt::format("weight {} {}: {} in {:.1f} ms, {} bytes", constant.label, to_string(constant.type()),
                     made ? "laid out" : "found on disk", taken.count(), weight->bytes()));
  }
  store.insert_or_assign(key, Entry{constant.constant, weight});
  constant.constant->release_pages();
  return {std::move(weight), true};
}

FoundWeight WeightStore::find_packed(const GraphNode& constant, Executor& executor) {
  return find_or_make(packed_, constant, [&] { return load_or_pack(constant, executor); });
}

// A weight that is to be kept is packed straight into its file's mapping: it is in memory once.
StoredWeight WeightStore::load_or_pack(const GraphNode& constant, Executor& executor) {
  const Buffer& source = *constant.constant;
  const DType dtype = constant.type().dtype;
  const Matrix matrix = as_matrix(constant.type().shape);
  const auto [rows, cols] = matrix;
  const DType form = packed_dtype(dtype, cols);
  const ScaleForm scales = form == dtype ? scale_form_of(source, dtype, matrix, executor) : ScaleForm{};
  const DiskCache::Checksum sum = [&](std::span<const std::byte> bytes) { return checksum_on_all(bytes, executor); };

  std::unique_ptr<CacheDraft> draft;
  if (!source.origin().empty()) {
    const std::size_t bytes = packed_bytes(form, rows, cols, scales);
    const std::string key =
        fmt::format("layout {} {} {} scales {} {:a} [{},{}] {}", packed_layout_version, to_string(dtype),
                    to_string(form), scales.width, scales.factor, rows, cols, source.origin());
    if (std::shared_ptr<const CacheEntry> entry = files_.find(key, sum); entry && entry->payload().size() == bytes)
      return {{form, rows, cols, scales, buffer_of(std::move(entry))}, nullptr};
    draft = files_.draft(key, bytes);
    if (!draft && files_.enabled() && log_)
      log_(LogLevel::warning, fmt::format("weight {}: no room on disk to keep its {} bytes", constant.label, bytes));
  }
  ++laid_out_;
  StoredWeight weight;
  if (!draft) {
    weight.packed = allocate_packed(form, rows, cols, scales, allocator_);
    pack(source, dtype, weight.packed, executor);
    return weight;
  }
  const std::span<std::byte> room = draft->payload();
  weight.packed = {form, rows, cols, scales, Buffer::view(room.data(), room.size(), nullptr)};
  pack(source, dtype, weight.packed, executor);
  weight.packed.data = buffer_of(draft->publish(sum(room)));
  return weight;
}

FoundWeight WeightStore::find_dequantised(const GraphNode& constant, Executor& executor) {
  return find_or_make(dequantised_, constant, [&] {
    const Type& type = constant.type();
    const Matrix matrix = as_matrix(type.shape);
    const std::int64_t rows = matrix.rows, cols = matrix.cols;
    StoredWeight weight;
    weight.dequantised = Buffer::allocate(static_cast<std::size_t>(rows * cols) * sizeof(float), allocator_);
    const Buffer& source = *constant.constant;
    const std::byte* data = source.data();
    executor.run_on_all([&](int worker) {
      for_pieces(source, share(rows, worker, executor.size()), byte_size(type.dtype, cols),
                 [&](std::int64_t begin, std::int64_t end) {
                   dequantise(type.dtype, data + byte_size(type.dtype, begin * cols), (end - begin) * cols,
                              weight.dequantised->as<float>() + begin * cols);
                 });
    });
    ++laid_out_;
    return weight;
  });
}

void WeightStore::sweep() {
  const std::lock_guard lock(mutex_);
  sweep_locked();
}

void WeightStore::sweep_locked() {
  for (Store* store : {&packed_, &dequantised_})
    std::erase_if(*store, [](const auto& stored) { return stored.second.source.expired(); });
}

std::int64_t WeightStore::bytes() {
  const std::lock_guard lock(mutex_);
  sweep_locked();
  std::int64_t total = 0;
  for (const Store* store : {&packed_, &dequantised_})
    for (const auto& [key, stored] : *store) total += stored.weight->bytes();
  return total;
}

}  // namespace lazuli::cpu
