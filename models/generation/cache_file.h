// SPDX-License-Identifier: MIT
// Keys and values of a text in a file, so that another process can go on where this one stopped.
//
// A safetensors file: "ids" i32 [tokens], the whole text, and for each cache of the model "k.I" and "v.I"
// [rows, kv_heads, head_dim], its last positions up to "length" of the metadata, oldest first: all of them, or what a
// ring still holds. Blocks of q8_0 are stored as their bytes, u8 [rows, kv_heads, head_dim / 32 · 34]. The metadata
// also says what model and settings the caches are of, among them all of ModelInfo::settings. Rings may be of another
// length where the file is read.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lazuli {

class OutputFile;
class Runner;

struct LAZULI_API IdRange {
  std::int64_t begin = 0, end = 0;

  bool contains(std::int64_t position) const { return begin <= position && position < end; }
};

struct LAZULI_API CachedText {
  std::vector<std::int32_t> ids;  // of which the runner's caches hold the first ones
  IdRange generated;              // those of the last generation
};

// Writes the file and commits it. Throws an Error when the runner holds nothing.
LAZULI_API void write_cache(OutputFile& file, const Runner& runner, const CachedText& text);

// Puts the file's caches in the place of the runner's. Throws an Error that names the file, and all that differs when
// it is of another model or type of cache; the runner is then as it was.
LAZULI_API CachedText read_cache(const std::string& path, Runner& runner);

}  // namespace lazuli
