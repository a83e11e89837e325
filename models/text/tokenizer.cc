// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/text/markers.h>
#include <lazuli/models/text/special_tokens.h>
#include <lazuli/models/text/tokenizer.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

namespace lazuli {
namespace {

constexpr std::string_view escaped_space = "\xe2\x96\x81";    // U+2581
constexpr std::size_t max_text_bytes = std::size_t{1} << 29;  // escaping triples it at most; positions are 32 bits
constexpr std::size_t max_merges = std::size_t{1} << 24;      // ranks are compared as f32
constexpr std::int32_t none = -1;

std::size_t hash_of(std::string_view text) { return std::hash<std::string_view>{}(text); }

// Open addressing over indices: entries are compared through the caller's list, so that a quarter of a million strings
// need one allocation.
class HashIndex {
 public:
  explicit HashIndex(std::size_t entries) : slots_(std::bit_ceil(entries + entries / 2 + 1)) {}

  // `same(index)` says whether the entry already stored equals the new one, which then takes its place.
  template <class Same>
  void insert_or_replace(std::size_t hash, std::int32_t index, Same same) {
    slot(hash, same) = {static_cast<std::uint32_t>(hash >> 32), index};
  }
  template <class Same>
  void insert_if_absent(std::size_t hash, std::int32_t index, Same same) {
    Slot& at = slot(hash, same);
    if (at.index == none) at = {static_cast<std::uint32_t>(hash >> 32), index};
  }
  template <class Same>
  std::int32_t find(std::size_t hash, Same same) const {
    return const_cast<HashIndex*>(this)->slot(hash, same).index;
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;  // the hash's upper half: most collisions end here, without touching the strings
    std::int32_t index = none;
  };

  // The entry's slot, or the empty one where it belongs.
  template <class Same>
  Slot& slot(std::size_t hash, Same same) {
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      Slot& candidate = slots_[at];
      if (candidate.index == none || (candidate.tag == tag && same(candidate.index))) return candidate;
    }
  }

  std::vector<Slot> slots_;  // at most two thirds full, so that every probe ends
};

// The number NN of a byte token's text <0xNN>.
std::optional<std::uint8_t> byte_of(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  constexpr std::string_view digits = "0123456789ABCDEF";
  const std::size_t high = digits.find(text[3]), low = digits.find(text[4]);
  if (high == digits.npos || low == digits.npos) return std::nullopt;
  return static_cast<std::uint8_t>(high * 16 + low);
}

// Bytes of a lead byte's whole sequence; 1 for bytes that start none.
std::size_t length_by_lead(char byte) {
  const auto lead = static_cast<unsigned char>(byte);
  return lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;
}

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// Bytes of the UTF-8 sequence at the front of `text`; a byte that starts none stands alone.
std::size_t sequence_length(std::string_view text) {
  const std::size_t length = length_by_lead(text[0]);
  for (std::size_t i = 1; i < length; ++i)
    if (i == text.size() || !continues(text[i])) return 1;
  return length;
}

// Bytes at the end of `text` that begin a UTF-8 sequence which more bytes could complete.
std::size_t incomplete_bytes(std::string_view text) {
  for (std::size_t tail = 1; tail <= std::min<std::size_t>(3, text.size()); ++tail) {
    const char byte = text[text.size() - tail];
    if (!continues(byte)) return tail < length_by_lead(byte) ? tail : 0;
  }
  return 0;
}

// A run of text that is one symbol so far. Merging makes the left one longer and the right one empty.
struct Symbol {
  std::uint32_t begin, size;
  std::int32_t previous, next;
};

struct Merge {
  float priority;
  std::int32_t left, right;
  std::uint32_t size;  // of both: differs from the symbols' sizes once either has changed

  bool operator<(const Merge& other) const {
    return priority != other.priority ? priority < other.priority : left > other.left;
  }
};

void append_unescaped(std::string_view text, std::string& out) {
  for (std::size_t at; (at = text.find(escaped_space)) != text.npos; text.remove_prefix(at + escaped_space.size()))
    out.append(text.substr(0, at)).append(1, ' ');
  out.append(text);
}

// Throws where the parts do not fit each other; `source` begins the error.
void check(const Vocabulary& vocabulary, std::string_view source) {
  const std::size_t size = vocabulary.texts.size();
  if (size > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    fail("{}: vocabulary of {} tokens, expected fewer than 2^31", source, size);
  if (vocabulary.types.size() != size)
    fail("{}: {} token types, expected one for each of {} tokens", source, vocabulary.types.size(), size);
  if (vocabulary.order == MergeOrder::scores) {
    if (vocabulary.scores.size() != size)
      fail("{}: {} token scores, expected one for each of {} tokens", source, vocabulary.scores.size(), size);
    for (std::size_t id = 0; id < size; ++id)
      if (std::isnan(vocabulary.scores[id])) fail("{}: score of token {} is NaN, expected a number", source, id);
  }
  if (vocabulary.merges.size() > max_merges)
    fail("{}: {} merges, expected at most {}", source, vocabulary.merges.size(), max_merges);
  const auto check_id = [&](std::string_view role, std::int32_t id) {
    if (id < 0 || static_cast<std::size_t>(id) >= size)
      fail("{}: {} token is {}, outside the vocabulary of {} tokens", source, role, id, size);
  };
  if (vocabulary.bos) check_id("bos", *vocabulary.bos);
  if (vocabulary.eos) check_id("eos", *vocabulary.eos);
  if (vocabulary.unknown) check_id("unknown", *vocabulary.unknown);
  for (const std::int32_t id : vocabulary.end_of_generation) check_id("end-of-generation", id);
}

std::vector<TokenType> read_types(const GgufFile& file, std::size_t tokens) {
  const auto codes = file.find_array<std::int32_t>("tokenizer.ggml.token_type");
  if (!codes) return std::vector<TokenType>(tokens, TokenType::normal);
  std::vector<TokenType> types;
  types.reserve(codes->size());
  for (const std::int32_t code : *codes) {
    if (code < 0 || code > 7)
      fail("{}: key tokenizer.ggml.token_type: element {} is {}, expected 0 to 7", file.name(), types.size(), code);
    // Some converters pad the vocabulary with a code before or behind those there are.
    types.push_back(code == 0 || code == 7 ? TokenType::unused : static_cast<TokenType>(code));
  }
  return types;
}

// Token ids by a key, a number or a list of them; none where it is absent.
std::vector<std::int64_t> read_ids(const GgufFile& file, const char* key) {
  const GgufValue* value = file.find_value(key);
  if (value == nullptr) return {};
  if (value->type != GgufType::u64)
    return value->is_array ? file.get_array<std::int64_t>(key) : std::vector{file.get<std::int64_t>(key)};
  std::vector<std::int64_t> ids;
  for (const std::uint64_t id : file.get_each<std::uint64_t>(key, value->count))
    ids.push_back(std::in_range<std::int64_t>(id) ? static_cast<std::int64_t>(id) : -1);
  return ids;
}

// The token of a part that a file names by an id, or the one of the usual name: some converters write an id that no
// token has where they mean none.
std::optional<std::int32_t> read_role(const GgufFile& file, const char* key, std::string_view usual, Vocabulary& v) {
  std::optional<std::int32_t> found;
  for (const std::int64_t id : read_ids(file, key))
    if (const auto token = token_or_note(v, key, id); !found) found = token;
  if (found || usual.empty()) return found;
  const auto named = std::ranges::find(v.texts, usual);
  return named == v.texts.end() ? found : static_cast<std::int32_t>(named - v.texts.begin());
}

// End of turn of Gemma 3 and 3n, of Gemma 4, and Gemma 4's request for a tool's response.
constexpr std::string_view end_texts[] = {"<end_of_turn>", "<turn|>", "<|tool_response>"};

}  // namespace

std::optional<std::int32_t> token_or_note(Vocabulary& vocabulary, std::string_view key, std::int64_t id) {
  if (id >= 0 && static_cast<std::uint64_t>(id) < vocabulary.texts.size()) return static_cast<std::int32_t>(id);
  vocabulary.notes.push_back(
      fmt::format("{} is {}, outside the vocabulary of {} tokens; it is ignored", key, id, vocabulary.texts.size()));
  return std::nullopt;
}

std::optional<Vocabulary> read_vocabulary(const GgufFile& file) {
  const auto model = file.get_or<std::string_view>("tokenizer.ggml.model", "none");
  if (model == "none") return std::nullopt;
  if (model != "llama" && model != "gemma4")
    fail_file("{}: key tokenizer.ggml.model: found \"{}\", expected \"llama\", \"gemma4\" or \"none\"", file.name(),
              printable(model));
  // Some converters call a Gemma 4 vocabulary "llama"; its scores are all alike, so that only the merges can rank.
  const bool ranks = model == "gemma4" || (file.get_or<std::string_view>("tokenizer.ggml.pre", "") == "gemma4" &&
                                           file.find_value("tokenizer.ggml.merges") != nullptr);
  Vocabulary vocabulary;
  vocabulary.order = ranks ? MergeOrder::ranks : MergeOrder::scores;
  vocabulary.texts = file.get_array<std::string_view>("tokenizer.ggml.tokens");
  vocabulary.types = read_types(file, vocabulary.texts.size());
  if (ranks)
    vocabulary.merges = file.get_array<std::string_view>("tokenizer.ggml.merges");
  else
    vocabulary.scores = file.get_array<float>("tokenizer.ggml.scores");
  vocabulary.bos = read_role(file, "tokenizer.ggml.bos_token_id", "<bos>", vocabulary);
  vocabulary.eos = read_role(file, "tokenizer.ggml.eos_token_id", "<eos>", vocabulary);
  vocabulary.unknown = read_role(file, "tokenizer.ggml.unknown_token_id", "<unk>", vocabulary);
  // Gemma 4 needs bos although some of its files say otherwise.
  vocabulary.add_bos = ranks || file.get_or<bool>("tokenizer.ggml.add_bos_token", true);
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    for (const std::int64_t id : read_ids(file, key))
      if (const auto end = token_or_note(vocabulary, key, id)) vocabulary.end_of_generation.push_back(*end);
  // Those past the vocabulary may still be rows of the head.
  for (const std::int64_t id : read_ids(file, "tokenizer.ggml.suppress_tokens"))
    if (id >= 0 && std::in_range<std::int32_t>(id)) vocabulary.suppressed.push_back(static_cast<std::int32_t>(id));
  vocabulary.owner = file.owner();
  check(vocabulary, file.name());
  restore_markers(vocabulary);
  for (std::size_t id = 0; id < vocabulary.texts.size(); ++id) {
    if (std::ranges::find(end_texts, vocabulary.texts[id]) == std::end(end_texts)) continue;
    vocabulary.end_of_generation.push_back(static_cast<std::int32_t>(id));
    // Some files call such a token user-defined; raw text must not be able to end a turn.
    vocabulary.types[id] = TokenType::control;
  }
  return vocabulary;
}

struct Tokenizer::Tables {
  explicit Tables(Vocabulary vocabulary);

  std::int32_t find(std::string_view text) const {
    return ids_.find(hash_of(text), [&](std::int32_t id) { return at(id) == text; });
  }
  // Higher goes first; empty when the pair, adjacent in memory, does not merge. With `spell`, no pair does whose text
  // is a marker's.
  std::optional<float> merge_priority(std::string_view left, std::string_view right, bool spell) const;
  void encode_escaped(std::string_view escaped, bool spell, std::vector<std::int32_t>& ids) const;
  void encode_chunk(std::string_view text, bool spell, std::vector<std::int32_t>& ids) const;
  bool is_unknown(std::string_view symbol) const;
  void emit(std::string_view symbol, std::vector<std::int32_t>& ids) const;
  void append_piece(std::int32_t id, bool show_special, std::string& out) const;
  void check_id(std::int32_t id) const {
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary_.texts.size())
      fail("decode: token id {} is outside the vocabulary of {} tokens", id, vocabulary_.texts.size());
  }
  std::string_view at(std::int32_t id) const { return vocabulary_.texts[static_cast<std::size_t>(id)]; }
  TokenType type(std::int32_t id) const { return vocabulary_.types[static_cast<std::size_t>(id)]; }

  void index_merges();
  static std::size_t merge_hash(std::string_view left, std::string_view right) {
    return hash_of(left) * 0x9e3779b97f4a7c15u ^ hash_of(right);
  }

  Vocabulary vocabulary_;
  HashIndex ids_;     // by text
  HashIndex merges_;  // rank by (left, right)
  std::optional<SpecialTokens> specials_;
  std::optional<AddedTokens> added_;  // in their place
  std::array<std::int32_t, 256> byte_ids_;
  std::vector<bool> markers_;  // by id: is_marker of its text
  std::size_t longest_ = 0;    // bytes of the longest text: nothing longer can be a merge
};

Tokenizer::Tables::Tables(Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)), ids_(vocabulary_.texts.size()), merges_(vocabulary_.merges.size()) {
  check(vocabulary_, "tokenizer");
  byte_ids_.fill(none);
  markers_.resize(vocabulary_.texts.size());
  for (std::size_t i = 0; i < vocabulary_.texts.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    const std::string_view text = vocabulary_.texts[i];
    if (text.empty()) continue;
    markers_[i] = is_marker(text);
    longest_ = std::max(longest_, text.size());
    ids_.insert_or_replace(hash_of(text), id, [&](std::int32_t other) { return at(other) == text; });
    TokenType& type = vocabulary_.types[i];
    // The gemma4 converter marks byte tokens as normal.
    if (const auto byte = byte_of(text); byte && (type == TokenType::byte || type == TokenType::normal)) {
      type = TokenType::byte;
      byte_ids_[*byte] = id;
    }
  }
  if (vocabulary_.added)
    added_.emplace(vocabulary_);
  else
    specials_.emplace(vocabulary_);
  if (vocabulary_.order == MergeOrder::ranks) index_merges();
  std::vector<std::int32_t>& ends = vocabulary_.end_of_generation;
  if (vocabulary_.eos) ends.insert(ends.begin(), *vocabulary_.eos);
  std::ranges::sort(ends);
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  std::erase_if(vocabulary_.suppressed, [](std::int32_t id) { return id < 0; });
}

void Tokenizer::Tables::index_merges() {
  for (std::size_t rank = 0; rank < vocabulary_.merges.size(); ++rank) {
    const std::string_view merge = vocabulary_.merges[rank];
    const std::size_t space = merge.find(' ', 1);
    if (space == merge.npos) continue;
    longest_ = std::max(longest_, merge.size() - 1);
    const std::size_t hash = merge_hash(merge.substr(0, space), merge.substr(space + 1));
    merges_.insert_if_absent(hash, static_cast<std::int32_t>(rank), [&](std::int32_t other) {
      return vocabulary_.merges[static_cast<std::size_t>(other)] == merge;
    });
  }
}

std::optional<float> Tokenizer::Tables::merge_priority(std::string_view left, std::string_view right,
                                                       bool spell) const {
  if (left.size() + right.size() > longest_) return std::nullopt;
  const auto is_spelled = [&](std::int32_t id) {
    return spell && id != none && markers_[static_cast<std::size_t>(id)];
  };
  if (vocabulary_.order == MergeOrder::scores) {
    const std::int32_t id = find({left.data(), left.size() + right.size()});
    // Text never becomes a control token.
    if (id == none || type(id) == TokenType::control || is_spelled(id)) return std::nullopt;
    return vocabulary_.scores[static_cast<std::size_t>(id)];
  }
  const std::int32_t rank = merges_.find(merge_hash(left, right), [&](std::int32_t other) {
    const std::string_view merge = vocabulary_.merges[static_cast<std::size_t>(other)];
    return merge.size() == left.size() + 1 + right.size() && merge.starts_with(left) && merge[left.size()] == ' ' &&
           merge.ends_with(right);
  });
  if (rank == none || (spell && is_spelled(find({left.data(), left.size() + right.size()})))) return std::nullopt;
  return -static_cast<float>(rank);
}

void Tokenizer::Tables::encode_escaped(std::string_view escaped, bool spell, std::vector<std::int32_t>& ids) const {
  if (vocabulary_.order == MergeOrder::scores || added_) return encode_chunk(escaped, spell, ids);
  // Merges by rank do not cross between newlines and other text, and a run of newlines that is a token is taken whole.
  for (std::string_view rest = escaped; !rest.empty();) {
    const bool newlines = rest[0] == '\n';
    const std::string_view chunk = rest.substr(0, newlines ? rest.find_first_not_of('\n') : rest.find('\n'));
    const std::int32_t whole = newlines ? find(chunk) : none;
    whole == none ? encode_chunk(chunk, spell, ids) : ids.push_back(whole);
    rest.remove_prefix(chunk.size());
  }
}

void Tokenizer::Tables::encode_chunk(std::string_view text, bool spell, std::vector<std::int32_t>& ids) const {
  std::vector<Symbol> symbols;
  symbols.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = sequence_length(text.substr(at));
    const auto index = static_cast<std::int32_t>(symbols.size());
    symbols.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size), index - 1, index + 1});
    at += size;
  }
  symbols.back().next = none;
  const auto view = [&](const Symbol& symbol) { return text.substr(symbol.begin, symbol.size); };

  std::priority_queue<Merge> queue;
  const auto consider = [&](std::int32_t left, std::int32_t right) {
    if (left == none || right == none) return;
    const Symbol &a = symbols[static_cast<std::size_t>(left)], &b = symbols[static_cast<std::size_t>(right)];
    if (const auto priority = merge_priority(view(a), view(b), spell))
      queue.push({*priority, left, right, a.size + b.size});
  };
  for (const Symbol& symbol : symbols) consider(symbol.previous, symbol.previous + 1);

  while (!queue.empty()) {
    const Merge merge = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<std::size_t>(merge.left)];
    Symbol& right = symbols[static_cast<std::size_t>(merge.right)];
    if (left.size == 0 || right.size == 0 || left.size + right.size != merge.size) continue;
    left.size += right.size;
    right.size = 0;
    left.next = right.next;
    if (right.next != none) symbols[static_cast<std::size_t>(right.next)].previous = merge.left;
    consider(left.previous, merge.left);
    consider(merge.left, left.next);
  }
  bool unknown_before = false;
  for (const Symbol& symbol : symbols) {
    if (symbol.size == 0) continue;
    const bool unknown = vocabulary_.fuse_unknown && is_unknown(view(symbol));
    if (!unknown)
      emit(view(symbol), ids);
    else if (!unknown_before)
      ids.push_back(*vocabulary_.unknown);
    unknown_before = unknown;
  }
}

// Neither a token nor spelled in bytes, of which one has no token.
bool Tokenizer::Tables::is_unknown(std::string_view symbol) const {
  return vocabulary_.unknown && find(symbol) == none &&
         std::ranges::any_of(symbol, [&](char c) { return byte_ids_[static_cast<unsigned char>(c)] == none; });
}

void Tokenizer::Tables::emit(std::string_view symbol, std::vector<std::int32_t>& ids) const {
  if (const std::int32_t id = find(symbol); id != none) return ids.push_back(id);
  for (const char c : symbol) {
    const std::int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id == none && !vocabulary_.unknown)
      fail("encode: byte 0x{:02X} has no token and the vocabulary has no unknown token", static_cast<unsigned char>(c));
    ids.push_back(id == none ? *vocabulary_.unknown : id);
  }
}

void Tokenizer::Tables::append_piece(std::int32_t id, bool show_special, std::string& out) const {
  check_id(id);
  switch (type(id)) {
    case TokenType::normal:
      return append_unescaped(at(id), out);
    case TokenType::byte:
      return out.push_back(static_cast<char>(*byte_of(at(id))));
    case TokenType::user_defined:
      out.append(at(id));
      return;
    case TokenType::unknown:
    case TokenType::control:
    case TokenType::unused:
      if (show_special) out.append(at(id));
  }
}

Tokenizer::Tokenizer(Vocabulary vocabulary) : tables_(std::make_unique<Tables>(std::move(vocabulary))) {}
Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::from_gguf(const GgufFile& file) {
  std::optional<Vocabulary> vocabulary = read_vocabulary(file);
  return vocabulary ? std::make_shared<const Tokenizer>(std::move(*vocabulary)) : nullptr;
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > max_text_bytes) fail("encode: text of {} bytes, expected at most {}", text.size(), max_text_bytes);
  const Vocabulary& vocabulary = tables_->vocabulary_;
  std::vector<std::int32_t> ids;
  if (options.add_bos && vocabulary.add_bos && vocabulary.bos) ids.push_back(*vocabulary.bos);
  const SpecialParsing parsing{.control = options.parse_special, .markers = !options.spell_markers};
  const auto add = [&](std::int32_t id) { ids.push_back(id); };
  const auto encode_part = [&](std::string_view part) { tables_->encode_escaped(part, options.spell_markers, ids); };
  if (tables_->added_)
    tables_->added_->split(text, parsing, encode_part, add);
  else
    tables_->specials_->split(text, parsing, [&](std::string_view part) { encode_part(escape_spaces(part)); }, add);
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool show_special) const {
  std::string text;
  for (const std::int32_t id : ids) tables_->append_piece(id, show_special, text);
  return text;
}

std::string Tokenizer::piece(std::int32_t id) const { return decode({&id, 1}, true); }

std::optional<std::int32_t> Tokenizer::find(std::string_view text) const {
  const std::int32_t id = tables_->find(text);
  return id == none ? std::nullopt : std::optional(id);
}

TokenType Tokenizer::type(std::int32_t id) const {
  tables_->check_id(id);
  return tables_->type(id);
}

std::int32_t Tokenizer::vocab_size() const { return static_cast<std::int32_t>(tables_->vocabulary_.texts.size()); }
std::optional<std::int32_t> Tokenizer::bos() const { return tables_->vocabulary_.bos; }
std::optional<std::int32_t> Tokenizer::eos() const { return tables_->vocabulary_.eos; }
std::span<const std::int32_t> Tokenizer::end_of_generation() const { return tables_->vocabulary_.end_of_generation; }
std::span<const std::int32_t> Tokenizer::suppressed() const { return tables_->vocabulary_.suppressed; }
std::span<const std::string> Tokenizer::notes() const { return tables_->vocabulary_.notes; }
bool Tokenizer::is_end_of_generation(std::int32_t id) const {
  return std::ranges::find(end_of_generation(), id) != end_of_generation().end();
}

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool show_special)
    : tokenizer_(std::move(tokenizer)), show_special_(show_special) {}

std::string StreamDecoder::push(std::int32_t id) {
  pending_ += tokenizer_->decode({&id, 1}, show_special_);
  const std::size_t ready = pending_.size() - incomplete_bytes(pending_);
  std::string text = pending_.substr(0, ready);
  pending_.erase(0, ready);
  return text;
}

std::string StreamDecoder::finish() { return std::exchange(pending_, {}); }

}  // namespace lazuli
