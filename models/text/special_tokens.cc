// SPDX-License-Identifier: MIT
#include <lazuli/models/text/markers.h>
#include <lazuli/models/text/special_tokens.h>
#include <lazuli/models/text/unicode_classes.h>

#include <algorithm>
#include <queue>

namespace lazuli {
namespace {

constexpr std::string_view escaped_space = "\xe2\x96\x81";  // U+2581

std::size_t index_of(std::int32_t id) { return static_cast<std::size_t>(id); }

bool is_control(TokenType type) { return type == TokenType::control || type == TokenType::unknown; }

bool is_special(TokenType type) { return is_control(type) || type == TokenType::user_defined; }

// Bytes of white space at the end of `text`, and at its front.
std::size_t trailing_space(std::string_view text) {
  std::size_t bytes = 0;
  for (CodePoint c = last_code_point(text); c.bytes > 0 && is_white_space(c.value); c = last_code_point(text)) {
    bytes += c.bytes;
    text.remove_suffix(c.bytes);
  }
  return bytes;
}

std::size_t leading_space(std::string_view text) {
  std::size_t bytes = 0;
  for (CodePoint c = first_code_point(text); c.bytes > 0 && is_white_space(c.value); c = first_code_point(text)) {
    bytes += c.bytes;
    text.remove_prefix(c.bytes);
  }
  return bytes;
}

// Whether no character of a word touches text[begin, end).
bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const CodePoint before = last_code_point(text.substr(0, begin)), behind = first_code_point(text.substr(end));
  return !(before.bytes > 0 && is_word(before.value)) && !(behind.bytes > 0 && is_word(behind.value));
}

}  // namespace

std::string escape_spaces(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size() + text.size() / 2);
  for (const char c : text) c == ' ' ? escaped.append(escaped_space) : escaped.append(1, c);
  return escaped;
}

TokenPrefixes::TokenPrefixes(std::vector<Entry> entries) : sorted_(std::move(entries)) {
  std::stable_sort(sorted_.begin(), sorted_.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
  for (std::size_t i = sorted_.size(); i-- > 0;) first_[static_cast<unsigned char>(sorted_[i].text[0])].first = i;
  for (std::size_t i = 0; i < sorted_.size(); ++i)
    first_[static_cast<unsigned char>(sorted_[i].text[0])].second = i + 1;
}

std::pair<std::size_t, std::size_t> TokenPrefixes::narrowed(std::size_t low, std::size_t high, std::size_t depth,
                                                            char next) const {
  const auto range = std::ranges::equal_range(
      sorted_.begin() + static_cast<std::ptrdiff_t>(low), sorted_.begin() + static_cast<std::ptrdiff_t>(high),
      static_cast<unsigned char>(next), {},
      [depth](const Entry& entry) { return static_cast<unsigned char>(entry.text[depth]); });
  return {static_cast<std::size_t>(range.begin() - sorted_.begin()),
          static_cast<std::size_t>(range.end() - sorted_.begin())};
}

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) : prefixes_({}) {
  std::vector<TokenPrefixes::Entry> entries;
  for (std::size_t id = 0; id < vocabulary.texts.size(); ++id) {
    if (vocabulary.texts[id].empty() || !is_special(vocabulary.types[id])) continue;
    entries.push_back({vocabulary.texts[id], specials_.size()});
    specials_.push_back(
        {static_cast<std::int32_t>(id), is_control(vocabulary.types[id]), is_marker(vocabulary.texts[id])});
  }
  prefixes_ = TokenPrefixes(std::move(entries));
}

const TokenPrefixes::Entry* SpecialTokens::longest(std::string_view text, SpecialParsing parsing) const {
  return prefixes_.longest(text, [&](const TokenPrefixes::Entry& entry) {
    const Special& special = specials_[entry.index];
    return special.control ? parsing.control : parsing.markers || !special.marker;
  });
}

// A candidate cut off by a longer match tries its next shorter one, so the queue never holds more than one a position.
std::vector<SpecialTokens::Match> SpecialTokens::matches(std::string_view text, SpecialParsing parsing) const {
  const auto later = [](const Match& a, const Match& b) {
    return a.size != b.size ? a.size < b.size : a.begin > b.begin;
  };
  std::vector<Match> candidates;
  for (std::size_t at = 0; at < text.size(); ++at)
    if (const auto* entry = longest(text.substr(at), parsing))
      candidates.push_back({at, entry->text.size(), entry->index});
  std::vector<Match> taken;
  if (candidates.empty()) return taken;

  std::vector<bool> covered(text.size());
  std::priority_queue queue(later, std::move(candidates));
  while (!queue.empty()) {
    const Match match = queue.top();
    queue.pop();
    if (covered[match.begin]) continue;
    if (covered[match.begin + match.size - 1]) {
      if (match.size > 1)
        if (const auto* shorter = longest(text.substr(match.begin, match.size - 1), parsing))
          queue.push({match.begin, shorter->text.size(), shorter->index});
      continue;
    }
    std::fill_n(covered.begin() + static_cast<std::ptrdiff_t>(match.begin), match.size, true);
    taken.push_back(match);
  }
  std::ranges::sort(taken, {}, &Match::begin);
  return taken;
}

void SpecialTokens::split(std::string_view text, SpecialParsing parsing, const OnText& on_text,
                          const OnToken& on_token) const {
  std::size_t done = 0;
  for (const Match& match : matches(text, parsing)) {
    if (match.begin > done) on_text(text.substr(done, match.begin - done));
    on_token(specials_[match.index].id);
    done = match.begin + match.size;
  }
  if (done < text.size()) on_text(text.substr(done));
}

AddedTokens::AddedTokens(const Vocabulary& vocabulary)
    : raw_(make_pass(vocabulary, false)), normalised_(make_pass(vocabulary, true)) {}

AddedTokens::Pass AddedTokens::make_pass(const Vocabulary& vocabulary, bool normalized) {
  Pass pass;
  for (const AddedToken& token : *vocabulary.added) {
    const std::string_view text = vocabulary.texts[index_of(token.id)];
    if (token.normalized != normalized || text.empty()) continue;
    pass.tokens.push_back(token);
    pass.markers.push_back(is_marker(text));
    pass.texts.push_back(normalized ? escape_spaces(text) : std::string(text));
  }
  // Of equal texts the last entry is found: the first special token, or else the first token.
  std::vector<TokenPrefixes::Entry> entries;
  for (const bool special : {false, true})
    for (std::size_t i = pass.texts.size(); i-- > 0;)
      if (pass.tokens[i].special == special) entries.push_back({pass.texts[i], i});
  pass.prefixes = TokenPrefixes(std::move(entries));
  return pass;
}

// White space that a token takes with it may be another token's: that one counts as well, unless it takes the white
// space before it, of which nothing is left then. So it is in the library.
void AddedTokens::run(const Pass& pass, std::string_view text, SpecialParsing parsing, const OnText& on_text,
                      const OnToken& on_token) {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto* entry = pass.prefixes.longest(text.substr(at), [](const TokenPrefixes::Entry&) { return true; });
    if (entry == nullptr) {
      ++at;
      continue;
    }
    const AddedToken& token = pass.tokens[entry->index];
    std::size_t begin = at, end = at + entry->text.size();
    at = end;  // also where the match does not count
    if (token.special ? !parsing.control : !parsing.markers && pass.markers[entry->index]) continue;
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (token.lstrip) begin = std::max(begin - trailing_space(text.substr(0, begin)), done);
    if (token.rstrip) end += leading_space(text.substr(end));
    if (done < begin) on_text(text.substr(done, begin - done));
    if (begin < end) on_token(token.id);
    done = end;
  }
  if (done < text.size()) on_text(text.substr(done));
}

void AddedTokens::split(std::string_view text, SpecialParsing parsing, const OnText& on_text,
                        const OnToken& on_token) const {
  const auto normalise = [&](std::string_view rest) {
    run(normalised_, escape_spaces(rest), parsing, on_text, on_token);
  };
  run(raw_, text, parsing, normalise, on_token);
}

}  // namespace lazuli
