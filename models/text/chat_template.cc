// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/text/chat_template.h>
#include <lazuli/models/text/unicode_classes.h>

#include <algorithm>
#include <ostream>
#include <string_view>
#include <utility>

namespace lazuli {
namespace {

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

void begin_turn(ChatText& chat, ChatFormat format, std::string_view role) {
  chat.append_marker(markers(format).open) += role;
  chat += "\n";
}

void end_turn(ChatText& chat, ChatFormat format) { chat.append_marker(markers(format).close) += "\n"; }

void add_turn(ChatText& chat, ChatFormat format, std::string_view role, std::string_view text) {
  begin_turn(chat, format, role);
  chat += text;
  end_turn(chat, format);
}

void add_generation_prompt(ChatText& chat, ChatFormat format, const ChatOptions& options) {
  if (!options.generation_prompt) return;
  begin_turn(chat, format, "model");
  if (format != ChatFormat::gemma4 || !options.empty_thought || options.think) return;
  chat.append_marker("<|channel>") += "thought\n";
  chat.append_marker("<channel|>");
}

// Gemma 3's template takes no other.
void check_alternation(std::span<const ChatMessage> messages, std::size_t first) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const bool is_user = messages[i].role == ChatRole::user;
    if (is_user != (i % 2 == 0))
      fail("chat: message {} has the {} role, expected {}: user and model alternate", first + i,
           is_user ? "user" : "model", is_user ? "model" : "user");
  }
}

}  // namespace

std::optional<ChatFormat> chat_format(const Tokenizer& tokenizer) {
  if (tokenizer.find("<start_of_turn>") && tokenizer.find("<end_of_turn>")) return ChatFormat::gemma3;
  if (tokenizer.find("<|turn>") && tokenizer.find("<turn|>")) return ChatFormat::gemma4;
  return std::nullopt;
}

std::ostream& operator<<(std::ostream& out, const ChatText& chat) { return out << chat.text(); }

ChatText& ChatText::append_marker(std::string_view marker) {
  markers_.push_back({text_.size(), marker.size()});
  text_ += marker;
  return *this;
}

ChatText& ChatText::operator+=(std::string_view written) {
  text_ += written;
  return *this;
}

ChatText& ChatText::operator+=(const ChatText& other) {
  const std::size_t shift = text_.size(), count = other.markers_.size();  // `other` may be this
  for (std::size_t i = 0; i < count; ++i) {
    const Marker marker = other.markers_[i];
    markers_.push_back({marker.begin + shift, marker.size});
  }
  text_ += other.text_;
  return *this;
}

ChatText render_chat(ChatFormat format, std::span<const ChatMessage> messages, const ChatOptions& options) {
  if (messages.empty()) fail("chat: found no messages, expected one or more");
  for (std::size_t i = 1; i < messages.size(); ++i)
    if (messages[i].role == ChatRole::system) fail("chat: message {} has the system role, expected it first", i);
  const bool has_system = messages[0].role == ChatRole::system, has_system_turn = format == ChatFormat::gemma4;
  const std::string_view system = has_system ? std::string_view(messages[0].text) : std::string_view();
  if (has_system) messages = messages.subspan(1);
  const bool think = has_system_turn && options.think;
  ChatText chat;
  chat.append_marker("<bos>");
  if (has_system_turn && (think || has_system)) {
    begin_turn(chat, format, "system");
    if (think) chat.append_marker("<|think|>") += "\n";
    chat += stripped(system);
    end_turn(chat, format);
  }
  if (!has_system_turn) {
    if (has_system && messages.empty()) fail("chat: found a system message alone, expected a user message after it");
    check_alternation(messages, has_system ? 1 : 0);
  }
  std::string preface = has_system && !has_system_turn ? fmt::format("{}\n\n", system) : "";
  for (const ChatMessage& message : messages) {
    if (message.role == ChatRole::user) {
      add_turn(chat, format, "user", std::exchange(preface, {}) + std::string(stripped(message.text)));
    } else {
      const std::string kept = format == ChatFormat::gemma4 ? without_thoughts(message.text) : message.text;
      add_turn(chat, format, "model", stripped(kept));
    }
  }
  add_generation_prompt(chat, format, options);
  return chat;
}

ChatText render_next_turn(ChatFormat format, std::string_view user_text, const ChatOptions& options) {
  ChatText chat;
  end_turn(chat, format);
  add_turn(chat, format, "user", stripped(user_text));
  add_generation_prompt(chat, format, options);
  return chat;
}

std::vector<std::int32_t> Tokenizer::encode(const ChatText& chat) const {
  constexpr std::string_view begin_of_text = "<bos>";
  const std::string_view text = chat.text();
  std::vector<std::int32_t> ids;
  const auto add_written = [&](std::size_t begin, std::size_t end) {
    const auto written = encode(text.substr(begin, end - begin), {.add_bos = false, .spell_markers = true});
    ids.insert(ids.end(), written.begin(), written.end());
  };
  std::size_t done = 0;
  for (const ChatText::Marker& marker : chat.markers()) {
    const std::string_view name = text.substr(marker.begin, marker.size);
    const std::optional<std::int32_t> id = name == begin_of_text && bos() ? bos() : find(name);
    if (!id) fail("chat: the vocabulary has no token {}", name);
    add_written(done, marker.begin);
    ids.push_back(*id);
    done = marker.begin + marker.size;
  }
  add_written(done, text.size());
  return ids;
}

}  // namespace lazuli
