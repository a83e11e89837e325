// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/models/text/markers.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/tokenizer_properties.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lazuli::fuzz {
namespace {

using Ids = std::vector<std::int32_t>;

std::string streamed(const std::shared_ptr<const Tokenizer>& tokenizer, const Ids& ids, bool show_special) {
  StreamDecoder decoder(tokenizer, show_special);
  std::string text;
  for (const std::int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

std::string pieces(const Tokenizer& tokenizer, const Ids& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += tokenizer.piece(id);
  return text;
}

void check_ids(const std::shared_ptr<const Tokenizer>& tokenizer, const Ids& ids) {
  for (const std::int32_t id : ids)
    require(id >= 0 && id < tokenizer->vocab_size(), "encode gives tokens of the vocabulary");
  for (const bool show : {false, true})
    require(streamed(tokenizer, ids, show) == tokenizer->decode(ids, show), "a stream decodes as the whole does");
  require(pieces(*tokenizer, ids) == tokenizer->decode(ids, true), "pieces, joined, are what all decode to");
}

// Otherwise text becomes the unknown token, which a file may say is any.
bool spells_every_byte(const Tokenizer& tokenizer) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::optional<std::int32_t> id = tokenizer.find(fmt::format("<0x{:02X}>", byte));
    if (!id || tokenizer.type(*id) != TokenType::byte) return false;
  }
  return true;
}

}  // namespace

void check_tokenizer(const std::shared_ptr<const Tokenizer>& tokenizer, std::string_view text) {
  const bool spelled = spells_every_byte(*tokenizer);
  for (const bool add_bos : {false, true})
    for (const bool parse_special : {false, true})
      for (const bool spell_markers : {false, true}) {
        Ids ids;
        const EncodeOptions options{.add_bos = add_bos, .parse_special = parse_special, .spell_markers = spell_markers};
        if (!accepted([&] { ids = tokenizer->encode(text, options); })) continue;
        check_ids(tokenizer, ids);
        if (parse_special || !spell_markers || !spelled) continue;
        const bool has_bos = add_bos && !ids.empty() && tokenizer->bos() == ids[0];
        for (const std::int32_t id : std::span(ids).subspan(has_bos ? 1 : 0))
          require(!is_marker(tokenizer->piece(id)), "what others write becomes no marker", text);
      }
  for (const std::int32_t id : tokenizer->end_of_generation()) accepted([&] { tokenizer->piece(id); });
  for (const std::int32_t id : tokenizer->suppressed()) require(id >= 0, "suppressed tokens are not negative");
  accepted([&] { tokenizer->decode(Ids{tokenizer->vocab_size()}); });
  accepted([&] { tokenizer->decode(Ids{-1}); });
}

}  // namespace lazuli::fuzz
