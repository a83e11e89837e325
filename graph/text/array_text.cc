// SPDX-License-Identifier: MIT
// The values of an array as numpy prints them.
#include <fmt/format.h>
#include <lazuli/graph/ops/operators.h>
#include <lazuli/graph/types/half.h>

#include <cstring>
#include <iterator>
#include <ostream>
#include <string>

namespace lazuli {
namespace {

constexpr std::int64_t printed_whole = 1000, printed_edge = 3;
constexpr std::string_view opening = "array(";

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void append_element(std::string& text, DType dtype, const std::byte* element) {
  const auto to = std::back_inserter(text);
  switch (dtype) {
    case DType::f32:
      fmt::format_to(to, "{}", load<float>(element));
      break;
    case DType::f64:
      fmt::format_to(to, "{}", load<double>(element));
      break;
    case DType::f16:
      fmt::format_to(to, "{:.5g}", f16_to_f32(load<std::uint16_t>(element)));
      break;
    case DType::bf16:
      fmt::format_to(to, "{:.5g}", bf16_to_f32(load<std::uint16_t>(element)));
      break;
    case DType::bool_:
      text += load<std::uint8_t>(element) != 0 ? "true" : "false";
      break;
    case DType::i8:
      fmt::format_to(to, "{}", static_cast<int>(load<std::int8_t>(element)));
      break;
    case DType::u8:
      fmt::format_to(to, "{}", static_cast<int>(load<std::uint8_t>(element)));
      break;
    case DType::i16:
      fmt::format_to(to, "{}", load<std::int16_t>(element));
      break;
    case DType::u16:
      fmt::format_to(to, "{}", load<std::uint16_t>(element));
      break;
    case DType::i32:
      fmt::format_to(to, "{}", load<std::int32_t>(element));
      break;
    case DType::u32:
      fmt::format_to(to, "{}", load<std::uint32_t>(element));
      break;
    case DType::i64:
      fmt::format_to(to, "{}", load<std::int64_t>(element));
      break;
    default:
      fmt::format_to(to, "{}", load<std::uint64_t>(element));
  }
}

class ArrayText {
 public:
  ArrayText(const Type& type, const std::byte* data)
      : type_(type), data_(data), summarised_(type.elements() > printed_whole) {}

  std::string text() {
    text_ = opening;
    append(0, 0);
    return text_ + fmt::format(", dtype={})", to_string(type_.dtype));
  }

 private:
  // One element, or what lies in one pair of brackets; `element` is the first of it. Recursive: as deep as the rank.
  void append(std::size_t axis, std::int64_t element) {
    if (axis == type_.shape.size()) {
      append_element(text_, type_.dtype, data_ + byte_size(type_.dtype, element));
      return;
    }
    const std::int64_t size = type_.shape[axis];
    std::int64_t stride = 1;
    for (std::size_t inner = axis + 1; inner < type_.shape.size(); ++inner) stride *= type_.shape[inner];
    const bool cut = summarised_ && size > 2 * printed_edge;
    text_ += '[';
    for (std::int64_t i = 0; i < size; ++i) {
      if (i > 0) append_separator(axis);
      if (cut && i == printed_edge) {
        text_ += "...";
        append_separator(axis);
        i = size - printed_edge;
      }
      append(axis + 1, element + i * stride);
    }
    text_ += ']';
  }

  void append_separator(std::size_t axis) {
    text_ += ',';
    const std::size_t brackets_to_come = type_.shape.size() - axis - 1;
    if (brackets_to_come == 0) {
      text_ += ' ';
      return;
    }
    text_.append(brackets_to_come, '\n');
    text_.append(opening.size() + axis + 1, ' ');
  }

  const Type& type_;
  const std::byte* data_;
  bool summarised_;
  std::string text_;
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const Array& x) {
  if (!x.defined()) return out << "array()";
  if (is_quantised(x.dtype())) return out << opening << to_string(x.type()) << ')';
  return out << ArrayText(x.type(), x.bytes()).text();
}

}  // namespace lazuli
