// SPDX-License-Identifier: MIT
// Conversations written out as the Gemma models were trained to read them.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/models/text/tokenizer.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

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

// The format whose turn markers the vocabulary has; empty when it has neither.
LAZULI_API std::optional<ChatFormat> chat_format(const Tokenizer& tokenizer);

// The text of the conversation. It begins with <bos> and holds control tokens, so encode it with
// chat_encoding. Texts are trimmed, and thoughts of earlier model turns left out (Gemma 4). Only the first message may
// have the system role; Gemma 3 puts its text before the first user message, which must then exist. Throws Error for
// conversations that do not fit.
LAZULI_API std::string render_chat(ChatFormat format, std::span<const ChatMessage> messages,
                                   const ChatOptions& options = {});

// What follows a model's turn just as it was generated, without its end token: its end, the user's next turn, and (as
// options say) the opening of the model's. Appended to the caches of that generation it saves computing them again; the
// model then sees its own turn with thoughts and spaces, which render_chat would leave out.
LAZULI_API std::string render_next_turn(ChatFormat format, std::string_view user_text, const ChatOptions& options = {});

inline constexpr EncodeOptions chat_encoding{.add_bos = false, .parse_special = true};

}  // namespace lazuli
