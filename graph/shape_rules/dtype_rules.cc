// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/shape_rules/dtype_rules.h>

#include <algorithm>

namespace lazuli {
namespace {

constexpr std::string_view class_names[] = {"any",      "plain",     "number",    "real",    "real_32",  "integer",
                                            "boolean",  "index",     "single",    "weight",  "cache",    "update",
                                            "as_first", "as_second", "attribute", "decoded", "quantised"};

std::span<const DTypeRule> all_rules() {
  using enum DTypeClass;
  static const std::vector<DTypeRule> rules = {
#define LAZULI_DTYPE_RULE(name, operands, results) {#name, operands, results},
#include <lazuli/graph/types/dtype_rules.def>
  };
  return rules;
}

constexpr std::string_view shape_rules[] = {
#define LAZULI_OP(name, min, max, attrs, shape, ...) #shape,
#include <lazuli/graph/ops.def>
};

std::vector<const DTypeRule*> rules_by_op() {
  std::vector<const DTypeRule*> by_op;
  for (const std::string_view shape_rule : shape_rules) {
    const auto found = std::ranges::find(all_rules(), shape_rule, &DTypeRule::shape_rule);
    by_op.push_back(found == all_rules().end() ? nullptr : &*found);
  }
  return by_op;
}

bool is_real_32(DType dtype) { return is_real(dtype) && dtype != DType::f64; }

bool takes(DTypeClass dtypes, DType dtype, std::span<const Type> operands) {
  const DType first = operands[0].dtype;
  switch (dtypes) {
    case DTypeClass::plain:
      return !is_quantised(dtype);
    case DTypeClass::number:
      return is_real(dtype) || is_integer(dtype);
    case DTypeClass::real:
      return is_real(dtype);
    case DTypeClass::real_32:
      return is_real_32(dtype);
    case DTypeClass::integer:
      return is_integer(dtype);
    case DTypeClass::boolean:
      return dtype == DType::bool_;
    case DTypeClass::index:
      return dtype == DType::i32;
    case DTypeClass::single:
      return dtype == DType::f32;
    case DTypeClass::weight:
      return is_real_32(dtype) || is_quantised(dtype) || (dtype == DType::f64 && first == DType::f64);
    case DTypeClass::cache:
      return is_real_32(dtype) || dtype == DType::q8_0 || (dtype == DType::f64 && first == DType::f64);
    case DTypeClass::update:
      return dtype == (is_quantised(first) ? DType::f32 : first);
    case DTypeClass::quantised:
      return is_quantised(dtype);
    case DTypeClass::as_first:
      return dtype == first;
    case DTypeClass::as_second:
      return dtype == operands[1].dtype;
    default:
      return true;
  }
}

std::string names_of(bool (*belongs)(DType)) {
  std::string names;
  for (const DTypeInfo& type : all_dtypes())
    if (belongs(type.dtype)) names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

std::string expected(DTypeClass dtypes, std::span<const Type> operands) {
  const bool beside_f64 = operands[0].dtype == DType::f64;
  switch (dtypes) {
    case DTypeClass::plain:
      return "a plain dtype";
    case DTypeClass::number:
      return "numbers";
    case DTypeClass::real:
      return fmt::format("a real dtype ({})", names_of(is_real));
    case DTypeClass::real_32:
      return fmt::format("a real dtype of at most 32 bits ({})", names_of(is_real_32));
    case DTypeClass::integer:
      return "integers";
    case DTypeClass::boolean:
      return "bool";
    case DTypeClass::index:
      return "i32 indices";
    case DTypeClass::single:
      return "f32";
    case DTypeClass::weight:
      return fmt::format("a quantised dtype, or {}", names_of(beside_f64 ? is_real : is_real_32));
    case DTypeClass::cache:
      return fmt::format("q8_0, or {}", names_of(beside_f64 ? is_real : is_real_32));
    case DTypeClass::update:
      return std::string(to_string(is_quantised(operands[0].dtype) ? DType::f32 : operands[0].dtype));
    case DTypeClass::quantised:
      return "a quantised dtype";
    default:
      return std::string(to_string(dtypes));
  }
}

}  // namespace

std::string_view to_string(DTypeClass dtypes) { return class_names[static_cast<std::size_t>(dtypes)]; }

const DTypeRule* dtype_rule(Op op) {
  static const std::vector<const DTypeRule*> by_op = rules_by_op();
  return by_op[static_cast<std::size_t>(op)];
}

std::optional<DTypeFault> dtype_fault(const DTypeRule& rule, std::span<const Type> operands) {
  for (std::size_t i = 0; i < operands.size() && !rule.operands.empty(); ++i) {
    const DTypeClass dtypes = rule.operand(i);
    if (takes(dtypes, operands[i].dtype, operands)) continue;
    const std::string found = to_string(operands[i]);
    if (dtypes == DTypeClass::as_first || dtypes == DTypeClass::as_second) {
      const Type& other = operands[dtypes == DTypeClass::as_first ? 0 : 1];
      return DTypeFault{fmt::format("dtypes differ: {} and {}; cast one of them", to_string(other), found),
                        std::string(to_string(other.dtype)), found};
    }
    const std::string wanted = expected(dtypes, operands);
    if (is_quantised(operands[i].dtype) && (dtypes == DTypeClass::plain || dtypes == DTypeClass::number))
      return DTypeFault{fmt::format("operand {} is {}; quantised arrays can only be read by linear, expert_linear, "
                                    "attention, take and dequantise",
                                    i, found),
                        wanted, found};
    return DTypeFault{fmt::format("operand {} is {}, expected {}", i, found, wanted), wanted, found};
  }
  return std::nullopt;
}

DType result_dtype(DTypeClass result, std::span<const Type> operands) {
  switch (result) {
    case DTypeClass::as_first:
      return operands[0].dtype;
    case DTypeClass::as_second:
      return operands[1].dtype;
    case DTypeClass::boolean:
      return DType::bool_;
    case DTypeClass::index:
      return DType::i32;
    case DTypeClass::decoded:
      return is_quantised(operands[0].dtype) ? DType::f32 : operands[0].dtype;
    default:
      fail_internal("a result of dtype {}", to_string(result));
  }
}

}  // namespace lazuli
