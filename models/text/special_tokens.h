// SPDX-License-Identifier: MIT
// Cuts special tokens out of raw text: as llama.cpp does, and as the tokenizers library does.
#pragma once

#include <lazuli/models/text/tokenizer.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lazuli {

// Texts of tokens, looked up by how a text begins.
class TokenPrefixes {
 public:
  struct Entry {
    std::string_view text;  // not empty
    std::size_t index;      // the caller's
  };

  explicit TokenPrefixes(std::vector<Entry> entries);

  // The longest entry at the front of `text` that `accepts`, the last of equal ones; null where there is none.
  template <class Accepts>
  const Entry* longest(std::string_view text, Accepts accepts) const {
    const Entry* found = nullptr;
    if (text.empty()) return found;
    auto [low, high] = first_[static_cast<unsigned char>(text[0])];
    for (std::size_t depth = 1; low < high; ++depth) {
      for (; low < high && sorted_[low].text.size() == depth; ++low)
        if (accepts(sorted_[low])) found = &sorted_[low];
      if (depth == text.size()) break;
      std::tie(low, high) = narrowed(low, high, depth, text[depth]);
    }
    return found;
  }

 private:
  // Of the entries [low, high), which share `depth` bytes, those with `next` behind them.
  std::pair<std::size_t, std::size_t> narrowed(std::size_t low, std::size_t high, std::size_t depth, char next) const;

  std::vector<Entry> sorted_;
  std::array<std::pair<std::size_t, std::size_t>, 256> first_{};  // range of the entries with this first byte
};

// Which special tokens text may hold.
struct SpecialParsing {
  bool control = false;  // control tokens
  bool markers = true;   // user-defined tokens that structure a conversation; other user-defined ones always
};

using OnText = std::function<void(std::string_view)>;
using OnToken = std::function<void(std::int32_t)>;

// llama.cpp's: special tokens are taken longest first, leftmost among equals, wherever they do not overlap one taken
// before: a long match keeps a shorter one to its left from starting.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  void split(std::string_view text, SpecialParsing parsing, const OnText& on_text, const OnToken& on_token) const;

 private:
  struct Special {
    std::int32_t id;
    bool control, marker;
  };
  struct Match {
    std::size_t begin, size, index;
  };

  const TokenPrefixes::Entry* longest(std::string_view text, SpecialParsing parsing) const;
  std::vector<Match> matches(std::string_view text, SpecialParsing parsing) const;  // by position

  std::vector<Special> specials_;
  TokenPrefixes prefixes_;
};

// The tokenizers library's: from left to right the longest token of those that match, first in the raw text the tokens
// that are not normalised, then in what is left, once spaces are U+2581, the others.
class AddedTokens {
 public:
  explicit AddedTokens(const Vocabulary& vocabulary);

  // on_text is given text with its spaces written as U+2581.
  void split(std::string_view text, SpecialParsing parsing, const OnText& on_text, const OnToken& on_token) const;

 private:
  struct Pass {
    std::vector<AddedToken> tokens;
    std::vector<bool> markers;
    std::vector<std::string> texts;
    TokenPrefixes prefixes{{}};
  };

  static Pass make_pass(const Vocabulary& vocabulary, bool normalized);
  static void run(const Pass& pass, std::string_view text, SpecialParsing parsing, const OnText& on_text,
                  const OnToken& on_token);

  Pass raw_, normalised_;
};

// Writes every space as U+2581.
std::string escape_spaces(std::string_view text);

}  // namespace lazuli
