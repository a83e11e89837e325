// SPDX-License-Identifier: MIT
#include <lazuli/graph/files/output_file.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/models/synth/synth.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace lazuli::synth {
namespace {

// Elements made at a time: a multiple of every block, and few enough for the second-level cache.
constexpr std::int64_t chunk_elements = std::int64_t{1} << 16;

// A part of a piece of a tensor.
struct Chunk {
  const PlacedTensor* placed;
  const Piece* piece;
  std::int64_t begin, end;    // elements of the piece
  std::int64_t tensor_begin;  // element of the tensor where `begin` goes
};

std::vector<Chunk> chunks_of(const PlannedFile& file) {
  std::vector<Chunk> chunks;
  for (const PlacedTensor& placed : file.tensors) {
    std::int64_t before = 0;
    for (const Piece& piece : placed.tensor.pieces) {
      for (std::int64_t begin = 0; begin < piece.elements; begin += chunk_elements)
        chunks.push_back({&placed, &piece, begin, std::min(begin + chunk_elements, piece.elements), before + begin});
      before += piece.elements;
    }
  }
  return chunks;
}

std::uint64_t bytes(std::int64_t count) { return static_cast<std::uint64_t>(count); }

// One thread's buffers.
class ChunkWriter {
 public:
  ChunkWriter(std::int64_t seed, const WriteAt& write_at) : seed_(seed), write_at_(write_at) {}

  void operator()(const Chunk& chunk) {
    const Piece& piece = *chunk.piece;
    values_.resize(static_cast<std::size_t>(chunk.end - chunk.begin));
    fill_random(stream_key(seed_, piece.stream), piece.first + chunk.begin, piece.spread, values_);
    const PlacedTensor& placed = *chunk.placed;
    const auto elements = static_cast<std::int64_t>(values_.size());
    blocks_.resize(bytes(byte_size(placed.dtype, elements)));
    quantise(placed.dtype, values_.data(), elements, blocks_.data());
    if (placed.scales_offset == 0)
      write_at_(placed.offset + bytes(byte_size(placed.dtype, chunk.tensor_begin)), blocks_);
    else
      write_apart(placed, chunk.tensor_begin);
  }

 private:
  void write_apart(const PlacedTensor& placed, std::int64_t begin) {
    codes_.clear();
    scales_.clear();
    biases_.clear();
    std::int64_t group = 64, scale_bytes = 2, code_bits = 4;
    if (placed.dtype == DType::nvfp4) {
      group = 16;
      scale_bytes = 1;
      split_nvfp4();
    } else {
      code_bits = placed.dtype == DType::affine8_64 ? 8 : 4;
      split_affine(bytes(group * code_bits / 8));
    }
    write_at_(placed.offset + bytes(begin * code_bits / 8), codes_);
    write_at_(placed.scales_offset + bytes(begin / group * scale_bytes), scales_);
    if (!biases_.empty()) write_at_(placed.biases_offset + bytes(begin / group * scale_bytes), biases_);
  }

  // Blocks of f32 scale, f32 bias, codes. The quantiser makes scales and biases that bf16 holds.
  void split_affine(std::size_t code_bytes) {
    for (const std::byte* block = blocks_.data(); block < blocks_.data() + blocks_.size();) {
      float factors[2];
      std::memcpy(factors, block, sizeof factors);
      block += sizeof factors;
      append_bf16(scales_, factors[0]);
      append_bf16(biases_, factors[1]);
      codes_.insert(codes_.end(), block, block + code_bytes);
      block += code_bytes;
    }
  }

  // Blocks of four scales, then of each 16 elements 8 bytes that hold elements j and j + 8; apart, 2j and 2j + 1.
  void split_nvfp4() {
    for (const std::byte* block = blocks_.data(); block < blocks_.data() + blocks_.size(); block += 36) {
      scales_.insert(scales_.end(), block, block + 4);
      for (const std::byte* group = block + 4; group < block + 36; group += 8) {
        const auto code = [&](int i) { return group[i % 8] >> (i / 8 * 4) & std::byte{15}; };
        for (int j = 0; j < 8; ++j) codes_.push_back(code(2 * j) | code(2 * j + 1) << 4);
      }
    }
  }

  static void append_bf16(std::vector<std::byte>& out, float value) {
    const std::uint16_t bits = f32_to_bf16(value);
    out.push_back(static_cast<std::byte>(bits & 255));
    out.push_back(static_cast<std::byte>(bits >> 8));
  }

  std::int64_t seed_;
  const WriteAt& write_at_;
  std::vector<float> values_;
  std::vector<std::byte> blocks_, codes_, scales_, biases_;
};

}  // namespace

std::int64_t element_count(const PlannedFile& file) {
  std::int64_t total = 0;
  for (const PlacedTensor& placed : file.tensors) total += lazuli::element_count(placed.tensor.shape);
  return total;
}

void write_tensors(const PlannedFile& file, std::int64_t seed, int threads, const WriteAt& write_at,
                   const OnProgress& on_progress) {
  const std::vector<Chunk> chunks = chunks_of(file);
  std::atomic<std::size_t> next{0};
  std::atomic<std::int64_t> written{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&](bool reports) {
    try {
      ChunkWriter write(seed, write_at);
      for (std::size_t i; (i = next++) < chunks.size();) {
        write(chunks[i]);
        written += chunks[i].end - chunks[i].begin;
        if (reports) on_progress(written);
      }
    } catch (...) {
      next = chunks.size();
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> helpers;
    try {
      for (int i = 1; i < threads; ++i) helpers.emplace_back(work, false);
    } catch (const std::system_error&) {  // fewer threads take longer
    }
    work(true);
  }
  if (error) std::rethrow_exception(error);
}

void write_file(const PlannedFile& file, const std::string& path, std::int64_t seed, int threads,
                const OnProgress& on_progress) {
  OutputFile output(path);
  output.write_at(0, file.header.data(), file.header.size());
  write_tensors(
      file, seed, threads,
      [&](std::uint64_t offset, std::span<const std::byte> bytes) {
        output.write_at(offset, bytes.data(), bytes.size());
      },
      on_progress);
  output.set_size(file.bytes);
  output.commit();
}

}  // namespace lazuli::synth
