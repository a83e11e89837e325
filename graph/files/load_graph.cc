// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/files/graph_file_format.h>
#include <lazuli/graph/files/join_path.h>
#include <lazuli/graph/files/mapped_file.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>
#include <tuple>

namespace lazuli {
namespace {

using namespace graph_file;

struct Loaded {
  Graph graph;
  std::vector<int> donated;
};

class Reader {
 public:
  Reader(const std::filesystem::path& path, const ParseOptions& options)
      : path_(path.string()), folder_(path.parent_path()), options_(options) {}

  Loaded read() {
    std::vector<UnsupportedTensor> unsupported;  // a later format may have others, and is to be named first
    tensors_ = read_safetensors(path_, &metadata_, &unsupported);
    check_format();
    if (!unsupported.empty())
      fail("{}: tensor {}: dtype {} is not supported", path_, printable(unsupported[0].name),
           printable(unsupported[0].dtype));
    Loaded loaded{read_graph(), {}};
    read_constants(loaded.graph);
    try {
      verify(loaded.graph, "reading it");
    } catch (const CompileError& error) {
      fail("{}: the graph is not valid: {}", path_, error.what());
    }
    loaded.donated = read_donated(loaded.graph.inputs().size());
    return loaded;
  }

 private:
  const std::string& metadata(const char* key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) fail("{}: its metadata has no {}; expected a graph file", path_, key);
    return found->second;
  }

  template <class T>
  static std::optional<T> number(std::string_view text, int base = 10) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
  }

  void check_format() const {
    const std::string& text = metadata(format_key);
    const std::optional<int> version = number<int>(text);
    if (!version || *version < 1) fail("{}: {} is {}, expected a version", path_, format_key, printable(text));
    if (*version > format)
      fail("{}: written by a later version: format {}, this lazuli reads up to {}", path_, *version, format);
  }

  Graph read_graph() const {
    const std::string& text = metadata(graph_key);
    Graph graph;
    try {
      graph = parse_graph(text, options_);
    } catch (const Error& error) {
      fail("{}: {}: {}", path_, graph_key, printable(error.what()));
    }
    for (const GraphNode& node : graph.nodes) refuse_constants_in_bodies(node);
    return graph;
  }

  void refuse_constants_in_bodies(const GraphNode& owner) const {
    for (const NamedBody& body : bodies_of(owner))
      for (const GraphNode& node : body.graph->nodes) {
        if (node.op == Op::constant) fail("{}: the body of a {} node holds a constant", path_, to_string(owner.op));
        refuse_constants_in_bodies(node);
      }
  }

  void read_constants(Graph& graph) {
    const std::string& text = metadata(constants_key);
    const nlohmann::json entries = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!entries.is_array()) fail("{}: {} is no JSON list", path_, constants_key);
    std::size_t count = 0;
    for (GraphNode& node : graph.nodes) {
      if (node.op != Op::constant) continue;
      if (count == entries.size()) fail("{}: {} has {} entries, the graph more constants", path_, constants_key, count);
      read_constant(node, entries[count], count);
      ++count;
    }
    if (count != entries.size())
      fail("{}: {} has {} entries, expected {}", path_, constants_key, entries.size(), count);
  }

  void read_constant(GraphNode& node, const nlohmann::json& entry, std::size_t number) {
    const std::string where = fmt::format("{}: constant {}{}", path_, number,
                                          node.label.empty() ? "" : fmt::format(" '{}'", printable(node.label)));
    try {
      if (node.types.size() != 1) fail("{}: {} types, expected one", where, node.types.size());
      node.constant = entry.contains(tensor_field) ? tensor(entry, where) : referenced(entry, where);
    } catch (const nlohmann::json::exception&) {
      fail("{}: its entry in {} is not valid", where, constants_key);
    }
    if (const std::int64_t expected = node.type().bytes(); static_cast<std::int64_t>(node.constant->size()) != expected)
      fail("{}: {} bytes, expected {} of {}", where, node.constant->size(), expected, to_string(node.type()));
    align(node);
  }

  // Only a file that save() did not write holds elements at addresses that nobody may read them from.
  static void align(GraphNode& node) {
    constexpr unsigned most = 8;
    const auto block = static_cast<unsigned>(info(node.type().dtype).block_bytes);
    const unsigned alignment = std::min(block & -block, most);
    const Buffer& stored = *node.constant;
    if (reinterpret_cast<std::uintptr_t>(stored.data()) % alignment == 0) return;
    BufferRef copy = Buffer::allocate(stored.size());
    std::memcpy(copy->data(), stored.data(), stored.size());
    if (const Buffer::FilePlace* place = stored.file()) copy->set_file(place->path, place->offset);
    node.constant = std::move(copy);
  }

  BufferRef tensor(const nlohmann::json& entry, const std::string& where) const {
    const auto name = entry.at(tensor_field).get<std::string>();
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) fail("{}: the file has no tensor {}", where, printable(name));
    return found->second.result().buffer;
  }

  // Constants of one place share a buffer, as they did when they were written.
  BufferRef referenced(const nlohmann::json& entry, const std::string& where) {
    const auto name = entry.at(file_field).get<std::string>();
    const auto offset = unsigned_field(entry, offset_field), bytes = unsigned_field(entry, bytes_field);
    const auto file_bytes = unsigned_field(entry, file_bytes_field);
    const std::shared_ptr<const MappedFile> file = open(name, where);
    if (file->size() != file_bytes)
      fail("{}: {} has changed: {} bytes, expected {}", where, file->path(), file->size(), file_bytes);
    if (offset > file->size() || bytes > file->size() - offset)
      fail("{}: bytes {} to {} of {} lie behind its end at {}", where, offset, offset + bytes, file->path(),
           file->size());
    const auto hash = entry.at(hash_field).get<std::string>();
    const std::span<const std::byte> data = file->bytes().subspan(offset, bytes);
    if (number<std::uint64_t>(hash, 16) != hash_of_ends(data))
      fail("{}: {} has changed: the weight at byte {} has another hash", where, file->path(), offset);
    BufferRef& buffer = referenced_[{name, offset, bytes}];
    if (!buffer) {
      buffer = Buffer::view(
          data.data(), data.size(), file,
          [raw = file.get(), offset](std::size_t begin, std::size_t count) { raw->release(offset + begin, count); });
      buffer->set_origin(file->origin(offset));
      buffer->set_file(file->absolute_path(), offset);
    }
    return buffer;
  }

  static std::uint64_t unsigned_field(const nlohmann::json& entry, const char* field) {
    const nlohmann::json& value = entry.at(field);
    if (!value.is_number_unsigned()) throw nlohmann::json::type_error::create(302, "no size", &entry);
    return value.get<std::uint64_t>();
  }

  std::shared_ptr<const MappedFile> open(const std::string& name, const std::string& where) {
    std::shared_ptr<const MappedFile>& file = files_[name];
    if (file) return file;
    if (name.find('\0') != std::string::npos) fail("{}: {} is no name of a file", where, printable(name));
    try {
      return file = MappedFile::open(join_path(folder_, name).string());  // an absolute name stands for itself
    } catch (const Error& error) {
      fail("{}: its weights: {}", where, error.what());
    }
  }

  std::vector<int> read_donated(std::size_t inputs) const {
    std::vector<int> donated;
    const auto found = metadata_.find(donate_key);
    if (found == metadata_.end()) return donated;
    for (std::string_view rest = found->second;;) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      const std::optional<int> index = number<int>(rest.substr(0, comma));
      if (!index || *index < 0 || static_cast<std::size_t>(*index) >= inputs)
        fail("{}: {} is {}, expected numbers of the graph's {} inputs", path_, donate_key, printable(found->second),
             inputs);
      donated.push_back(*index);
      if (comma == rest.size()) return donated;
      rest.remove_prefix(comma + 1);
    }
  }

  std::string path_;
  std::filesystem::path folder_;
  const ParseOptions& options_;
  SafetensorsMetadata metadata_;
  std::map<std::string, Array> tensors_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
  std::map<std::tuple<std::string, std::uint64_t, std::uint64_t>, BufferRef> referenced_;
};

}  // namespace

CompiledFunction load(const std::filesystem::path& path, const ParseOptions& options) {
  Loaded loaded = Reader(path, options).read();
  return compile(std::move(loaded.graph), std::move(loaded.donated));
}

Graph load_graph(const std::filesystem::path& path, std::vector<int>* donated, const ParseOptions& options) {
  Loaded loaded = Reader(path, options).read();
  if (donated != nullptr) *donated = std::move(loaded.donated);
  return std::move(loaded.graph);
}

}  // namespace lazuli
