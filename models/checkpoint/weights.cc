// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/hash.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/checkpoint/mlx_weights.h>
#include <lazuli/models/checkpoint/nvfp4_weights.h>
#include <lazuli/models/checkpoint/tensor_names.h>
#include <lazuli/models/checkpoint/weights.h>
#include <lazuli/models/model.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

namespace lazuli {
namespace {

// Matrix i of a stack [n, rows, cols], on the same memory.
Array matrix_of_stack(const Array& stack, std::int64_t i, const std::string& name) {
  const BufferRef whole = memory_of(stack);
  const Type type{stack.dtype(), {stack.size(1), stack.size(2)}};
  const auto bytes = static_cast<std::size_t>(type.bytes()), begin = static_cast<std::size_t>(i) * bytes;
  BufferRef part = Buffer::view(
      whole->data() + begin, bytes, whole,
      [whole, begin](std::size_t offset, std::size_t count) { whole->release_pages(begin + offset, count); });
  if (!whole->origin().empty()) part->set_origin(fmt::format("{}+{}", whole->origin(), begin));
  if (const auto* file = whole->file()) part->set_file(file->path, file->offset + begin);
  return Array::constant(std::move(part), type, name);
}

// Vision and audio parts that some converters put into the same file.
bool is_other_modality_of_gguf(const std::string& name) {
  return name.starts_with("v.") || name.starts_with("a.") || name.starts_with("mm.");
}

std::int64_t bytes_of_files(const CheckpointFolder& folder,
                            const std::map<std::string, CheckpointFolder::StoredTensor>& tensors) {
  std::set<std::string> files;
  for (const auto& [name, tensor] : tensors) files.insert(tensor.file);
  std::int64_t total = 0;
  std::error_code error;
  for (const std::string& file : files)
    if (const std::uintmax_t bytes = std::filesystem::file_size(folder.file(file), error); !error)
      total += static_cast<std::int64_t>(bytes);
  return total;
}

bool is_plain_weight(DType dtype) { return is_real(dtype) && dtype != DType::f64; }
bool can_multiply(DType dtype) { return is_plain_weight(dtype) || is_quantised(dtype); }

std::uint64_t hash_of(const std::vector<std::pair<std::string, BufferRef>>& tensors) {
  constexpr std::size_t max_bytes = 64;
  std::uint64_t hash = fnv1a_start;
  for (const auto& [name, stored] : tensors) {
    hash = fnv1a(name, hash);
    hash = fnv1a({reinterpret_cast<const char*>(stored->data()), std::min(stored->size(), max_bytes)}, hash);
  }
  return hash;
}

}  // namespace

void Weights::add(const std::string& name, Stored stored) {
  const auto [known, is_new] = tensors_.try_emplace(name, std::move(stored));  // which leaves what it does not use
  if (!is_new)
    problems_.push_back(fmt::format("tensor {}: found beside {}, expected one of them ({})", stored.name,
                                    known->second.name, stored.where));
}

Weights Weights::from_gguf(const GgufFile& file) {
  Weights weights;
  weights.source_ = file.name();
  weights.file_bytes_ = static_cast<std::int64_t>(file.bytes());
  const bool split = file.part_names().size() > 1;
  auto place = [&](std::size_t part, std::uint64_t byte) {
    const std::string where = fmt::format("byte {}", grouped(byte));
    return split ? std::filesystem::path(file.part_names()[part]).filename().string() + ", " + where : where;
  };
  for (const GgufTensor& tensor : file.tensors()) {
    weights.published_.emplace_back(tensor.name + to_string(Type{tensor.dtype, tensor.shape}), tensor.buffer);
    const std::string where = place(tensor.part, tensor.offset);
    if (is_other_modality_of_gguf(tensor.name)) {
      ++weights.skipped_;
    } else {
      const Type type{tensor.dtype, tensor.shape};
      weights.add(tensor.name, {.array = Array::constant(tensor.buffer, type, tensor.name),
                                .name = tensor.name,
                                .where = where,
                                .found = {},
                                .flaw = {},
                                .shape = tensor.shape});
    }
  }
  for (const GgufUnsupportedTensor& tensor : file.unsupported_tensors()) {
    if (is_other_modality_of_gguf(tensor.name))
      ++weights.skipped_;
    else
      weights.add(tensor.name, {.array = Array(),
                                .name = tensor.name,
                                .where = place(tensor.part, tensor.entry),
                                .found = tensor.type + to_string(tensor.shape),
                                .flaw = {},
                                .shape = tensor.shape});
  }
  return weights;
}

Weights Weights::recorder(std::vector<TensorRequest>& requests, std::vector<std::string> absent) {
  Weights weights;
  weights.requests_ = &requests;
  weights.absent_ = std::move(absent);
  return weights;
}

Weights Weights::from_folder(const CheckpointFolder& folder) {
  Weights weights;
  weights.source_ = folder.path();

  const std::map<std::string, CheckpointFolder::StoredTensor> tensors = folder.list_tensors(&weights.notes_);
  weights.file_bytes_ = bytes_of_files(folder, tensors);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  weights.prefix_ = text_prefix(names);
  if (!weights.prefix_)
    fail_file(
        "{}: no tensor is an embedding or part of a layer; expected embed_tokens.weight, whatever stands before it",
        folder.path());

  struct Module {
    ModuleTensors tensors;
    std::string file;
  };
  std::map<std::string, Module> modules;
  for (const auto& [name, tensor] : tensors) {
    const auto canonical = canonical_name(name, *weights.prefix_);
    if (tensor.array.defined() && !is_other_modality(name))
      weights.published_.emplace_back(name + to_string(tensor.array.type()), memory_of(tensor.array));
    if (is_other_modality(name)) {
      ++weights.skipped_;
    } else if (!tensor.array.defined() && tensor.found.empty()) {
      weights.problems_.push_back(
          fmt::format("tensor {}: missing, expected in {} as the index says", name, tensor.file));
      if (canonical) weights.add(canonical->canonical(), {Array(), name, tensor.file});
    } else if (!canonical || !tensor.array.defined()) {
      weights.add(canonical ? canonical->module + ".weight" : name, {tensor.array, name, tensor.file, tensor.found});
    } else {
      Module& module = modules[canonical->module];
      module.file = tensor.file;
      module.tensors.file = folder.file(tensor.file);
      module.tensors.canonical = canonical->module;
      module.tensors.published =
          name.ends_with('.' + canonical->leaf) ? name.substr(0, name.size() - canonical->leaf.size() - 1) : name;
      if (!module.tensors.parts.emplace(canonical->leaf, tensor.array).second)
        weights.problems_.push_back(
            fmt::format("tensor {}: found in {} beside another of the same meaning", name, tensor.file));
    }
  }
  for (const auto& [name, module] : modules)
    weights.add_module(module.tensors, module.file, mlx_group_size(folder.config(), module.tensors.published));
  return weights;
}

void Weights::add_module(const ModuleTensors& module, const std::string& file, std::int64_t group) {
  // Scales of activations and caches, which this library quantises in its own way.
  static constexpr std::string_view unused[] = {"input_scale", "input_global_scale", "k_scale", "v_scale"};
  static constexpr std::string_view quantised[] = {
      "scales", "biases", "global_scale", "weight_packed", "weight_scale", "weight_scale_2", "weight_global_scale"};
  const auto is_in = [](const auto& list, const std::string& leaf) {
    return std::ranges::find(list, leaf) != std::end(list);
  };
  const auto weight = module.parts.find("weight");
  bool plain = weight != module.parts.end() && is_real(weight->second.dtype());
  std::vector<std::string> others;
  for (const auto& [leaf, array] : module.parts) {
    const std::string name = module.canonical + '.' + leaf;
    if (leaf == "scale")
      add(name, {array, published_name(name, *prefix_), file});
    else if (is_in(quantised, leaf))
      plain = false;
    else if (leaf != "weight" && !is_in(unused, leaf))
      others.push_back(leaf);
  }
  const std::string name = module.canonical + ".weight";
  if (tensors_.contains(name)) return;  // a part of it cannot be read
  const bool no_weight = others.empty() && std::ranges::all_of(module.parts, [&](const auto& part) {
                           return part.first == "scale" || is_in(unused, part.first);
                         });
  if (no_weight) return;
  Stored stored{Array(), published_name(name, *prefix_), file};
  try {
    stored.array = plain                             ? weight->second
                   : module.parts.contains("scales") ? make_mlx_weight(module, group)
                                                     : make_modelopt_weight(module);
    for (const std::string& leaf : others)  // biases of a projection, and other things no Gemma has
      add(module.canonical + '.' + leaf, {module.parts.at(leaf), module.published + '.' + leaf, file});
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::memory) throw;  // no flaw of the checkpoint
    stored.flaw = error.what();
  }
  add(name, std::move(stored));
}

void Weights::ignore(const std::string& name) {
  if (const auto found = tensors_.find(name); found != tensors_.end()) found->second.taken = true;
}

bool Weights::drop(const std::string& module) {
  return std::erase_if(tensors_, [&](const auto& entry) {
           if (!entry.first.starts_with(module + '.')) return false;
           // That it is not where an index says is no matter either.
           const std::string complaint = fmt::format("tensor {}:", entry.second.name);
           if (entry.second.is_absent())
             std::erase_if(problems_, [&](const std::string& problem) { return problem.starts_with(complaint); });
           return true;
         }) > 0;
}

std::int64_t Weights::rows_or(const std::string& name, std::int64_t otherwise) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end() || !found->second.array.defined() || found->second.array.shape().empty())
    return otherwise;
  return found->second.array.size(0);
}

Array Weights::refuse(const std::string& name, const Shape& shape, std::string problem) {
  if (std::ranges::find(problems_, problem) == problems_.end()) problems_.push_back(std::move(problem));
  return placeholder({DType::f32, shape}, name);
}

bool Weights::has(const std::string& name) const {
  if (requests_ == nullptr) return tensors_.contains(name);
  return std::ranges::none_of(absent_,
                              [&](const std::string& end) { return name == end || name.ends_with('.' + end); });
}

Array Weights::take(const std::string& name, const Shape& shape) {
  if (requests_ != nullptr) {
    requests_->push_back({name, shape});
    return placeholder({DType::f32, shape}, name);
  }
  const auto found = tensors_.find(name);
  if (found == tensors_.end())
    return refuse(name, shape,
                  fmt::format("tensor {}: missing, expected {}", prefix_ ? published_name(name, *prefix_) : name,
                              to_string(shape)));
  Stored& stored = found->second;
  stored.taken = true;
  const Array& array = stored.array;
  if (!stored.flaw.empty()) return refuse(name, shape, fmt::format("{} ({})", stored.flaw, stored.where));
  if (stored.is_absent()) return placeholder({DType::f32, shape}, name);  // as the index's complaint says already
  const std::string type = array.defined() ? to_string(array.type()) : stored.found;
  if (!array.defined() || !can_multiply(array.dtype()))
    return refuse(name, shape,
                  fmt::format("tensor {}: found {}, expected {} in a supported type ({})", stored.name, type,
                              to_string(shape), stored.where));
  if (array.shape() != shape)
    return refuse(
        name, shape,
        fmt::format("tensor {}: found {}, expected {} ({})", stored.name, type, to_string(shape), stored.where));
  return array;
}

Array Weights::take_f32(const std::string& name, const Shape& shape) {
  Array weight = take(name, shape);
  if (weight.dtype() == DType::f32) return weight;
  if (is_real(weight.dtype())) return cast(weight, DType::f32);
  const Stored& stored = tensors_.at(name);
  return refuse(name, shape,
                fmt::format("tensor {}: found {}, expected {} of f32, f16 or bf16 ({})", stored.name,
                            to_string(weight.type()), to_string(shape), stored.where));
}

std::optional<Array> Weights::take_optional(const std::string& name, const Shape& shape) {
  if (!has(name)) return std::nullopt;
  return take(name, shape);
}

// Bounded, as each matrix becomes an entry, and a few bytes of a file can claim any number of them.
void Weights::split_stack(const std::string& module) {
  constexpr std::int64_t max_matrices = 64;
  const auto found = tensors_.find(module + ".weight");
  if (found == tensors_.end() || found->second.shape.size() != 3 || found->second.shape[0] > max_matrices) return;
  const Stored stack = found->second;
  tensors_.erase(found);
  for (std::int64_t i = 0; i < stack.shape[0]; ++i) {
    Stored matrix = stack;
    const std::string name = fmt::format("{}.{}.weight", module, i);
    if (stack.array.defined()) {
      matrix.array = matrix_of_stack(stack.array, i, name);
      matrix.name = fmt::format("{}[{}]", stack.name, i);
    }
    add(name, std::move(matrix));
  }
}

std::vector<Array> Weights::take_each(const std::string& module, std::int64_t count, const Shape& shape) {
  split_stack(module);
  std::vector<Array> matrices;
  for (std::int64_t i = 0; i < count; ++i) matrices.push_back(take(fmt::format("{}.{}.weight", module, i), shape));
  return matrices;
}

void Weights::report() const {
  constexpr std::size_t max_details = 20;
  std::vector<std::string> problems = problems_;
  for (const auto& [name, stored] : tensors_) {
    if (stored.taken || stored.is_absent()) continue;
    const std::string type = stored.array.defined() ? to_string(stored.array.type())
                             : stored.found.empty() ? "a quantised module"
                                                    : stored.found;
    problems.push_back(
        fmt::format("tensor {}: found {}, expected no such tensor ({})", stored.name, type, stored.where));
  }
  if (problems.empty()) return;
  if (problems.size() == 1) fail_file("{}: {}", source_, one_line(problems[0]));
  std::string text = fmt::format("{}: {} tensors do not fit the architecture", source_, problems.size());
  const std::size_t shown = problems.size() > max_details ? max_details - 1 : problems.size();
  for (std::size_t i = 0; i < shown; ++i) text += "\n  " + one_line(problems[i]);
  if (shown < problems.size()) text += fmt::format("\n  and {} more", problems.size() - shown);
  fail_file("{}", text);
}

void Weights::describe(ModelInfo& info, std::span<const Array> left_in_file) const {
  std::map<DType, TensorTotal> totals;
  info.parameters = info.weight_bytes = 0;
  for (const auto& [name, stored] : tensors_) {
    if (!stored.array.defined()) continue;  // ignored
    const Type type = stored.array.type();
    TensorTotal& total = totals[type.dtype];
    total.dtype = type.dtype;
    ++total.tensors;
    total.elements += type.elements();
    total.bytes += type.bytes();
    info.parameters += type.elements();
    info.weight_bytes += type.bytes();
  }
  info.laid_out_parameters = info.parameters;
  info.laid_out_bytes = info.weight_bytes;
  for (const Array& tensor : left_in_file) {
    info.laid_out_parameters -= tensor.type().elements();
    info.laid_out_bytes -= tensor.type().bytes();
  }
  info.file_bytes = file_bytes_;
  info.hash_weights = [published = published_] { return hash_of(published); };
  for (const auto& [dtype, total] : totals) info.tensors.push_back(total);
}

}  // namespace lazuli
