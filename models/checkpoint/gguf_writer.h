// SPDX-License-Identifier: MIT
// Writes GGUF files: valid ones by default, malformed ones on request.
#pragma once

#include <lazuli/graph/types/dtype.h>
#include <lazuli/graph/types/shape.h>
#include <lazuli/models/checkpoint/gguf.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lazuli {

// Appends little-endian values to a string of bytes.
template <class T>
void put(std::string& bytes, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  bytes.append(raw, sizeof(T));
}

inline void put_string(std::string& bytes, std::string_view text) {
  put<std::uint64_t>(bytes, text.size());
  bytes.append(text);
}

class GgufWriter {
 public:
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;  // of the data; write general.alignment too when it is another

  // T decides the stored type; strings are std::string or const char*.
  template <class T>
  GgufWriter& add(std::string_view key, T value) {
    std::string encoded;
    put_value(encoded, value);
    return add_raw(key, type_of<T>(), encoded);
  }

  template <class T>
  GgufWriter& add_array(std::string_view key, const std::vector<T>& values) {
    std::string encoded;
    put(encoded, type_of<T>());
    put<std::uint64_t>(encoded, values.size());
    for (std::size_t i = 0; i < values.size(); ++i) put_value<T>(encoded, values[i]);
    return add_raw(key, GgufType::array, encoded);
  }

  // A value as it lies in the file, which need not make sense.
  GgufWriter& add_raw(std::string_view key, GgufType type, std::string_view encoded) {
    put_string(values_, key);
    put(values_, type);
    values_.append(encoded);
    ++value_count;
    return *this;
  }

  // `data` holds byte_size(dtype, element_count(shape)) bytes.
  GgufWriter& add_tensor(std::string_view name, DType dtype, const Shape& shape, std::string_view data) {
    const std::vector<std::int64_t> sizes(shape.rbegin(), shape.rend());
    add_tensor_info(name, sizes, ggml_type(dtype).value(), data_.size());
    data_.append(data);
    pad(data_);
    return *this;
  }

  // An entry of the tensor list alone; `sizes` innermost first, `offset` from the start of the data.
  GgufWriter& add_tensor_info(std::string_view name, const std::vector<std::int64_t>& sizes, std::uint32_t type,
                              std::uint64_t offset) {
    put_string(tensors_, name);
    put(tensors_, static_cast<std::uint32_t>(sizes.size()));
    for (const std::int64_t size : sizes) put(tensors_, size);
    put(tensors_, type);
    put(tensors_, offset);
    ++tensor_count;
    return *this;
  }

  std::string bytes() const {
    std::string out = magic;
    put(out, version);
    put(out, tensor_count);
    put(out, value_count);
    out += values_ + tensors_;
    if (!data_.empty()) pad(out);
    return out + data_;
  }

  // What the header says; counted by the functions above.
  std::uint64_t tensor_count = 0, value_count = 0;

 private:
  template <class T>
  static GgufType type_of() {
    // clang-format off
    if constexpr (std::is_same_v<T, bool>) return GgufType::boolean;
    else if constexpr (std::is_same_v<T, std::uint8_t>) return GgufType::u8;
    else if constexpr (std::is_same_v<T, std::int8_t>) return GgufType::i8;
    else if constexpr (std::is_same_v<T, std::uint16_t>) return GgufType::u16;
    else if constexpr (std::is_same_v<T, std::int16_t>) return GgufType::i16;
    else if constexpr (std::is_same_v<T, std::uint32_t>) return GgufType::u32;
    else if constexpr (std::is_same_v<T, std::int32_t>) return GgufType::i32;
    else if constexpr (std::is_same_v<T, std::uint64_t>) return GgufType::u64;
    else if constexpr (std::is_same_v<T, std::int64_t>) return GgufType::i64;
    else if constexpr (std::is_same_v<T, float>) return GgufType::f32;
    else if constexpr (std::is_same_v<T, double>) return GgufType::f64;
    else return GgufType::string;
    // clang-format on
  }

  template <class T>
  static void put_value(std::string& bytes, const T& value) {
    if constexpr (std::is_arithmetic_v<T>)
      put(bytes, value);
    else
      put_string(bytes, value);
  }

  void pad(std::string& bytes) const { bytes.resize((bytes.size() + alignment - 1) / alignment * alignment); }

  std::string values_, tensors_, data_;
};

}  // namespace lazuli
