// SPDX-License-Identifier: MIT
// A custom op as nodes hold it. custom_op.h says what such an op is.
#pragma once

#include <lazuli/graph/base/export.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace lazuli {

class CustomOp;

// A handle; copies share the op. Name and attributes are those the op had when the first handle was made.
class LAZULI_API CustomOpRef {
 public:
  CustomOpRef() = default;  // none
  // Throws an Error where there is no op, or where its name, attributes or row rule cannot be used (custom_op.h).
  // Defined there.
  template <class Derived>
    requires std::convertible_to<Derived*, const CustomOp*>
  CustomOpRef(std::shared_ptr<Derived> op);  // NOLINT(google-explicit-constructor): `custom(make_shared<Op>(), {x})`

  explicit operator bool() const { return checked_ != nullptr; }
  const CustomOp& operator*() const;  // there is one
  const CustomOp* operator->() const { return &**this; }
  std::string_view name() const;  // "custom" without an op
  std::string_view attributes() const;
  std::uint16_t name_number() const;  // as custom_name_number

  // One object, or interchangeable ones: of one class, with one name and equal attributes. An object with members and
  // no attributes is equal to itself alone.
  bool operator==(const CustomOpRef& other) const;
  // Appends a byte form, equal exactly where the ops are. It means something within the process only.
  void append_key(std::string& key) const;

 private:
  struct Checked;
  CustomOpRef(std::shared_ptr<const CustomOp> op, bool has_members);

  std::shared_ptr<const Checked> checked_;
};

// Names of custom ops as small numbers, for lists that name thousands of nodes; 0 stands for "custom". Names last as
// long as the process.
std::uint16_t custom_name_number(std::string_view name);
LAZULI_API std::string_view custom_name(std::uint16_t number);

}  // namespace lazuli
