// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/dimensions.h>
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/files/graph_file_format.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

namespace lazuli {
namespace {

using namespace graph_file;

// JSON holds UTF-8 and labels any bytes. Those beyond ASCII stand in quoted names alone, where escapes are read back.
std::string ascii_text(const Graph& graph) {
  std::string ascii;
  for (const char c : to_text(graph)) {
    if (const auto byte = static_cast<unsigned char>(c); byte < 0x80)
      ascii += c;
    else
      ascii += fmt::format("\\x{:02x}", byte);
  }
  return ascii;
}

// What is to be written: the metadata's list of constants, and the tensors in the order of their data.
class Contents {
 public:
  Contents(const Graph& graph, const std::filesystem::path& path, const SaveOptions& options)
      : path_(path.string()), options_(options) {
    std::error_code error;
    folder_ = std::filesystem::weakly_canonical(std::filesystem::absolute(path).parent_path(), error);
    if (error) folder_.clear();
    for (const GraphNode& node : graph.nodes)
      if (node.op == Op::constant)
        add(node);
      else
        refuse_constants_in_bodies(node);
  }

  const nlohmann::ordered_json& constants() const { return constants_; }
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  // Null: zeros.
  const std::vector<const Buffer*>& buffers() const { return buffers_; }

 private:
  void refuse_constants_in_bodies(const GraphNode& owner) const {
    for (const NamedBody& body : bodies_of(owner))
      for (const GraphNode& node : body.graph->nodes) {
        if (node.op == Op::constant)
          fail("{}: cannot save: the body of a {} node holds a constant", path_, to_string(owner.op));
        refuse_constants_in_bodies(node);
      }
  }

  void add(const GraphNode& node) {
    const Buffer* buffer = node.constant.get();
    if (buffer == nullptr)
      fail("{}: cannot save: constant {}{} holds no data", path_, to_string(node.type()),
           node.label.empty() ? "" : " '" + node.label + "'");
    // Constants of one buffer are one weight, also when they are read back.
    const auto known = entry_of_.find(buffer);
    if (known != entry_of_.end()) {
      constants_.push_back(known->second);
      return;
    }
    nlohmann::ordered_json entry =
        options_.weights == WeightStorage::by_reference && buffer->file() ? reference_to(*buffer) : stored(node);
    constants_.push_back(entry);
    entry_of_.emplace(buffer, std::move(entry));
  }

  nlohmann::ordered_json reference_to(const Buffer& buffer) const {
    const Buffer::FilePlace& place = *buffer.file();
    std::error_code error;
    const std::filesystem::path file = std::filesystem::canonical(place.path, error);
    if (error) fail("{}: cannot refer to the weights in {}: {}", path_, place.path, error.message());
    const std::uintmax_t file_bytes = std::filesystem::file_size(file, error);
    if (error) fail("{}: cannot refer to the weights in {}: {}", path_, place.path, error.message());
    const std::filesystem::path relative = folder_.empty() ? file : file.lexically_relative(folder_);
    return {{file_field, (relative.empty() ? file : relative).string()},
            {offset_field, place.offset},
            {bytes_field, buffer.size()},
            {file_bytes_field, file_bytes},
            {hash_field, fmt::format("{:016x}", hash_of_ends({buffer.data(), buffer.size()}))}};
  }

  nlohmann::ordered_json stored(const GraphNode& node) {
    Type type = node.type();
    if (!has_safetensors_name(type.dtype)) type = {DType::u8, {type.bytes()}};
    const std::string name = name_for(node.label);
    if (const std::int64_t rest = end_ % static_cast<std::int64_t>(buffer_alignment); rest != 0)
      place({fmt::format("lazuli.padding.{}", entries_.size()),
             {DType::u8, {static_cast<std::int64_t>(buffer_alignment) - rest}}},
            nullptr);
    place({name, std::move(type)}, node.constant.get());
    return {{tensor_field, name}};
  }

  void place(SafetensorsEntry entry, const Buffer* buffer) {
    end_ += entry.type.bytes();
    entries_.push_back(std::move(entry));
    buffers_.push_back(buffer);
  }

  // The label where it can be a name of its own.
  std::string name_for(const std::string& label) {
    const bool plain = !label.empty() && !label.starts_with("lazuli.") && !label.starts_with("__") &&
                       std::all_of(label.begin(), label.end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (plain && names_.insert(label).second) return label;
    for (std::size_t number = constants_.size();; ++number)
      if (std::string name = fmt::format("lazuli.constant.{}", number); names_.insert(name).second) return name;
  }

  std::string path_;
  SaveOptions options_;
  std::filesystem::path folder_;  // of the file, canonical; empty where it cannot be said
  nlohmann::ordered_json constants_ = nlohmann::ordered_json::array();
  std::map<const Buffer*, nlohmann::ordered_json> entry_of_;
  std::set<std::string> names_;
  std::vector<SafetensorsEntry> entries_;
  std::vector<const Buffer*> buffers_;
  std::int64_t end_ = 0;
};

void write(const Graph& graph, const std::vector<int>& donated, const std::filesystem::path& path,
           const SaveOptions& options) {
  verify(graph);
  OutputFile file(path.string());
  const Contents contents(graph, path, options);
  const bool has_names = !dimensions_of(graph).empty();
  SafetensorsMetadata metadata{{format_key, std::to_string(has_names ? format : format_without_names)},
                               {graph_key, ascii_text(graph)},
                               {constants_key, contents.constants().dump()}};
  if (!donated.empty()) metadata[donate_key] = fmt::format("{}", fmt::join(donated, ","));
  file.write(safetensors_header(contents.entries(), metadata, buffer_alignment));
  for (std::size_t i = 0; i < contents.entries().size(); ++i) {
    const auto bytes = static_cast<std::size_t>(contents.entries()[i].type.bytes());
    if (const Buffer* buffer = contents.buffers()[i]; buffer == nullptr) {
      file.write(std::string(bytes, '\0'));
    } else {
      file.write(buffer->data(), bytes);
      // Mapped pages are read again where they are needed. What is derived is left: another session may be reading it.
      if (!buffer->is_derived()) buffer->release_pages();
    }
  }
  file.commit();
}

}  // namespace

void save(const Graph& graph, const std::filesystem::path& path, const SaveOptions& options) {
  write(graph, {}, path, options);
}

void save(const CompiledFunction& function, const std::vector<Array>& example_arguments,
          const std::filesystem::path& path, const SaveOptions& options) {
  write(function.graph(example_arguments), function.donated(example_arguments), path, options);
}

}  // namespace lazuli
