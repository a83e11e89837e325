// SPDX-License-Identifier: MIT
// Weights in the layout the kernels read, made once when a program first needs them and shared by all programs. They
// live as long as the constant they were made of: its handles, and the programs that hold it.
#pragma once

#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/backends/cpu/host/range.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>
#include <lazuli/graph/base/log.h>
#include <lazuli/graph/buffer.h>
#include <lazuli/graph/graph.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace lazuli::cpu {

// Packed for the written kernels, or dequantised to f32 [rows, cols] for OpenBLAS. Of a stack of matrices, all rows.
struct StoredWeight {
  PackedWeight packed;
  BufferRef dequantised;

  bool is_packed() const { return packed.data != nullptr; }
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(is_packed() ? packed.data->size() : dequantised->size());
  }
};

// What the store gives for a constant; `is_new`: it was not laid out before.
struct FoundWeight {
  std::shared_ptr<const StoredWeight> weight;
  bool is_new = false;
};

using WeightProgress = std::function<void(const std::string& label, std::int64_t bytes)>;

class WeightStore {
 public:
  // `cache_folder`: where packed weights of checkpoint files are kept for later processes (disk_cache.h), which map
  // them instead of packing again; empty: nowhere.
  // Weights that are not in such files come from `allocator` (null: the default one).
  explicit WeightStore(const std::string& cache_folder = {}, LogSink log = {}, AllocatorRef allocator = nullptr);

  // Lays the constant out, over the executor's threads, and gives its mapped pages back to the system as they have been
  // read. Types without a packed form are packed as f32. The same buffer gives the same weight. The caller makes sure
  // that nothing else runs on the executor.
  std::shared_ptr<const StoredWeight> packed(const GraphNode& constant, Executor& executor) {
    return find_packed(constant, executor).weight;
  }
  std::shared_ptr<const StoredWeight> dequantised(const GraphNode& constant, Executor& executor) {
    return find_dequantised(constant, executor).weight;
  }
  FoundWeight find_packed(const GraphNode& constant, Executor& executor);
  FoundWeight find_dequantised(const GraphNode& constant, Executor& executor);

  // Drops those whose constants are gone; what else is called here does it too.
  void sweep();
  std::int64_t bytes();                                // held by all stored weights
  std::int64_t laid_out() const { return laid_out_; }  // weights that were not found on disk
  void on_progress(WeightProgress progress) { progress_ = std::move(progress); }
  // With no lock held: whoever is told may use the backend.
  void tell_progress(const std::string& label, std::int64_t bytes) const {
    if (progress_) progress_(label, bytes);
  }

 private:
  struct Entry {
    std::weak_ptr<const Buffer> source;
    std::shared_ptr<const StoredWeight> weight;
  };
  // By Buffer::id and the length of a row: a buffer may be read as another matrix (the kernel of a convolution).
  using Store = std::map<std::pair<std::uint64_t, std::int64_t>, Entry>;

  FoundWeight find_or_make(Store& store, const GraphNode& constant, const std::function<StoredWeight()>& make);

  void sweep_locked();
  StoredWeight load_or_pack(const GraphNode& constant, Executor& executor);

  mutable std::mutex mutex_;
  DiskCache files_;
  Store packed_, dequantised_;
  std::atomic<std::int64_t> laid_out_{0};
  WeightProgress progress_;
  LogSink log_;
  AllocatorRef allocator_;
};

}  // namespace lazuli::cpu
