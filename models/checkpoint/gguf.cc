// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/graph/files/mapped_file.h>
#include <lazuli/models/checkpoint/gguf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace lazuli {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF values are copied as they lie");

constexpr std::uint64_t header_bytes = 24;
constexpr std::uint64_t min_value_bytes = 8 + 4 + 1;           // key length, type, value
constexpr std::uint64_t min_tensor_bytes = 8 + 4 + 8 + 4 + 8;  // name length, n_dims, one size, type, offset
constexpr std::uint64_t default_alignment = 32;
constexpr std::uint64_t min_alignment = 8;
constexpr std::uint32_t max_dims = 4;

constexpr struct {
  std::string_view name;
  std::uint64_t bytes;  // of a value; for strings the least
} value_types[] = {{"u8", 1},   {"i8", 1},     {"u16", 2},    {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
                   {"bool", 1}, {"string", 8}, {"array", 12}, {"u64", 8}, {"i64", 8}, {"f64", 8}};

std::uint64_t min_bytes(GgufType type) { return value_types[static_cast<std::size_t>(type)].bytes; }

// Tensor types by ggml's ids. Those without a DType are known by name alone, for errors.
constexpr struct {
  std::uint32_t id;
  std::string_view name;
  std::optional<DType> dtype;
} tensor_types[] = {
    {0, "F32", f32},    {1, "F16", f16},      {2, "Q4_0", q4_0},    {3, "Q4_1", q4_1},  {6, "Q5_0", q5_0},
    {7, "Q5_1", q5_1},  {8, "Q8_0", q8_0},    {9, "Q8_1", {}},      {10, "Q2_K", {}},   {11, "Q3_K", {}},
    {12, "Q4_K", q4_k}, {13, "Q5_K", q5_k},   {14, "Q6_K", q6_k},   {15, "Q8_K", {}},   {16, "IQ2_XXS", {}},
    {17, "IQ2_XS", {}}, {18, "IQ3_XXS", {}},  {19, "IQ1_S", {}},    {20, "IQ4_NL", {}}, {21, "IQ3_S", {}},
    {22, "IQ2_S", {}},  {23, "IQ4_XS", {}},   {24, "I8", i8},       {25, "I16", i16},   {26, "I32", i32},
    {27, "I64", i64},   {28, "F64", f64},     {29, "IQ1_M", {}},    {30, "BF16", bf16}, {34, "TQ1_0", {}},
    {35, "TQ2_0", {}},  {39, "MXFP4", mxfp4}, {40, "NVFP4", nvfp4},
};

std::optional<DType> dtype_of(std::uint32_t id) {
  for (const auto& type : tensor_types)
    if (type.id == id) return type.dtype;
  return std::nullopt;
}

std::string name_of_type(std::uint32_t id) {
  for (const auto& type : tensor_types)
    if (type.id == id) return std::string(type.name);
  return fmt::format("ggml type {}", id);
}

std::string quoted(std::string_view text) { return '"' + printable(text) + '"'; }

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Calls fn with a value of the C++ type that `type` stores; strings and arrays are not numbers.
template <class Fn>
auto with_number(GgufType type, const std::byte* from, Fn fn) {
  // clang-format off
  switch (type) {
    case GgufType::u8: return fn(load<std::uint8_t>(from));
    case GgufType::i8: return fn(load<std::int8_t>(from));
    case GgufType::u16: return fn(load<std::uint16_t>(from));
    case GgufType::i16: return fn(load<std::int16_t>(from));
    case GgufType::u32: return fn(load<std::uint32_t>(from));
    case GgufType::i32: return fn(load<std::int32_t>(from));
    case GgufType::u64: return fn(load<std::uint64_t>(from));
    case GgufType::i64: return fn(load<std::int64_t>(from));
    case GgufType::f32: return fn(load<float>(from));
    case GgufType::f64: return fn(load<double>(from));
    case GgufType::boolean: return fn(load<std::uint8_t>(from) != 0);
    case GgufType::string:
    case GgufType::array: break;
  }
  // clang-format on
  fail_internal("{} is no number", to_string(type));
}

std::string_view string_at(const std::byte* from) {
  return {reinterpret_cast<const char*>(from) + 8, static_cast<std::size_t>(load<std::uint64_t>(from))};
}

// Bytes the element at `from` takes.
std::uint64_t element_bytes(GgufType type, const std::byte* from) {
  return type == GgufType::string ? 8 + load<std::uint64_t>(from) : min_bytes(type);
}

template <class T>
std::string_view name_of() {
  if constexpr (std::is_same_v<T, bool>) return "a bool";
  if constexpr (std::is_same_v<T, std::int32_t>) return "an integer that fits i32";
  if constexpr (std::is_same_v<T, std::uint32_t>) return "an integer that fits u32";
  if constexpr (std::is_same_v<T, std::int64_t>) return "an integer that fits i64";
  if constexpr (std::is_same_v<T, std::uint64_t>) return "an integer that fits u64";
  if constexpr (std::is_floating_point_v<T>) return "an f32 or f64";
  return "a string";
}

template <class T>
std::optional<T> convert(GgufType type, const std::byte* from) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return type == GgufType::string ? std::optional(string_at(from)) : std::nullopt;
  } else {
    if (type == GgufType::string) return std::nullopt;
    return with_number(type, from, [](auto stored) -> std::optional<T> {
      using Stored = decltype(stored);
      if constexpr (std::is_same_v<T, Stored>)
        return stored;
      else if constexpr (std::is_same_v<T, bool> || std::is_same_v<Stored, bool>)
        return std::nullopt;
      else if constexpr (std::is_floating_point_v<T> && std::is_floating_point_v<Stored>)
        return static_cast<T>(stored);
      else if constexpr (std::is_integral_v<T> && std::is_integral_v<Stored>)
        return std::in_range<T>(stored) ? std::optional(static_cast<T>(stored)) : std::nullopt;
      else
        return std::nullopt;
    });
  }
}

std::string describe_element(GgufType type, const std::byte* from) {
  if (type == GgufType::string) return "string " + quoted(string_at(from));
  return with_number(type, from, [&](auto stored) { return fmt::format("{} {}", to_string(type), stored); });
}

std::string describe(const GgufValue& value) {
  if (value.is_array) return fmt::format("an array of {} {}", grouped(value.count), to_string(value.type));
  return describe_element(value.type, value.bytes.data());
}

}  // namespace

std::string_view to_string(GgufType type) {
  const auto code = static_cast<std::size_t>(type);
  return code < std::size(value_types) ? value_types[code].name : "unknown type";
}

std::optional<std::uint32_t> ggml_type(DType dtype) {
  for (const auto& type : tensor_types)
    if (type.dtype == dtype) return type.id;
  return std::nullopt;
}

// Walks the file once from the front. Every read is checked against what is left before it happens.
class GgufParser {
 public:
  GgufParser(GgufFile& file, std::span<const std::byte> bytes, GgufFile::Release release)
      : file_(file), bytes_(bytes), release_(std::move(release)) {}

  void parse() {
    read_header();
    for (std::uint64_t i = 0; i < value_count_; ++i) read_value(i);
    read_alignment();
    for (std::uint64_t i = 0; i < tensor_count_; ++i) read_tensor(i);
    locate_data();
  }

 private:
  std::uint64_t left() const { return bytes_.size() - position_; }

  template <class... Args>
  [[noreturn]] void fail_here(fmt::format_string<Args...> text, Args&&... args) const {
    fail_file("{}: {}{}", file_.name(), where_, fmt::format(text, std::forward<Args>(args)...));
  }

  const std::byte* take(std::uint64_t bytes, std::string_view what) {
    if (bytes > left())
      fail_here("{} at byte {} needs {} bytes but the file has {} left", what, grouped(position_), grouped(bytes),
                grouped(left()));
    const std::byte* at = bytes_.data() + position_;
    position_ += bytes;
    return at;
  }

  template <class T>
  T read(std::string_view what) {
    return load<T>(take(sizeof(T), what));
  }

  std::string_view read_string(std::string_view what) {
    const auto length = read<std::uint64_t>(what);
    return {reinterpret_cast<const char*>(take(length, what)), static_cast<std::size_t>(length)};
  }

  GgufType read_type(std::string_view what) {
    const std::uint64_t at = position_;
    const auto code = read<std::uint32_t>(what);
    if (code >= std::size(value_types))
      fail_here("{} at byte {} is {}, expected 0 to {}", what, grouped(at), code, std::size(value_types) - 1);
    return static_cast<GgufType>(code);
  }

  void read_header() {
    if (bytes_.size() < header_bytes)
      fail_here("found {} bytes, expected a GGUF header of {}", bytes_.size(), header_bytes);
    const std::string_view magic{reinterpret_cast<const char*>(take(4, "magic")), 4};
    if (magic != "GGUF") fail_here("magic at byte 0 is {}, expected \"GGUF\"", quoted(magic));
    file_.version_ = read<std::uint32_t>("version");
    if (file_.version_ != 2 && file_.version_ != 3)
      fail_here("version at byte 4 is {}, expected 2 or 3{}", file_.version_,
                (file_.version_ & 0xffff) == 0 ? " (a big-endian file)" : "");
    tensor_count_ = read_count("tensor count", min_tensor_bytes);
    value_count_ = read_count("metadata count", min_value_bytes);
  }

  // A count can only be right when its elements at their smallest fit into the rest of the file.
  std::uint64_t read_count(std::string_view what, std::uint64_t min_element_bytes) {
    const std::uint64_t at = position_;
    const auto count = read<std::uint64_t>(what);
    if (count > left() / min_element_bytes)
      fail_here("{} at byte {} is {}, more than the {} bytes left in the file can hold", what, grouped(at),
                grouped(count), grouped(left()));
    return count;
  }

  void read_value(std::uint64_t index) {
    where_ = fmt::format("key #{}: ", index);
    GgufValue value;
    const std::uint64_t start = position_;
    value.key = read_string("name");
    where_ = fmt::format("key {}: ", printable(value.key));
    if (!file_.value_index_.emplace(value.key, file_.values_.size()).second)
      fail_here("found a second time at byte {}, expected it once", grouped(start));
    value.type = read_type("value type");
    if (value.type == GgufType::array) {
      value.is_array = true;
      value.type = read_type("element type");
      if (value.type == GgufType::array)
        fail_here("array of arrays at byte {}, expected an array of numbers, bools or strings", grouped(position_ - 4));
      value.count = read_count("array length", min_bytes(value.type));
    }
    value.offset = position_;
    skip_elements(value);
    value.bytes = bytes_.subspan(value.offset, position_ - value.offset);
    file_.values_.push_back(value);
    where_.clear();
  }

  void skip_elements(const GgufValue& value) {
    if (value.type == GgufType::string) {
      for (std::uint64_t i = 0; i < value.count; ++i) read_string("string");
      return;
    }
    const std::byte* elements = take(value.count * min_bytes(value.type), "value");  // read_count bounds the product
    if (value.type != GgufType::boolean) return;
    for (std::uint64_t i = 0; i < value.count; ++i)
      if (elements[i] > std::byte{1})
        fail_here("bool at byte {} is {}, expected 0 or 1", grouped(value.offset + i),
                  std::to_integer<int>(elements[i]));
  }

  void read_alignment() {
    alignment_ = file_.get_or<std::uint32_t>("general.alignment", default_alignment);
    // The format asks for a multiple of 8. Elements could not be read where they lie otherwise.
    if (!std::has_single_bit(alignment_) || alignment_ < min_alignment)
      fail_here("key general.alignment: found {}, expected a power of two from {}", alignment_, min_alignment);
  }

  void read_tensor(std::uint64_t index) {
    where_ = fmt::format("tensor #{}: ", index);
    const std::uint64_t start = position_;
    const std::string_view name = read_string("name");
    where_ = fmt::format("tensor {}: ", printable(name));
    if (!file_.tensor_index_.emplace(name, GgufFile::Place{}).second)
      fail_here("found a second time at byte {}, expected it once", grouped(start));
    const Shape shape = read_shape();
    const auto id = read<std::uint32_t>("type");
    const std::uint64_t at = position_;
    const auto offset = read<std::uint64_t>("data offset");
    if (offset % alignment_ != 0)
      fail_here("data offset at byte {} is {}, expected a multiple of the alignment {}", grouped(at), grouped(offset),
                alignment_);
    if (const std::optional<DType> dtype = dtype_of(id))
      add_tensor(name, *dtype, shape, offset);
    else
      add_unsupported(name, id, shape, start);
    where_.clear();
  }

  void add_tensor(std::string_view name, DType dtype, const Shape& shape, std::uint64_t offset) {
    const int block = info(dtype).block_elements;
    if (shape.back() % block != 0)
      fail_here("rows of {} elements, expected a multiple of {}'s block of {}", grouped(shape.back()), to_string(dtype),
                block);
    file_.tensor_index_[name] = {true, file_.tensors_.size()};
    const auto bytes = static_cast<std::uint64_t>(byte_size(dtype, element_count(shape)));
    file_.tensors_.push_back({std::string(name), dtype, shape, offset, bytes, 0, nullptr});
  }

  void add_unsupported(std::string_view name, std::uint32_t id, const Shape& shape, std::uint64_t entry) {
    file_.tensor_index_[name] = {false, file_.unsupported_.size()};
    file_.unsupported_.push_back({std::string(name), name_of_type(id), shape, entry, 0});
  }

  // Sizes come innermost first. The product is kept small enough for its bytes, at 8 an element, to fit 63 bits.
  Shape read_shape() {
    const std::uint64_t start = position_;
    const auto dims = read<std::uint32_t>("dimension count");
    if (dims == 0 || dims > max_dims)
      fail_here("dimension count at byte {} is {}, expected 1 to {}", grouped(start), dims, max_dims);
    Shape shape(dims);
    std::int64_t budget = std::numeric_limits<std::int64_t>::max() / 8;
    for (std::uint32_t d = 0; d < dims; ++d) {
      const std::uint64_t at = position_;
      const auto size = read<std::int64_t>("dimension");
      if (size < 1) fail_here("dimension {} at byte {} is {}, expected 1 or more", d, grouped(at), size);
      if (size > budget) fail_here("dimensions at byte {} hold more elements than 63 bits can count", grouped(start));
      budget /= size;
      shape[dims - 1 - d] = size;
    }
    return shape;
  }

  // Offsets in the file count from the first aligned byte behind the tensor list.
  void locate_data() {
    const std::uint64_t data = (position_ + alignment_ - 1) / alignment_ * alignment_;
    for (GgufTensor& tensor : file_.tensors_) {
      std::uint64_t begin = 0, end = 0;
      if (__builtin_add_overflow(data, tensor.offset, &begin) || __builtin_add_overflow(begin, tensor.bytes, &end))
        fail_file("{}: tensor {}: data offset {} and size {} exceed 64 bits", file_.name(), printable(tensor.name),
                  grouped(tensor.offset), grouped(tensor.bytes));
      if (end > bytes_.size())
        fail_file("{}: tensor {}: data ends at byte {} but the file has {}", file_.name(), printable(tensor.name),
                  grouped(end), grouped(bytes_.size()));
      tensor.offset = begin;
      Buffer::Release release;
      if (release_)
        release = [release = release_, begin](std::size_t offset, std::size_t count) {
          release(begin + offset, count);
        };
      tensor.buffer = Buffer::view(bytes_.data() + begin, tensor.bytes, file_.owner_, std::move(release));
    }
  }

  GgufFile& file_;
  std::span<const std::byte> bytes_;
  GgufFile::Release release_;
  std::uint64_t position_ = 0;
  std::uint64_t tensor_count_ = 0, value_count_ = 0;
  std::uint32_t alignment_ = default_alignment;
  std::string where_;  // "key general.name: " while that is being read
};

GgufFile GgufFile::parse(std::string name, std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                         Release release) {
  GgufFile file;
  file.parts_.push_back(std::move(name));
  file.bytes_ = bytes.size();
  file.owner_ = std::move(owner);
  GgufParser(file, bytes, std::move(release)).parse();
  return file;
}

const GgufValue* GgufFile::find_value(std::string_view key) const {
  const auto found = value_index_.find(key);
  return found == value_index_.end() ? nullptr : &values_[found->second];
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() || !found->second.supported ? nullptr : &tensors_[found->second.at];
}

const GgufUnsupportedTensor* GgufFile::find_unsupported(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() || found->second.supported ? nullptr : &unsupported_[found->second.at];
}

const Shape* GgufFile::find_shape(std::string_view name) const {
  if (const GgufTensor* tensor = find_tensor(name)) return &tensor->shape;
  const GgufUnsupportedTensor* tensor = find_unsupported(name);
  return tensor == nullptr ? nullptr : &tensor->shape;
}

const GgufTensor& GgufFile::tensor(std::string_view tensor_name) const {
  if (const GgufTensor* found = find_tensor(tensor_name)) return *found;
  if (const GgufUnsupportedTensor* found = find_unsupported(tensor_name))
    fail_file("{}: tensor {}: type {} is not supported", part_names()[found->part], printable(tensor_name),
              found->type);
  fail_file("{}: tensor {}: not in the file, which has {} tensors", name(), printable(tensor_name), tensors_.size());
}

const GgufValue& GgufFile::value(std::string_view key, std::string_view expected) const {
  if (const GgufValue* found = find_value(key)) return *found;
  fail_file("{}: key {}: not in the file, expected {}", name(), key, expected);
}

template <class T>
T GgufFile::to_scalar(const GgufValue& value) const {
  if (!value.is_array)
    if (const std::optional<T> converted = convert<T>(value.type, value.bytes.data())) return *converted;
  fail_file("{}: key {}: value at byte {} is {}, expected {}", name(), printable(value.key), grouped(value.offset),
            describe(value), name_of<T>());
}

template <class T>
std::vector<T> GgufFile::to_array(const GgufValue& value) const {
  if (!value.is_array)
    fail_file("{}: key {}: value at byte {} is {}, expected an array, each element {}", name(), printable(value.key),
              grouped(value.offset), describe(value), name_of<T>());
  std::vector<T> elements;
  elements.reserve(value.count);
  const std::byte* at = value.bytes.data();
  for (std::uint64_t i = 0; i < value.count; ++i) {
    const std::optional<T> converted = convert<T>(value.type, at);
    if (!converted)
      fail_file("{}: key {}: element {} at byte {} is {}, expected {}", name(), printable(value.key), grouped(i),
                grouped(value.offset + static_cast<std::uint64_t>(at - value.bytes.data())),
                describe_element(value.type, at), name_of<T>());
    elements.push_back(*converted);
    at += element_bytes(value.type, at);
  }
  return elements;
}

template <class T>
T GgufFile::get(std::string_view key) const {
  return to_scalar<T>(value(key, name_of<T>()));
}

template <class T>
std::optional<T> GgufFile::find(std::string_view key) const {
  const GgufValue* found = find_value(key);
  return found == nullptr ? std::nullopt : std::optional<T>(to_scalar<T>(*found));
}

template <class T>
std::vector<T> GgufFile::get_array(std::string_view key) const {
  return to_array<T>(value(key, "an array"));
}

template <class T>
std::optional<std::vector<T>> GgufFile::find_array(std::string_view key) const {
  const GgufValue* found = find_value(key);
  return found == nullptr ? std::nullopt : std::optional(to_array<T>(*found));
}

template <class T>
std::vector<T> GgufFile::get_each(std::string_view key, std::size_t count) const {
  const GgufValue& stored = value(key, name_of<T>());
  if (!stored.is_array) return std::vector<T>(count, to_scalar<T>(stored));
  if (stored.count != count)
    fail_file("{}: key {}: value at byte {} is {}, expected {} elements", name(), key, grouped(stored.offset),
              describe(stored), count);
  return to_array<T>(stored);
}

#define LAZULI_GGUF_GETTERS(T)                                                            \
  template T GgufFile::get<T>(std::string_view) const;                                    \
  template std::optional<T> GgufFile::find<T>(std::string_view) const;                    \
  template std::vector<T> GgufFile::get_array<T>(std::string_view) const;                 \
  template std::optional<std::vector<T>> GgufFile::find_array<T>(std::string_view) const; \
  template std::vector<T> GgufFile::get_each<T>(std::string_view, std::size_t) const;
LAZULI_GGUF_GETTERS(bool)
LAZULI_GGUF_GETTERS(std::int32_t)
LAZULI_GGUF_GETTERS(std::uint32_t)
LAZULI_GGUF_GETTERS(std::int64_t)
LAZULI_GGUF_GETTERS(std::uint64_t)
LAZULI_GGUF_GETTERS(float)
LAZULI_GGUF_GETTERS(double)
LAZULI_GGUF_GETTERS(std::string_view)
#undef LAZULI_GGUF_GETTERS

}  // namespace lazuli
