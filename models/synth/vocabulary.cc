// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/models/synth/family.h>
#include <lazuli/models/synth/vocabulary.h>

#include <string_view>
#include <unordered_set>

namespace lazuli::synth {
namespace {

constexpr std::string_view space = "\xe2\x96\x81";  // U+2581, which stands for a space
constexpr char32_t space_code_point = 0x2581;

// Published ids.
constexpr std::int64_t first_newlines = 107, first_spaces = 138, first_markup = 168, first_byte = 238, first_word = 494,
                       space_id = 236743, tab_id = 255968;

std::string repeated(std::string_view text, std::int64_t times) {
  std::string out;
  for (std::int64_t i = 0; i < times; ++i) out += text;
  return out;
}

constexpr ControlToken common_names[] = {{0, "<pad>"}, {1, "<eos>"}, {2, "<bos>"}, {3, "<unk>"}, {4, "<mask>"}};
// Words in the order of their length: ba, be, ..., baba, babe, ...
std::string word(std::int64_t index) {
  constexpr std::string_view consonants = "bdfghjklmnprstvwz", vowels = "aeiou";
  constexpr auto syllables = static_cast<std::int64_t>(consonants.size() * vowels.size());
  std::string text;
  for (++index; index > 0; index = (index - 1) / syllables) {
    const auto syllable = static_cast<std::size_t>((index - 1) % syllables);
    text.insert(0, {consonants[syllable / vowels.size()], vowels[syllable % vowels.size()]});
  }
  return text;
}

std::string utf8(char32_t c) {
  const auto byte = [](char32_t bits) { return static_cast<char>(bits); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xc0 | c >> 6), byte(0x80 | (c & 0x3f))};
  return {byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f))};
}

// The single characters behind the space: printable ASCII, then on from U+00A1 without the space itself.
std::string character(std::int64_t index) {
  constexpr char32_t first_ascii = '!', past_ascii = 0x7f, first_other = 0xa1;
  char32_t c = first_ascii + static_cast<char32_t>(index);
  if (c >= past_ascii) c += first_other - past_ascii;
  if (c >= space_code_point) ++c;
  return utf8(c);
}

// Runs of whitespace are made by merges, or listed as text to be cut out.
Token token_at(bool merged, std::int64_t id) {
  const TokenType run = merged ? TokenType::normal : TokenType::user_defined;
  if (id >= first_newlines && id < first_spaces) return {repeated("\n", id - first_newlines + 1), run};
  if (id >= first_spaces && id < first_markup) return {repeated(merged ? space : " ", id - first_spaces + 2), run};
  if (id >= first_byte && id < first_word) return {fmt::format("<0x{:02X}>", id - first_byte), TokenType::byte};
  if (id >= first_word && id < space_id) {
    const std::int64_t index = id - first_word;
    return {(index % 2 == 0 ? std::string(space) : "") + word(index / 2), TokenType::normal};
  }
  if (id == space_id) return {std::string(space), TokenType::normal};
  if (id > space_id && id < tab_id) return {character(id - space_id - 1), TokenType::normal};
  if (id == tab_id) return {"\t", run};
  return {fmt::format("<unused{}>", id), TokenType::control};
}

}  // namespace

std::vector<Token> make_vocabulary(Family family, std::int64_t size) {
  std::vector<Token> tokens;
  tokens.reserve(static_cast<std::size_t>(size));
  const FamilyFiles& files = files_of(family);
  for (std::int64_t id = 0; id < size; ++id) tokens.push_back(token_at(files.merges_whitespace, id));
  const auto name = [&](const ControlToken& named) {
    if (named.id < size) tokens[static_cast<std::size_t>(named.id)] = {named.text, TokenType::control};
  };
  for (const ControlToken& named : common_names) name(named);
  for (const ControlToken& named : files.control_tokens) name(named);
  if (unknown_token < size) tokens[unknown_token].type = TokenType::unknown;
  return tokens;
}

std::vector<std::string> make_merges(const std::vector<Token>& tokens) {
  std::unordered_set<std::string_view> parts;
  for (const Token& token : tokens)
    if (token.type == TokenType::normal) parts.insert(token.text);
  std::vector<std::string> merges;
  for (const Token& token : tokens) {
    if (token.type != TokenType::normal) continue;
    const std::string_view text = token.text;
    for (std::size_t at = 1; at < text.size(); ++at)
      if (parts.contains(text.substr(0, at)) && parts.contains(text.substr(at)))
        merges.push_back(fmt::format("{} {}", text.substr(0, at), text.substr(at)));
  }
  return merges;
}

}  // namespace lazuli::synth
