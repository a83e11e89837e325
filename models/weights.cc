#include <lazuli/graph/ops.h>
#include <lazuli/models/checkpoint_folder.h>
#include <lazuli/models/gguf.h>
#include <lazuli/models/mlx_weights.h>
#include <lazuli/models/nvfp4_weights.h>
#include <lazuli/models/tensor_names.h>
#include <lazuli/models/weights.h>

#include <algorithm>

namespace lazuli {
namespace {

// Matrix i of a stack [n, rows, cols], on the same memory.
Array matrix_of_stack(const GgufTensor& stack, std::int64_t i, const std::string& name) {
  const std::size_t bytes = stack.bytes / static_cast<std::uint64_t>(stack.shape[0]);
  const std::size_t begin = static_cast<std::size_t>(i) * bytes;
  BufferRef part = Buffer::view(stack.buffer->data() + begin, bytes, stack.buffer,
                                [buffer = stack.buffer, begin](std::size_t offset, std::size_t count) {
                                  buffer->release_pages(begin + offset, count);
                                });
  if (!stack.buffer->origin().empty()) part->set_origin(fmt::format("{}+{}", stack.buffer->origin(), begin));
  return Array::constant(std::move(part), {stack.dtype, {stack.shape[1], stack.shape[2]}}, name);
}

}  // namespace

Weights Weights::from_gguf(const GgufFile& file) {
  Weights weights;
  weights.source_ = file.name();
  for (const GgufTensor& tensor : file.tensors()) {
    weights.add_to_hash(tensor.name, {tensor.dtype, tensor.shape}, tensor.buffer);
    const bool stacked = tensor.name == "altup_proj.weight" || tensor.name == "altup_unembd_proj.weight";
    if (stacked && tensor.shape.size() == 3) {
      for (std::int64_t i = 0; i < tensor.shape[0]; ++i) {
        const std::string name = fmt::format("{}.{}.weight", tensor.name.substr(0, tensor.name.rfind('.')), i);
        weights.tensors_.emplace(name, matrix_of_stack(tensor, i, name));
      }
    } else {
      weights.tensors_.emplace(tensor.name, Array::constant(tensor.buffer, {tensor.dtype, tensor.shape}, tensor.name));
    }
  }
  return weights;
}

Weights Weights::from_folder(const CheckpointFolder& folder) {
  Weights weights;
  weights.source_ = folder.path();
  const std::string type = folder.model_type();
  weights.norms_plus_one_ = type == "gemma3" || type == "gemma3_text";

  const std::map<std::string, Array> tensors = folder.read_tensors();
  std::vector<std::string> names;
  for (const auto& [name, array] : tensors) names.push_back(name);
  const std::optional<std::string> prefix = text_prefix(names);
  if (!prefix)
    fail("{}: no tensor is an embedding; expected embed_tokens.weight, whatever stands before it", folder.path());

  std::map<std::string, ModuleTensors> modules;
  for (const auto& [name, array] : tensors) {
    if (is_other_modality(name)) {
      ++weights.skipped_;
      continue;
    }
    weights.add_to_hash(name, array.type(), source_of(array));
    if (const auto canonical = canonical_name(name, *prefix)) {
      ModuleTensors& module = modules[canonical->module];
      module.canonical = canonical->module;
      if (name.ends_with('.' + canonical->leaf))
        module.published = name.substr(0, name.size() - canonical->leaf.size() - 1);
      module.parts.emplace(canonical->leaf, array);
    } else {
      weights.tensors_.emplace(name, array);  // for `report` to name
    }
  }
  for (const auto& [name, module] : modules)
    weights.add_module(module, mlx_group_size(folder.config(), module.published));
  return weights;
}

// FNV-1a, 64 bits (Fowler, Noll and Vo). Reads one page of each tensor, of which most will be read whole later.
void Weights::add_to_hash(const std::string& name, const Type& type, const BufferRef& data) {
  constexpr std::size_t most_bytes = 64;
  auto add = [&](const void* bytes, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      hash_ = (hash_ ^ static_cast<const unsigned char*>(bytes)[i]) * 0x100000001b3u;
  };
  const std::string text = name + to_string(type);
  add(text.data(), text.size());
  add(data->data(), std::min(data->size(), most_bytes));
}

void Weights::add_module(const ModuleTensors& module, std::int64_t group) {
  // Scales of activations and caches, which this library quantises in its own way.
  static constexpr std::string_view unused[] = {"input_scale", "input_global_scale", "k_scale", "v_scale"};
  bool plain = true, mlx = false;
  for (const auto& [leaf, array] : module.parts) {
    if (leaf == "scale") tensors_.emplace(module.canonical + ".scale", array);
    if (leaf == "scale" || std::ranges::find(unused, leaf) != std::end(unused)) continue;
    plain = plain && leaf == "weight" && is_real(array.dtype());
    mlx = mlx || leaf == "scales";
  }
  const std::string name = module.canonical + ".weight";
  try {
    const auto weight = module.parts.find("weight");
    if (!plain)
      tensors_.emplace(name, mlx ? make_mlx_weight(module, group) : make_modelopt_weight(module));
    else if (weight != module.parts.end())
      tensors_.emplace(name, weight->second);
  } catch (const Error& error) {
    problems_.push_back(error.what());
    unreadable_.insert(name);
  }
}

Array Weights::take(const std::string& name, const Shape& shape) {
  const auto found = tensors_.find(name);
  if (unreadable_.contains(name)) return placeholder({DType::f32, shape}, name);
  if (found == tensors_.end()) {
    problems_.push_back(fmt::format("tensor {} is missing; expected {}", name, to_string(shape)));
    return placeholder({DType::f32, shape}, name);
  }
  taken_.insert(name);
  if (found->second.shape() != shape) {
    problems_.push_back(
        fmt::format("tensor {} is {}; expected {}", name, to_string(found->second.type()), to_string(shape)));
    return placeholder({DType::f32, shape}, name);
  }
  return found->second;
}

Array Weights::take_f32(const std::string& name, const Shape& shape) {
  const Array weight = take(name, shape);
  if (weight.dtype() == DType::f32) return weight;
  if (is_real(weight.dtype())) return cast(weight, DType::f32);
  problems_.push_back(fmt::format("tensor {} is {}; expected f32, f16 or bf16", name, to_string(weight.type())));
  return placeholder({DType::f32, shape}, name);
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
