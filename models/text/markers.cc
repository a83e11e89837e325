// SPDX-License-Identifier: MIT
#include <lazuli/models/text/markers.h>
#include <lazuli/models/text/tokenizer.h>

#include <algorithm>
#include <iterator>

namespace lazuli {
namespace {

struct Marker {
  std::string_view text;
  TokenType type;  // in published GGUF files
};

// Of Gemma 4, those of user-defined type are shown to whoever reads a reply, who needs them to tell its parts apart.
constexpr Marker markers[] = {
    {"<pad>", TokenType::control},
    {"<eos>", TokenType::control},
    {"<bos>", TokenType::control},
    {"<unk>", TokenType::control},
    {"<mask>", TokenType::control},
    {"[multimodal]", TokenType::user_defined},
    // Gemma 3 and 3n.
    {"<start_of_turn>", TokenType::control},
    {"<end_of_turn>", TokenType::control},
    {"<start_of_image>", TokenType::user_defined},
    {"<end_of_image>", TokenType::user_defined},
    {"<image_soft_token>", TokenType::control},
    {"<start_of_audio>", TokenType::control},
    {"<end_of_audio>", TokenType::control},
    {"<audio_soft_token>", TokenType::control},
    // Gemma 4.
    {"<|turn>", TokenType::control},
    {"<turn|>", TokenType::control},
    {"<|think|>", TokenType::control},
    {"<|tool>", TokenType::control},
    {"<tool|>", TokenType::control},
    {"<|tool_call>", TokenType::user_defined},
    {"<tool_call|>", TokenType::user_defined},
    {"<|tool_response>", TokenType::control},  // ends a generation
    {"<tool_response|>", TokenType::user_defined},
    {"<|\"|>", TokenType::user_defined},
    {"<|channel>", TokenType::user_defined},
    {"<channel|>", TokenType::user_defined},
    {"<|image>", TokenType::control},
    {"<image|>", TokenType::control},
    {"<|image|>", TokenType::control},
    {"<|audio>", TokenType::control},
    {"<audio|>", TokenType::control},
    {"<|audio|>", TokenType::control},
    {"<|video|>", TokenType::control},
};

const Marker* find(std::string_view text) {
  const Marker* found = std::ranges::find(markers, text, &Marker::text);
  return found == std::end(markers) ? nullptr : found;
}

}  // namespace

// Besides those known, whatever is written like one of Gemma 4's, and placeholders <unused0>, <unused1>, ...
bool is_marker(std::string_view text) {
  if (text.size() < 3) return false;
  return find(text) != nullptr || (text.starts_with("<|") && text.ends_with('>')) ||
         (text.starts_with('<') && text.ends_with("|>")) || (text.starts_with("<unused") && text.ends_with('>'));
}

void restore_markers(Vocabulary& vocabulary) {
  for (std::size_t id = 0; id < vocabulary.texts.size(); ++id) {
    const std::string_view text = vocabulary.texts[id];
    if (text.empty() || (text[0] != '<' && text[0] != '[')) continue;
    const Marker* marker = find(text);
    if (marker == nullptr) continue;
    TokenType& type = vocabulary.types[id];
    // Nobody mistakes one for text then; files of the tokenizers library call all of them special.
    if (type != TokenType::control && type != TokenType::unknown) type = marker->type;
  }
}

}  // namespace lazuli
