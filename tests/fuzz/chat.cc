// SPDX-License-Identifier: MIT
// Conversations: rendered, encoded and decoded. Whatever the messages say, the tokens that structure a conversation are
// the template's alone, and the ids decode to what was rendered. The first byte chooses family and options; messages
// stand behind it, cut as parts are, each with its role as the first byte.
#include <lazuli/models/synth/vocabulary.h>
#include <lazuli/models/text/chat_template.h>
#include <lazuli/models/text/markers.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/tokenizer_properties.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace lazuli::fuzz {
namespace {

struct Family {
  ChatFormat format;
  std::shared_ptr<const Tokenizer> tokenizer;
};

// A family's vocabulary, with all characters of ASCII.
std::shared_ptr<const Tokenizer> make_tokenizer(synth::Family family) {
  auto texts = std::make_shared<std::vector<std::string>>();
  Vocabulary vocabulary;
  const auto add = [&](std::string text, TokenType type) {
    texts->push_back(std::move(text));
    vocabulary.types.push_back(type);
  };
  for (const synth::Token& token : synth::make_vocabulary(family, 640)) add(token.text, token.type);
  for (const char* text : {"<start_of_image>", "[multimodal]", "<h1>"}) add(text, TokenType::user_defined);
  add("\xe2\x96\x81", TokenType::normal);
  for (char c = '!'; c < 0x7f; ++c) add(std::string(1, c), TokenType::normal);
  vocabulary.texts.assign(texts->begin(), texts->end());
  vocabulary.scores.assign(texts->size(), -1);
  vocabulary.bos = synth::bos_token;
  vocabulary.eos = synth::eos_token;
  vocabulary.unknown = synth::unknown_token;
  vocabulary.owner = texts;
  return std::make_shared<const Tokenizer>(std::move(vocabulary));
}

const Family& family_of(unsigned choice) {
  static const std::array families = {Family{ChatFormat::gemma3, make_tokenizer(synth::Family::gemma3)},
                                      Family{ChatFormat::gemma3, make_tokenizer(synth::Family::gemma3n)},
                                      Family{ChatFormat::gemma4, make_tokenizer(synth::Family::gemma4)}};
  return families[choice % families.size()];
}

// What is decoded writes spaces for U+2581, whoever wrote that.
std::string with_spaces(std::string_view text) {
  constexpr std::string_view escaped = "\xe2\x96\x81";
  std::string out;
  for (std::size_t at; (at = text.find(escaped)) != text.npos; text.remove_prefix(at + escaped.size()))
    out.append(text.substr(0, at)).append(1, ' ');
  return out.append(text);
}

void check_chat(const Family& family, const ChatText& chat) {
  const Tokenizer& tokenizer = *family.tokenizer;
  const std::vector<std::int32_t> ids = tokenizer.encode(chat);
  const auto structuring = std::ranges::count_if(ids, [&](std::int32_t id) {
    return tokenizer.type(id) == TokenType::control || tokenizer.type(id) == TokenType::unknown ||
           is_marker(tokenizer.piece(id));
  });
  require(static_cast<std::size_t>(structuring) == chat.markers().size(),
          "markers are the template's, whatever a message says", chat.text());
  require(tokenizer.decode(ids, true) == with_spaces(chat.text()), "a conversation decodes to itself", chat.text());
}

std::vector<ChatMessage> messages_of(std::string_view input) {
  constexpr std::size_t most = 6;
  std::vector<ChatMessage> messages;
  for (const std::string_view part : parts_of(input, most))
    if (!part.empty())
      messages.push_back({static_cast<ChatRole>(static_cast<unsigned char>(part[0]) % 3), std::string(part.substr(1))});
  return messages;
}

}  // namespace
}  // namespace lazuli::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  if (size == 0) return 0;
  const unsigned choice = data[0];
  const fuzz::Family& family = fuzz::family_of(choice / 8);
  const ChatOptions options{
      .generation_prompt = (choice & 1) != 0, .think = (choice & 2) != 0, .empty_thought = (choice & 4) != 0};
  const std::vector<ChatMessage> messages = fuzz::messages_of(fuzz::text_of(data + 1, size - 1));
  fuzz::accepted([&] { fuzz::check_chat(family, render_chat(family.format, messages, options)); });
  for (const ChatMessage& message : messages) {
    fuzz::check_chat(family, render_next_turn(family.format, message.text, options));
    fuzz::check_tokenizer(family.tokenizer, message.text);
    fuzz::require(family.tokenizer->decode(family.tokenizer->encode(message.text, {.add_bos = false}), true) ==
                      fuzz::with_spaces(message.text),
                  "text decodes to itself", message.text);
  }
  return 0;
}
