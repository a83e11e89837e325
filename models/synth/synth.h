// SPDX-License-Identifier: MIT
// Checkpoints of published shapes with random weights, for work on speed and memory at true size.
//
// Weights are a function of (seed, tensor, index): the same (architecture, seed) in any container and quantisation is
// the same model, up to the quantisation's error. They are of such magnitude that activations and logits stay finite
// through every layer.
#pragma once

#include <lazuli/models/synth/checkpoint_plan.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace lazuli::synth {

// Writes bytes at an offset of the file. Called by several threads at once, for ranges that do not overlap.
using WriteAt = std::function<void(std::uint64_t offset, std::span<const std::byte> bytes)>;
// Told, on the calling thread, how many elements are written. May throw, to stop.
using OnProgress = std::function<void(std::int64_t elements)>;

std::int64_t element_count(const PlannedFile& file);

// Makes and writes the tensors of a file, not its header, by `threads` threads. Memory: a few MB a thread. An exception
// of either function stops all threads and is thrown again.
void write_tensors(const PlannedFile& file, std::int64_t seed, int threads, const WriteAt& write_at,
                   const OnProgress& on_progress);
// The whole file, which appears at `path` when it is complete.
void write_file(const PlannedFile& file, const std::string& path, std::int64_t seed, int threads,
                const OnProgress& on_progress);

}  // namespace lazuli::synth
