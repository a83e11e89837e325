#include <lazuli/models/gguf.h>
#include <lazuli/models/weights.h>

namespace lazuli {

Weights Weights::from_gguf(const GgufFile& file) {
  Weights weights;
  weights.source_ = file.name();
  for (const GgufTensor& tensor : file.tensors())
    weights.tensors_.emplace(tensor.name, Array::constant(tensor.buffer, {tensor.dtype, tensor.shape}, tensor.name));
  return weights;
}

Array Weights::take(const std::string& name, const Shape& shape) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    problems_.push_back(fmt::format("tensor {} is missing; expected {}", name, to_string(shape)));
    return placeholder({DType::f32, shape}, name);
  }
  taken_.insert(name);
  if (found->second.shape() != shape) {
    problems_.push_back(fmt::format("tensor {} is {}; expected {}", name, to_string(found->second.type()), to_string(shape)));
    return placeholder({found->second.dtype(), shape}, name);
  }
  return found->second;
}

std::optional<Array> Weights::take_optional(const std::string& name, const Shape& shape) {
  if (!has(name)) return std::nullopt;
  return take(name, shape);
}

void Weights::report() const {
  constexpr std::size_t most_details = 20;
  std::vector<std::string> problems = problems_;
  for (const auto& [name, array] : tensors_)
    if (!taken_.contains(name))
      problems.push_back(fmt::format("tensor {} {} is not part of this architecture", name, to_string(array.type())));
  if (problems.empty()) return;
  if (problems.size() == 1) fail("{}: {}", source_, problems[0]);
  std::string text = fmt::format("{}: {} tensors do not fit the architecture", source_, problems.size());
  for (std::size_t i = 0; i < std::min(problems.size(), most_details); ++i) text += "\n  " + problems[i];
  if (problems.size() > most_details) text += fmt::format("\n  and {} more", problems.size() - most_details);
  throw Error(text);
}

std::int64_t Weights::parameters() const {
  std::int64_t total = 0;
  for (const auto& [name, array] : tensors_) total += array.type().elements();
  return total;
}

std::int64_t Weights::bytes() const {
  std::int64_t total = 0;
  for (const auto& [name, array] : tensors_) total += array.type().bytes();
  return total;
}

}  // namespace lazuli
