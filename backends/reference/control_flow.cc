// SPDX-License-Identifier: MIT
// Loops and branches: bodies are interpreted, one iteration after the other.
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/graph/run_limits.h>

#include <algorithm>
#include <utility>

namespace lazuli::reference {
namespace {

thread_local const RunLimits* limits_of_run = nullptr;

void throw_if_reached() {
  const std::optional<ErrorKind> reached = limits_of_run ? limits_of_run->reached() : std::nullopt;
  if (!reached) return;
  throw ExecutionError(*reached == ErrorKind::cancelled ? "the run was cancelled" : "the run is past its deadline",
                       {.kind = *reached});
}

void copy(const Tensor& from, const Tensor& to) { std::copy_n(from.data, from.type->bytes(), to.data); }

// Arrays of the types, and the memory they lie in.
class Values {
 public:
  explicit Values(std::span<const Tensor> like) {
    for (const Tensor& tensor : like) {
      memory_.push_back(Buffer::allocate(static_cast<std::size_t>(tensor.type->bytes())));
      tensors_.push_back({tensor.type, memory_.back()->data()});
    }
  }

  std::vector<Tensor>& tensors() { return tensors_; }

 private:
  std::vector<BufferRef> memory_;
  std::vector<Tensor> tensors_;
};

// Element t of arrays that go along axis 0, as the body has them: input or output i of it.
Tensor element(const Type& type, const Tensor& sequence, std::int64_t t) {
  return {&type, sequence.data + t * type.bytes()};
}

bool holds(const Graph& condition, std::span<const Tensor> operands) {
  bool flag = false;
  const Tensor result{&condition.type(condition.outputs[0]), reinterpret_cast<std::byte*>(&flag)};
  interpret(condition, operands, {&result, 1}, {});
  return flag;
}

}  // namespace

LimitedRun::LimitedRun(const RunLimits* limits) : before_(std::exchange(limits_of_run, limits)) {}
LimitedRun::~LimitedRun() { limits_of_run = before_; }

void scan(const Call& call) {
  const auto& attrs = call.as<ScanAttrs>();
  const Graph& body = *attrs.body;
  const std::vector<ValueId> inputs = body.inputs();
  const auto carries = static_cast<std::size_t>(attrs.carries), sequences = static_cast<std::size_t>(attrs.sequences);
  Values before(call.operands.first(carries)), after(call.operands.first(carries));
  for (std::size_t i = 0; i < carries; ++i) copy(call.operand(i), before.tensors()[i]);
  std::vector<Tensor> operands(call.operands.begin(), call.operands.end());
  for (std::int64_t step = 0; step < attrs.length; ++step) {
    throw_if_reached();
    const std::int64_t t = attrs.reverse ? attrs.length - 1 - step : step;
    std::copy(before.tensors().begin(), before.tensors().end(), operands.begin());
    for (std::size_t i = carries; i < carries + sequences; ++i)
      operands[i] = element(body.type(inputs[i]), call.operand(i), t);
    std::vector<Tensor> results = after.tensors();
    for (std::size_t i = carries; i < call.results.size(); ++i)
      results.push_back(element(body.type(body.outputs[i]), call.result(i), t));
    interpret(body, operands, results, {});
    std::swap(before.tensors(), after.tensors());
  }
  for (std::size_t i = 0; i < carries; ++i) copy(before.tensors()[i], call.result(i));
}

void while_loop(const Call& call) {
  const auto& attrs = call.as<WhileAttrs>();
  const auto carries = static_cast<std::size_t>(attrs.carries);
  Values before(call.operands.first(carries)), after(call.operands.first(carries));
  for (std::size_t i = 0; i < carries; ++i) copy(call.operand(i), before.tensors()[i]);
  std::vector<Tensor> operands(call.operands.begin(), call.operands.end());
  for (;;) {
    throw_if_reached();
    std::copy(before.tensors().begin(), before.tensors().end(), operands.begin());
    if (!holds(*attrs.condition, operands)) break;
    interpret(*attrs.body, operands, after.tensors(), {});
    std::swap(before.tensors(), after.tensors());
  }
  for (std::size_t i = 0; i < carries; ++i) copy(before.tensors()[i], call.result(i));
}

void cond(const Call& call) {
  const auto& attrs = call.as<CondAttrs>();
  const bool chosen = call.operand(0).integer(0) != 0;
  interpret(chosen ? *attrs.then_body : *attrs.else_body, call.operands.subspan(1), call.results, {});
}

}  // namespace lazuli::reference
