// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/json_text.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/text/markers.h>
#include <lazuli/models/text/tokenizer_json.h>

#include <algorithm>
#include <deque>
#include <map>

namespace lazuli {
namespace {

using nlohmann::json;

constexpr const char* file_name = "tokenizer.json";
constexpr std::size_t max_tokens = std::size_t{1} << 24;
// Ids may be left out, as many as this: a few bytes of a file that name a large one must not ask for a table up to it.
constexpr std::size_t max_absent_tokens = std::size_t{1} << 16;

// End of turn of Gemma 3 and 3n, of Gemma 4, and Gemma 4's request for a tool's response. Some folders list only <eos>.
constexpr std::string_view end_texts[] = {"<end_of_turn>", "<turn|>", "<|tool_response>"};

// Keeps the strings that a Vocabulary views; a deque never moves them.
class VocabularyReader {
 public:
  explicit VocabularyReader(std::string path) : path_(std::move(path)) {}

  void read_model(const json& model) {
    const auto& vocabulary = object(model, "vocab", json::value_t::object);
    tokens_.order = MergeOrder::ranks;
    add_room(vocabulary.size());
    for (const auto& [text, id] : vocabulary.items()) set(id, text, TokenType::normal);
    for (const json& merge : object(model, "merges", json::value_t::array)) add_merge(merge);
    tokens_.fuse_unknown = json_flag(model, "fuse_unk", false);
    if (const auto unknown = model.find("unk_token"); unknown != model.end() && unknown->is_string()) {
      tokens_.unknown = find(unknown->get<std::string>());
      if (tokens_.unknown) tokens_.types[index(*tokens_.unknown)] = TokenType::unknown;
    }
  }

  void read_added_tokens(const json& added) {
    add_room(added.size());
    std::size_t number = 0;
    for (const json& token : added) {
      if (!token.is_object() || !token.contains("id") || !token.contains("content") || !token["content"].is_string())
        fail_file("{}: added_tokens[{}]: {} has no id and content", path_, number, json_text(token));
      ++number;
      const auto text = token["content"].get<std::string>();
      const bool special = json_flag(token, "special", false);
      set(token["id"], text, special ? TokenType::control : type_of_text(text));
      added_[token["id"].get<std::int32_t>()] = {.id = 0,
                                                 .special = special,
                                                 .lstrip = json_flag(token, "lstrip", false),
                                                 .rstrip = json_flag(token, "rstrip", false),
                                                 .single_word = json_flag(token, "single_word", false),
                                                 .normalized = json_flag(token, "normalized", !special)};
    }
    if (tokens_.unknown) tokens_.types[index(*tokens_.unknown)] = TokenType::unknown;
  }

  std::optional<std::int32_t> find(std::string_view text) const {
    const auto found = std::ranges::find(tokens_.texts, text);
    return found == tokens_.texts.end() ? std::nullopt
                                        : std::optional(static_cast<std::int32_t>(found - tokens_.texts.begin()));
  }

  std::optional<std::int32_t> token_or_note(std::string_view key, std::int64_t id) {
    return lazuli::token_or_note(tokens_, key, id);
  }

  void set_ends(std::vector<std::int32_t> ends) {
    if (!ends.empty()) tokens_.eos = ends.front();
    for (const std::string_view text : end_texts)
      if (const auto id = find(text)) {
        ends.push_back(*id);
        tokens_.types[index(*id)] = TokenType::control;  // raw text must not be able to end a turn
      }
    tokens_.end_of_generation = std::move(ends);
  }

  void set_suppressed(std::vector<std::int32_t> ids) { tokens_.suppressed = std::move(ids); }

  void set_bos(std::optional<std::int32_t> bos) { tokens_.bos = bos; }

  Vocabulary finish() {
    restore_markers(tokens_);
    // Control tokens are special, whatever the list of added tokens says or leaves out.
    for (std::size_t id = 0; id < tokens_.texts.size(); ++id)
      if (tokens_.types[id] == TokenType::control || tokens_.types[id] == TokenType::unknown)
        added_[static_cast<std::int32_t>(id)].special = true;
    tokens_.added.emplace();
    for (auto& [id, token] : added_) {
      token.id = id;
      tokens_.added->push_back(token);
    }
    tokens_.owner = strings_;
    return std::move(tokens_);
  }

 private:
  static std::size_t index(std::int32_t id) { return static_cast<std::size_t>(id); }

  // Runs of spaces are added tokens too, written with U+2581. Raw text never holds them so; merges make them.
  static TokenType type_of_text(std::string_view text) {
    return text.find("\xe2\x96\x81") == text.npos ? TokenType::user_defined : TokenType::normal;
  }

  const json& object(const json& parent, const char* key, json::value_t type) const {
    const auto found = parent.find(key);
    if (found == parent.end() || found->type() != type)
      fail_file("{}: model.{} is missing or of another type", path_, key);
    return *found;
  }

  std::string_view keep(std::string text) { return strings_->emplace_back(std::move(text)); }

  void add_room(std::size_t tokens) { room_ = std::min(room_ + tokens, max_tokens); }

  void set(const json& id, const std::string& text, TokenType type) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= max_tokens)
      fail_file("{}: token \"{}\" has the id {}, expected 0 to 2^24", path_, printable(text), json_text(id));
    if (id.get<std::uint64_t>() >= room_)
      fail_file("{}: token \"{}\" has the id {}, expected less than {}: no more than {} ids are left out", path_,
                printable(text), json_text(id), room_, max_absent_tokens);
    const auto at = id.get<std::size_t>();
    if (at >= tokens_.texts.size()) {
      tokens_.texts.resize(at + 1);
      tokens_.types.resize(at + 1, TokenType::unused);
    }
    if (tokens_.texts[at] != text) tokens_.texts[at] = keep(text);
    tokens_.types[at] = type;
  }

  void add_merge(const json& merge) {
    if (merge.is_string()) {
      tokens_.merges.push_back(keep(merge.get<std::string>()));
      return;
    }
    if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string())
      fail_file("{}: model.merges[{}]: found {}, expected \"a b\" or [\"a\", \"b\"]", path_, tokens_.merges.size(),
                json_text(merge));
    const auto left = merge[0].get<std::string>();
    // Merges are split at the first space behind byte 0, and normalised text holds no spaces.
    if (left.find(' ', 1) != left.npos) fail_file("{}: model.merges: {} holds a space", path_, printable(left));
    tokens_.merges.push_back(keep(left + ' ' + merge[1].get<std::string>()));
  }

  std::string path_;
  Vocabulary tokens_;
  std::size_t room_ = max_absent_tokens;  // ids are below it
  std::map<std::int32_t, AddedToken> added_;
  std::shared_ptr<std::deque<std::string>> strings_ = std::make_shared<std::deque<std::string>>();
};

// The text of a special token of tokenizer_config.json, which is a string or an object with "content".
std::optional<std::string> special_text(const CheckpointFolder& folder, const char* key) {
  if (!folder.has_file("tokenizer_config.json")) return std::nullopt;
  const json config = read_json(folder.file("tokenizer_config.json"));
  const auto found = config.is_object() ? config.find(key) : config.end();
  if (found == config.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && (*found)["content"].is_string())
    return (*found)["content"].get<std::string>();
  return std::nullopt;
}

// Gemma expects bos although some of its files say add_bos_token: false, or name none.
std::optional<std::int32_t> find_bos(const CheckpointFolder& folder, VocabularyReader& reader) {
  if (const auto text = special_text(folder, "bos_token"))
    if (const auto id = reader.find(*text)) return id;
  for (const std::int64_t id : folder.token_ids("bos_token_id"))
    if (const auto bos = reader.token_or_note("bos_token_id", id)) return bos;
  return reader.find("<bos>");
}

}  // namespace

std::shared_ptr<const Tokenizer> read_tokenizer_json(const CheckpointFolder& folder) {
  if (!folder.has_file(file_name)) return nullptr;
  const std::string path = folder.file(file_name);
  const json tokenizer = read_json(path);
  const auto model = tokenizer.is_object() ? tokenizer.find("model") : tokenizer.end();
  if (model == tokenizer.end() || !model->is_object()) fail_file("{}: model is missing", path);
  if (model->contains("type") && (*model)["type"] != "BPE")
    fail_file("{}: model.type is {}, expected BPE", path, json_text((*model)["type"]));

  VocabularyReader reader(path);
  reader.read_model(*model);
  if (const auto added = tokenizer.find("added_tokens"); added != tokenizer.end() && added->is_array())
    reader.read_added_tokens(*added);
  std::vector<std::int32_t> ends;
  for (const std::int64_t id : folder.token_ids("eos_token_id"))
    if (const auto end = reader.token_or_note("eos_token_id", id)) ends.push_back(*end);
  if (const auto text = special_text(folder, "eos_token"))
    if (const auto id = reader.find(*text)) ends.push_back(*id);
  reader.set_ends(std::move(ends));
  reader.set_suppressed(folder.suppressed_ids());
  reader.set_bos(find_bos(folder, reader));
  return std::make_shared<const Tokenizer>(reader.finish());
}

}  // namespace lazuli
