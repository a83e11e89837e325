// SPDX-License-Identifier: MIT
// Reader of GGUF files, versions 2 and 3 (layout: the GGUF specification in the ggml project, docs/gguf.md).
//
// A model may be split over files NAME-00001-of-0000N.gguf, as llama-gguf-split writes them: keys split.no (from 0),
// split.count and split.tensors.count (of all parts together); the first part holds the metadata. Opening any part
// opens all of them, as one file.
//
// Everything read stays where it is: strings, arrays and tensor data are views into the mapped file. Whatever a
// malformed file says, the reader neither reads past its end nor allocates more than the file's own size justifies;
// it throws Error with one line that names the file, the key or tensor, the byte offset, what was found and expected.
#pragma once

#include <lazuli/graph/buffer.h>
#include <lazuli/graph/types/dtype.h>
#include <lazuli/graph/types/shape.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lazuli {

// Codes as stored.
// clang-format off
enum class GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
// clang-format on
std::string_view to_string(GgufType type);

// ggml's id of a tensor type; nothing for types that GGUF does not have.
std::optional<std::uint32_t> ggml_type(DType dtype);

// One metadata value, still encoded.
struct GgufValue {
  std::string_view key;
  GgufType type;  // of the value, or of each element of an array; never `array`
  bool is_array = false;
  std::uint64_t count = 1;           // elements
  std::span<const std::byte> bytes;  // the elements, packed; a string is its u64 length and its bytes
  std::uint64_t offset = 0;          // of `bytes` in the file
};

struct GgufTensor {
  std::string name;
  DType dtype;
  Shape shape;               // row-major, outermost first: the file's ne[] reversed
  std::uint64_t offset = 0;  // of the data, from the start of its part
  std::uint64_t bytes = 0;   // byte_size(dtype, element_count(shape))
  std::size_t part = 0;      // index in part_names()
  BufferRef buffer;          // view of the data; release_pages() drops it from memory until it is read again
};

// A tensor of a type that has no DType: how long its data is, is not known.
struct GgufUnsupportedTensor {
  std::string name;
  std::string type;  // "IQ2_XS", "ggml type 99"
  Shape shape;
  std::uint64_t entry = 0;  // byte of its entry in the tensor list of its part
  std::size_t part = 0;
};

class GgufFile {
 public:
  using Release = std::function<void(std::uint64_t offset, std::uint64_t bytes)>;

  // Maps and parses the file, and the other parts of a split model that lie beside it. Throws Error.
  static GgufFile open(const std::string& path);
  // Makes one file of all parts of a split model, given in order. Throws Error where their keys contradict each other
  // or the order, and where two parts hold one tensor.
  static GgufFile join(std::vector<GgufFile> parts);
  // Parses `bytes`, one file or one part, which `owner` keeps alive. `name` stands for the path in errors; `release`,
  // when given, is told of byte ranges that will not be read again.
  static GgufFile parse(std::string name, std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                        Release release = {});

  const std::string& name() const { return parts_.front(); }
  std::span<const std::string> part_names() const { return parts_; }  // just the name, unless the model is split
  std::uint64_t bytes() const { return bytes_; }                      // of all parts
  std::uint32_t version() const { return version_; }
  // Keeps every view alive: values, strings, tensor data.
  const std::shared_ptr<const void>& owner() const { return owner_; }

  std::span<const GgufValue> metadata() const { return values_; }   // in file order
  std::span<const GgufTensor> tensors() const { return tensors_; }  // in file order, part after part
  // The others, which tensors() leaves out.
  std::span<const GgufUnsupportedTensor> unsupported_tensors() const { return unsupported_; }

  const GgufValue* find_value(std::string_view key) const;     // null when absent
  const GgufTensor* find_tensor(std::string_view name) const;  // null when absent
  const GgufTensor& tensor(std::string_view name) const;       // throws when absent
  const Shape* find_shape(std::string_view name) const;        // of a tensor of any type; null when absent

  // Typed metadata. T is bool, std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, float, double or
  // std::string_view. Integers of any stored type convert when the value fits T; f32 and f64 convert to either; nothing
  // else converts. A value of another type throws even from the optional forms: only absence is optional.
  template <class T>
  T get(std::string_view key) const;
  template <class T>
  std::optional<T> find(std::string_view key) const;
  template <class T>
  T get_or(std::string_view key, T otherwise) const {
    return find<T>(key).value_or(otherwise);
  }

  template <class T>
  std::vector<T> get_array(std::string_view key) const;
  template <class T>
  std::optional<std::vector<T>> find_array(std::string_view key) const;
  // A value per layer: a scalar stands for all, an array must have `count` elements.
  template <class T>
  std::vector<T> get_each(std::string_view key, std::size_t count) const;

 private:
  friend class GgufParser;
  // A tensor's index in tensors_, or in unsupported_.
  struct Place {
    bool supported = false;
    std::size_t at = 0;
  };

  GgufFile() = default;
  const GgufUnsupportedTensor* find_unsupported(std::string_view name) const;
  void append(GgufFile part);
  const GgufValue& value(std::string_view key, std::string_view expected) const;
  template <class T>
  T to_scalar(const GgufValue& value) const;
  template <class T>
  std::vector<T> to_array(const GgufValue& value) const;

  std::vector<std::string> parts_;
  std::uint64_t bytes_ = 0;
  std::uint32_t version_ = 0;
  std::shared_ptr<const void> owner_;
  std::vector<GgufValue> values_;
  std::vector<GgufTensor> tensors_;
  std::vector<GgufUnsupportedTensor> unsupported_;
  std::unordered_map<std::string_view, std::size_t> value_index_;  // keys view the file, as does tensor_index_
  std::unordered_map<std::string_view, Place> tensor_index_;
};

}  // namespace lazuli
