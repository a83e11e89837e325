#include <lazuli/graph/error.h>
#include <lazuli/models/chat_template.h>

#include <string_view>
#include <utility>

namespace lazuli {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(space);
  return begin == text.npos ? std::string_view() : text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

std::string_view role_name(ChatRole role) { return role == ChatRole::user ? "user" : "model"; }

std::string render_gemma3(std::span<const ChatMessage> messages, std::string_view system, const ChatOptions& options) {
  std::string preface = system.empty() ? "" : fmt::format("{}\n\n", trimmed(system));
  std::string text = "<bos>";
  for (const ChatMessage& message : messages) {
    text += fmt::format("<start_of_turn>{}\n", role_name(message.role));
    if (message.role == ChatRole::user) text += std::exchange(preface, {});
    text += fmt::format("{}<end_of_turn>\n", trimmed(message.text));
  }
  if (!preface.empty()) fail("chat: found a system message alone, expected a user message after it");
  if (options.generation_prompt) text += "<start_of_turn>model\n";
  return text;
}

std::string render_gemma4(std::span<const ChatMessage> messages, std::string_view system, const ChatOptions& options) {
  std::string text = "<bos>";
  if (options.think || !system.empty())
    text += fmt::format("<|turn>system\n{}{}<turn|>\n", options.think ? "<|think|>\n" : "", system);
  for (const ChatMessage& message : messages)
    text += fmt::format("<|turn>{}\n{}<turn|>\n", role_name(message.role), message.text);
  if (options.generation_prompt) {
    text += "<|turn>model\n";
    if (options.empty_thought && !options.think) text += "<|channel>thought\n<channel|>";
  }
  return text;
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
    system = messages[0].text;
    messages = messages.subspan(1);
  }
  return format == ChatFormat::gemma3 ? render_gemma3(messages, system, options)
                                      : render_gemma4(messages, system, options);
}

}  // namespace lazuli
