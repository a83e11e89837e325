// SPDX-License-Identifier: MIT
// Functions and graphs on disk, with their constants.
//
// A file is a safetensors file, which any tool for those can list. Its metadata holds
//   lazuli.format     "1" or "2": the version of what follows; "2" where types have named axes
//                     ("f32[tokens<=512,64]": a size from 1 to 512 that each call brings)
//   lazuli.graph      the text form of the graph (text.h): names of arguments and results, phase, types, scopes
//   lazuli.constants  a JSON list with an entry for each constant of the text, in order: {"tensor": NAME}, or of a
//                     weight by reference {"file", "offset", "bytes", "file_bytes", "hash"}
//   lazuli.donate     the arguments that calls give up: "0,2"
// The tensors are the constants, aligned to 64 bytes by tensors named lazuli.padding.N. What safetensors has no dtype
// for, such as block-quantised weights, stands as u8; its type is in the text.
//
// Files are read by this and all later versions. One of a later format than is known is an Error that says so.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/text/text.h>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace lazuli {

enum class LAZULI_API WeightStorage : std::uint8_t {
  inside,
  // A constant that lies in a mapped file, as weights of checkpoints do, is written as that file's path relative to the
  // graph file, and its place there. Other constants are inside.
  by_reference
};

struct LAZULI_API SaveOptions {
  WeightStorage weights = WeightStorage::inside;
};

// Writes the function as it is for arguments of these types: one signature a file. The file is there whole or not at
// all; what was at `path` is replaced. Throws an Error that says path and reason.
LAZULI_API void save(const CompiledFunction& function, const std::vector<Array>& example_arguments,
                     const std::filesystem::path& path, const SaveOptions& options = {});
// A graph whose constants hold their data, and not a listing of kernel launches (Session::plan), which has none.
LAZULI_API void save(const Graph& graph, const std::filesystem::path& path, const SaveOptions& options = {});

// Constants are views of the mapped file, which stays mapped as long as they live: their pages are read on first use
// and shared by processes. The file must not be written to meanwhile; save() replaces it and does not. Of weights by
// reference the size of their file, and a hash of the first and the last 4 KiB of each weight, must be what they were;
// such a file may name any file that the process may read.
// Custom ops stand in the file by name and attributes; `options` makes them anew.
// Throws an Error for everything that is wrong with the file: path, what was found, what was expected.
LAZULI_API CompiledFunction load(const std::filesystem::path& path, const ParseOptions& options = {});
// The graph alone; `donated` receives the arguments that calls of the function give up.
LAZULI_API Graph load_graph(const std::filesystem::path& path, std::vector<int>* donated = nullptr,
                            const ParseOptions& options = {});

}  // namespace lazuli
