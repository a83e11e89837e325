// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/text/chat_template.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace lazuli {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(space);
  return begin == text.npos ? std::string_view() : text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

// The text outside <|channel> ... <channel|>. A thought that was cut off reaches to the end.
std::string without_thoughts(std::string_view text) {
  constexpr std::string_view open = "<|channel>", close = "<channel|>";
  std::string kept;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(close));
    kept += part.substr(0, part.find(open));
    text.remove_prefix(std::min(part.size() + close.size(), text.size()));
  }
  return kept;
}

struct TurnMarkers {
  std::string_view open, close;
};

TurnMarkers markers(ChatFormat format) {
  return format == ChatFormat::gemma3 ? TurnMarkers{"<start_of_turn>", "<end_of_turn>"}
                                      : TurnMarkers{"<|turn>", "<turn|>"};
}

std::string turn(ChatFormat format, std::string_view role, std::string_view text) {
  const TurnMarkers mark = markers(format);
  return fmt::format("{}{}\n{}{}\n", mark.open, role, text, mark.close);
}

std::string generation_prompt(ChatFormat format, const ChatOptions& options) {
  if (!options.generation_prompt) return {};
  const bool empty_thought = format == ChatFormat::gemma4 && options.empty_thought && !options.think;
  return fmt::format("{}model\n{}", markers(format).open, empty_thought ? "<|channel>thought\n<channel|>" : "");
}

}  // namespace

std::optional<ChatFormat> chat_format(const Tokenizer& tokenizer) {
  if (tokenizer.find("<start_of_turn>") && tokenizer.find("<end_of_turn>")) return ChatFormat::gemma3;
  if (tokenizer.find("<|turn>") && tokenizer.find("<turn|>")) return ChatFormat::gemma4;
  return std::nullopt;
}

std::string render_chat(ChatFormat format, std::span<const ChatMessage> messages, const ChatOptions& options) {
  if (messages.empty()) fail("chat: found no messages, expected one or more");
  for (std::size_t i = 1; i < messages.size(); ++i)
    if (messages[i].role == ChatRole::system) fail("chat: message {} has the system role, expected it first", i);
  std::string_view system;
  if (messages[0].role == ChatRole::system) {
    system = trimmed(messages[0].text);
    messages = messages.subspan(1);
  }
  const bool has_system_turn = format == ChatFormat::gemma4;
  const bool think = has_system_turn && options.think;
  std::string preface = has_system_turn || system.empty() ? "" : fmt::format("{}\n\n", system);
  std::string text = "<bos>";
  if (has_system_turn && (think || !system.empty()))
    text += turn(format, "system", fmt::format("{}{}", think ? "<|think|>\n" : "", system));
  for (const ChatMessage& message : messages) {
    if (message.role == ChatRole::user) {
      text += turn(format, "user", std::exchange(preface, {}) + std::string(trimmed(message.text)));
    } else {
      const std::string kept = format == ChatFormat::gemma4 ? without_thoughts(message.text) : message.text;
      text += turn(format, "model", trimmed(kept));
    }
  }
  if (!preface.empty()) fail("chat: found a system message alone, expected a user message after it");
  return text + generation_prompt(format, options);
}

std::string render_next_turn(ChatFormat format, std::string_view user_text, const ChatOptions& options) {
  return fmt::format("{}\n{}{}", markers(format).close, turn(format, "user", trimmed(user_text)),
                     generation_prompt(format, options));
}

}  // namespace lazuli
