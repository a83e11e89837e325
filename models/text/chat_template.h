// SPDX-License-Identifier: MIT
// Conversations written out as the Gemma models were trained to read them.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/models/text/tokenizer.h>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

enum class LAZULI_API ChatRole : std::uint8_t { system, user, model };

struct LAZULI_API ChatMessage {
  ChatRole role;
  std::string text;
};

enum class LAZULI_API ChatFormat : std::uint8_t {
  gemma3,  // <start_of_turn>user\n ... <end_of_turn>\n, also Gemma 3n
  gemma4,  // <|turn>user\n ... <turn|>\n
};

struct LAZULI_API ChatOptions {
  bool generation_prompt = true;  // ends with the opening of the model's turn
  // Gemma 4: asks for thinking, in the system turn (which is added when there is none).
  bool think = false;
  // Gemma 4: without thinking, opens the model's turn with an empty thought channel, as ModelInfo::empty_thought says.
  bool empty_thought = false;
};

// The text of a conversation, of which it is known where the template's own markers stand: whatever else spells
// <end_of_turn> or the like is what somebody wrote, and is encoded as such (Tokenizer::encode). What is appended as a
// string counts as written by somebody.
class LAZULI_API ChatText {
 public:
  ChatText() = default;

  const std::string& text() const { return text_; }
  operator const std::string&() const { return text_; }
  operator std::string_view() const { return text_; }

  ChatText& append_marker(std::string_view marker);
  ChatText& operator+=(std::string_view written);
  ChatText& operator+=(const ChatText& other);
  friend ChatText operator+(ChatText a, std::string_view written) { return a += written; }
  friend ChatText operator+(ChatText a, const ChatText& b) { return a += b; }
  friend ChatText operator+(std::string_view written, const ChatText& b) { return (ChatText() += written) += b; }
  friend LAZULI_API std::ostream& operator<<(std::ostream& out, const ChatText& chat);
  // With the same markers in the same places.
  friend bool operator==(const ChatText& a, const ChatText& b) = default;
  friend bool operator==(const ChatText& a, std::string_view text) { return a.text_ == text; }

  struct Marker {
    std::size_t begin = 0, size = 0;
    friend bool operator==(const Marker&, const Marker&) = default;
  };
  std::span<const Marker> markers() const { return markers_; }  // in order

 private:
  std::string text_;
  std::vector<Marker> markers_;
};

// The format whose turn markers the vocabulary has; empty when it has neither.
LAZULI_API std::optional<ChatFormat> chat_format(const Tokenizer& tokenizer);

// The text of the conversation, byte for byte that of the published templates. It begins with <bos>. Texts are trimmed,
// but for Gemma 3's system text; thoughts of earlier model turns are left out (Gemma 4). Only the first message may
// have the system role; Gemma 3 puts its text before the first user message, which must then exist, and wants user and
// model by turns. Throws Error for conversations that do not fit.
LAZULI_API ChatText render_chat(ChatFormat format, std::span<const ChatMessage> messages,
                                const ChatOptions& options = {});

// What follows a model's turn just as it was generated, without its end token: its end, the user's next turn, and (as
// options say) the opening of the model's. Appended to the caches of that generation it saves computing them again; the
// model then sees its own turn with thoughts and spaces, which render_chat would leave out.
LAZULI_API ChatText render_next_turn(ChatFormat format, std::string_view user_text, const ChatOptions& options = {});

// For a conversation that was put together as a string: every marker in it counts, whoever wrote it. A ChatText needs
// no options.
inline constexpr EncodeOptions chat_encoding{.add_bos = false, .parse_special = true};

}  // namespace lazuli
