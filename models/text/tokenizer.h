// SPDX-License-Identifier: MIT
// Text to token ids and back, for the Gemma families.
//
// Two algorithms share one merge loop: "llama" (SentencePiece-style BPE: the vocabulary's scores rank the merges) and
// "gemma4" (BPE with a ranked list of merges). Both cut special tokens out of the raw text first, write every space as
// U+2581, add no leading space, trim nothing, and spell what the vocabulary lacks in byte tokens <0x00> to <0xFF>.
// Results equal llama.cpp's (llama-vocab.cpp) for GGUF files, and the tokenizers library's for tokenizer.json.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

class ChatText;
class GgufFile;

// Codes as stored in tokenizer.ggml.token_type.
enum class LAZULI_API TokenType : std::uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,       // matched in text only when asked for, hidden when decoded
  user_defined = 4,  // always matched in text, decoded verbatim
  unused = 5,
  byte = 6,
};

enum class LAZULI_API MergeOrder : std::uint8_t {
  scores,  // a pair merges when its concatenation is a token; the highest score first
  ranks,   // a pair merges when it is in the list of merges; the first in the list first
};

// How the tokenizers library cuts a token out of text.
struct LAZULI_API AddedToken {
  std::int32_t id = 0;
  bool special = false;                 // only where special tokens are asked for
  bool lstrip = false, rstrip = false;  // takes the white space on that side with it
  bool single_word = false;             // only where no character of a word touches it
  bool normalized = false;              // looked for once spaces are U+2581, in what the others leave
};

// What a checkpoint says about its tokens. Texts and merges are views that `owner` keeps alive.
struct LAZULI_API Vocabulary {
  MergeOrder order = MergeOrder::scores;
  std::vector<std::string_view> texts;   // by id; when two are equal the higher id is the one encoded
  std::vector<TokenType> types;          // as many
  std::vector<float> scores;             // as many for MergeOrder::scores, else unused
  std::vector<std::string_view> merges;  // for MergeOrder::ranks: "left right", split at the first space behind byte 0
  std::optional<std::int32_t> bos, eos, unknown;
  std::vector<std::int32_t> end_of_generation;  // besides eos
  std::vector<std::int32_t> suppressed;         // never to be generated; may lie outside the vocabulary
  bool add_bos = true;
  // Tokens are cut out of text as the tokenizers library does; without it as llama.cpp does, by their types.
  std::optional<std::vector<AddedToken>> added;
  bool fuse_unknown = false;       // neighbouring characters without tokens are one unknown token, not one a byte each
  std::vector<std::string> notes;  // what of the checkpoint was left aside
  std::shared_ptr<const void> owner;
};

// `id` as a token of the vocabulary. Otherwise notes that what `key` says is ignored.
std::optional<std::int32_t> token_or_note(Vocabulary& vocabulary, std::string_view key, std::int64_t id);

// Empty when the file has no tokenizer (tokenizer.ggml.model absent or "none"). Throws Error, naming file and key, when
// the model is another or the arrays do not fit each other.
LAZULI_API std::optional<Vocabulary> read_vocabulary(const GgufFile& file);

struct LAZULI_API EncodeOptions {
  bool add_bos = true;         // puts bos first, where the vocabulary has one and asks for it
  bool parse_special = false;  // also cut control tokens out of the text; user-defined ones always are
  // Spell user-defined tokens, too, that structure a conversation, such as <|channel>: for text that others wrote.
  bool spell_markers = false;
};

class LAZULI_API Tokenizer {
 public:
  // Null when the file has no tokenizer. Throws like read_vocabulary.
  static std::shared_ptr<const Tokenizer> from_gguf(const GgufFile& file);

  explicit Tokenizer(Vocabulary vocabulary);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Time grows as n log n. Text need not be valid UTF-8. Throws Error when a byte has no token and there is no unknown
  // token, and for texts above 512 MiB.
  std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options = {}) const;

  // A conversation: the template's own markers, bos among them, become tokens; what stands in its messages is text,
  // whatever it says.
  std::vector<std::int32_t> encode(const ChatText& chat) const;

  // The concatenated pieces; bytes that are not UTF-8 stay as they are. Control and unknown tokens are left out unless
  // `show_special`. Throws Error for an id outside the vocabulary.
  std::string decode(std::span<const std::int32_t> ids, bool show_special = false) const;

  // What one token decodes to, with special tokens shown. Throws as decode.
  std::string piece(std::int32_t id) const;

  std::optional<std::int32_t> find(std::string_view text) const;  // the token spelled exactly so in the vocabulary
  TokenType type(std::int32_t id) const;                          // throws as decode

  std::int32_t vocab_size() const;
  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  // Tokens that end a generation: eos and the model's end of turn (and Gemma 4's request for a tool's response).
  std::span<const std::int32_t> end_of_generation() const;
  bool is_end_of_generation(std::int32_t id) const;
  // Tokens that must not be generated, such as Gemma 4's placeholders of images and sound; ids are not negative.
  std::span<const std::int32_t> suppressed() const;
  std::span<const std::string> notes() const;  // what of the checkpoint was left aside

 private:
  struct Tables;
  std::unique_ptr<const Tables> tables_;
};

// Decodes token by token, holding back bytes until they complete a UTF-8 sequence (or can no longer do so). The
// strings returned, joined, equal Tokenizer::decode of the ids.
class LAZULI_API StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool show_special = false);

  std::string push(std::int32_t id);
  // What is still held back: an incomplete sequence.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool show_special_;
  std::string pending_;
};

}  // namespace lazuli
