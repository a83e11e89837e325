// SPDX-License-Identifier: MIT
// Ops of the caller's own. A custom op is an object that says what an op of ops.def says there: its name, its shape
// rule, how its rows depend on those of its operands, and its kernel, or its definition by other ops, or both. A node
// of it is one like any other: in text, pictures, profiles, verdicts and patterns it stands under its own name, passes
// narrow, merge and fold it, and its kernel divides over the threads.
//
// All member functions may be called by several threads at once, and must be pure: equal operands give equal results,
// bit for bit, and nothing else is seen of a call. How often one is called, for which rows and on which thread is up to
// lazuli. None may evaluate arrays on the session that calls it.
#pragma once

#include <lazuli/graph/array.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/graph/custom_op_ref.h>
#include <lazuli/graph/op.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <typeinfo>
#include <vector>

namespace lazuli {

// An operand or a result as a kernel finds it: dense, row-major, in its declared dtype. Memory of operands is not
// written to; no result lies where an operand does.
struct LAZULI_API CustomArray {
  const Type* type;
  std::byte* data;
};

// What one call of a kernel computes: rows [begin, end) of every result, and nothing else. A row is what lies along the
// last axis; rows are counted over all axes before it, row-major. Under RowRule::none all is one row: begin is 0,
// end 1.
class LAZULI_API CustomRows {
 public:
  CustomRows(std::span<const CustomArray> operands, std::span<const CustomArray> results, std::int64_t first,
             std::int64_t last)
      : begin(first), end(last), operands_(operands), results_(results) {}

  std::int64_t begin, end;

  std::size_t operands() const { return operands_.size(); }
  std::size_t results() const { return results_.size(); }
  const Type& operand_type(std::size_t i) const { return *operands_[i].type; }
  const Type& result_type(std::size_t i = 0) const { return *results_[i].type; }

  // All of an operand or result. T is the C++ type of its dtype (uint16_t for f16 and bf16), or std::byte for its
  // memory, which of quantised dtypes is blocks. Throws an Error for another type.
  template <class T>
  std::span<const T> operand(std::size_t i) const {
    return elements<const T>(operands_[i], 0, operand_type(i).elements());
  }
  template <class T>
  std::span<T> result(std::size_t i = 0) const {
    return elements<T>(results_[i], 0, result_type(i).elements());
  }
  // The row of operand i that belongs to `row` of the results: axes of size 1, and axes it lacks, serve every index, as
  // in broadcasting. It is as long as the operand's last axis, one element of a scalar. Throws an Error where its axes
  // do not broadcast to those of the results.
  template <class T>
  std::span<const T> operand_row(std::size_t i, std::int64_t row) const {
    const std::int64_t columns = columns_of(operand_type(i));
    return elements<const T>(operands_[i], operand_row_index(i, row) * columns, columns);
  }
  template <class T>
  std::span<T> result_row(std::size_t i, std::int64_t row) const {
    const std::int64_t columns = columns_of(result_type(i));
    return elements<T>(results_[i], row * columns, columns);
  }

 private:
  static std::int64_t columns_of(const Type& type) { return type.shape.empty() ? 1 : type.shape.back(); }
  std::int64_t operand_row_index(std::size_t i, std::int64_t row) const;

  template <class T>
  static std::span<T> elements(const CustomArray& array, std::int64_t first, std::int64_t count) {
    using Element = std::remove_const_t<T>;
    const DType dtype = array.type->dtype;
    T* data = reinterpret_cast<T*>(array.data + byte_size(dtype, first));
    if constexpr (std::is_same_v<Element, std::byte>) {
      return {data, static_cast<std::size_t>(byte_size(dtype, count))};
    } else {
      if (!detail::is_element<Element>(dtype)) detail::fail_element_type(*array.type, detail::element_name<Element>());
      return {data, static_cast<std::size_t>(count)};
    }
  }

  std::span<const CustomArray> operands_, results_;
};

class LAZULI_API CustomOp {
 public:
  CustomOp();
  CustomOp(const CustomOp&) : CustomOp() {}
  CustomOp& operator=(const CustomOp&) { return *this; }
  virtual ~CustomOp();

  // A letter or underscore, then letters, digits and underscores; no op of ops.def.
  virtual std::string name() const = 0;
  // The parameters, as text that is equal exactly where they are: "slope=0.5, low=-1". Printable ASCII without braces,
  // no space at either end. Part of equality and of the text form. An op with members that leaves this empty is equal
  // to no other object, so that a new one is a new program.
  virtual std::string attributes() const { return {}; }

  // The types of the results, 1 to 64. Throws an Error that says what was found and expected; lazuli puts the op's name
  // before it and the scope behind it.
  virtual std::vector<Type> infer(std::span<const Type> operands) const = 0;

  // How rows of the results depend on those of the operands. It divides the kernel over threads, joins it to neighbours
  // that divide alike, and narrows it to the rows that somebody asks for; infer() must take any number of rows.
  //   none     every row may depend on everything: one call computes all, on one thread
  //   leading  operand 0 and the results have the same axes but for the last; a row depends on that row of operand 0
  //   and
  //            on all of the others
  //   aligned  all results have the same axes but for the last, and those of every operand broadcast to them; a row
  //            depends on the rows that belong to it
  virtual RowRule rows() const { return RowRule::none; }

  // Whether compute() takes operands of these types. Where it does not, decompose() is what runs.
  virtual bool has_kernel([[maybe_unused]] std::span<const Type> operands) const { return true; }
  // Whatever it throws becomes an ExecutionError that names the node, for whoever waits for the results.
  virtual void compute(const CustomRows& rows) const;

  // The results by other ops, or nothing. Of arrays that are no operands it may read constants alone. What it gives is
  // optimised like the rest of the program; where there is a kernel as well the kernel runs, unless the choice
  // "composites" is off (SessionOptions::fusion "primitive", "all,-composites").
  virtual std::optional<std::vector<Array>> decompose(std::span<const Array> operands) const;

  // Arithmetic, for profiles and for whether dividing the work pays: one for each element of the results.
  virtual std::int64_t operations(std::span<const Type> operands, std::span<const Type> results) const;

  // Never reused within the process, unlike an address.
  std::uint64_t id() const { return id_; }

 private:
  std::uint64_t id_;
};

// A node of the op. Numbers among the operands are f32 or i32 scalars, they adapt to nothing. Throws at the caller's
// line, with the scope in the text: an Error where the operands do not fit, where infer() breaks its rules, and where
// the op has neither a kernel for these operands nor a decomposition.
LAZULI_API std::vector<Array> custom_results(const CustomOpRef& op, std::vector<Array> operands);
// Of an op with one result.
LAZULI_API Array custom(const CustomOpRef& op, std::vector<Array> operands);

// A class without members has the size of its base. What another class may hide behind the pointer counts as members.
template <class Derived>
  requires std::convertible_to<Derived*, const CustomOp*>
CustomOpRef::CustomOpRef(std::shared_ptr<Derived> op) {
  const CustomOp* object = op.get();
  const bool has_members = sizeof(Derived) > sizeof(CustomOp) || (object && typeid(*object) != typeid(Derived));
  *this = CustomOpRef(std::shared_ptr<const CustomOp>(std::move(op)), has_members);
}

}  // namespace lazuli
