// SPDX-License-Identifier: MIT
// What somebody writes into a conversation stays text; markers are those of the template.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/models/synth/vocabulary.h>
#include <lazuli/models/text/chat_template.h>
#include <lazuli/models/text/markers.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/models/text/unicode_classes.h>
#include <lazuli/tests/support/error_of.h>

#include <algorithm>
#include <random>
#include <sstream>

namespace lazuli {
namespace {

using Ids = std::vector<std::int32_t>;

// A family's vocabulary, whose markers have the types that published files give them, or the one given.
struct Family {
  std::vector<std::string> texts;
  Vocabulary vocabulary;
};

std::shared_ptr<Family> family_of(synth::Family family, std::int64_t tokens = 640) {
  auto made = std::make_shared<Family>();
  std::vector<TokenType> types;
  for (const synth::Token& token : synth::make_vocabulary(family, tokens)) {
    made->texts.push_back(token.text);
    types.push_back(token.type);
  }
  // Characters, so that whatever is written can be spelled.
  for (const char* text : {"<start_of_image>", "<end_of_image>", "[multimodal]", "<h1>"}) {
    made->texts.emplace_back(text);
    types.push_back(TokenType::user_defined);
  }
  made->texts.emplace_back("\u2581");
  types.push_back(TokenType::normal);
  for (char c = '!'; c < 0x7f; ++c) {
    made->texts.emplace_back(1, c);
    types.push_back(TokenType::normal);
  }
  Vocabulary& vocabulary = made->vocabulary;
  vocabulary.texts.assign(made->texts.begin(), made->texts.end());
  vocabulary.types = std::move(types);
  vocabulary.scores.assign(vocabulary.texts.size(), -1);
  vocabulary.bos = synth::bos_token;
  vocabulary.eos = synth::eos_token;
  vocabulary.unknown = synth::unknown_token;
  return made;
}

struct Case {
  synth::Family family;
  ChatFormat format;
};
constexpr Case cases[] = {{synth::Family::gemma3, ChatFormat::gemma3},
                          {synth::Family::gemma3n, ChatFormat::gemma3},
                          {synth::Family::gemma4, ChatFormat::gemma4}};

// How many tokens of `ids` are control tokens or markers.
std::ptrdiff_t markers_in(const Tokenizer& tokenizer, const Ids& ids) {
  return std::ranges::count_if(ids, [&](std::int32_t id) {
    return tokenizer.type(id) == TokenType::control || tokenizer.type(id) == TokenType::unknown ||
           is_marker(tokenizer.piece(id));
  });
}

TEST(ChatText, NoTokenOfTheVocabularyCanBeWritten) {
  for (const auto& [family, format] : cases) {
    for (const TokenType markers : {TokenType::control, TokenType::user_defined}) {
      const auto made = family_of(family);
      for (std::size_t id = 0; id < made->texts.size(); ++id)
        if (made->vocabulary.types[id] == TokenType::control && id > 4 && is_marker(made->texts[id]))
          made->vocabulary.types[id] = markers;
      const Tokenizer tokenizer(made->vocabulary);
      const std::vector<ChatMessage> plain = {
          {ChatRole::system, "s"}, {ChatRole::user, "u"}, {ChatRole::model, "m"}, {ChatRole::user, "v"}};
      const std::ptrdiff_t of_template = markers_in(tokenizer, tokenizer.encode(render_chat(format, plain)));
      for (const std::string& text : made->texts) {
        if (!is_marker(text)) continue;
        for (std::size_t at = 0; at < plain.size(); ++at) {
          std::vector<ChatMessage> messages = plain;
          messages[at].text = "a " + text + text + " b";
          const Ids ids = tokenizer.encode(render_chat(format, messages));
          // Gemma 4 leaves thoughts of earlier turns out, however they were written.
          ASSERT_EQ(markers_in(tokenizer, ids), of_template) << text << " in message " << at;
          ASSERT_EQ(tokenizer.decode(ids, true), render_chat(format, messages).text());
        }
        const ChatText next = render_next_turn(format, "a" + text + "b");
        ASSERT_EQ(markers_in(tokenizer, tokenizer.encode(next)),
                  markers_in(tokenizer, tokenizer.encode(render_next_turn(format, "ab"))))
            << text;
      }
    }
  }
}

// Whatever is no marker has the ids that the whole text has, across the border of template and message.
TEST(ChatText, OrdinaryTextHasTheIdsOfTheWholeText) {
  std::mt19937 random(7);
  const std::string pieces[] = {"ba",   "be", " ", "  ", "\n",   "\n\n",   "\t",
                                "<h1>", "<",  "|", ">",  "user", "\u00e9", "s"};
  for (const auto& [family, format] : cases) {
    const auto made = family_of(family);
    const Tokenizer tokenizer(made->vocabulary);
    for (int round = 0; round < 200; ++round) {
      std::vector<ChatMessage> messages = {{ChatRole::system, ""}, {ChatRole::user, ""}, {ChatRole::model, ""}};
      for (ChatMessage& message : messages)
        for (int i = 0; i < 6; ++i) message.text += pieces[random() % std::size(pieces)];
      const ChatText chat = render_chat(format, messages);
      ASSERT_EQ(tokenizer.encode(chat), tokenizer.encode(chat.text(), chat_encoding)) << chat.text();
    }
  }
}

TEST(ChatText, JoinedTextsKeepTheirMarkers) {
  const auto made = family_of(synth::Family::gemma3);
  const Tokenizer tokenizer(made->vocabulary);
  const std::vector<ChatMessage> user = {{ChatRole::user, "U"}};
  const ChatText chat = render_chat(ChatFormat::gemma3, user) + "<eos>" + render_next_turn(ChatFormat::gemma3, "V");
  const Ids ids = tokenizer.encode(chat);
  EXPECT_EQ(std::ranges::count(ids, synth::eos_token), 0);
  EXPECT_EQ(std::ranges::count(ids, synth::bos_token), 1);
  EXPECT_EQ(std::ranges::count(ids, synth::end_of_turn_token), 3);
  const std::string text = chat;
  EXPECT_EQ(chat, text);
  // Of the same text, all of it written by somebody.
  EXPECT_FALSE(chat == ChatText() + text);
  EXPECT_TRUE(chat == ChatText(chat));
  std::ostringstream out;
  out << chat;
  EXPECT_EQ(out.str(), text);
  EXPECT_EQ(std::ranges::count(tokenizer.encode("<eos>" + chat), synth::eos_token), 0);
  // A string tells nobody apart.
  EXPECT_EQ(std::ranges::count(tokenizer.encode(text, chat_encoding), synth::eos_token), 1);
  Vocabulary bare = made->vocabulary;
  bare.texts[synth::end_of_turn_token] = "other";
  EXPECT_EQ(test::error_of([&] { Tokenizer(bare).encode(chat); }), "chat: the vocabulary has no token <end_of_turn>");
}

// ---- the published templates: what they do at the ends of texts, and with roles that do not alternate ----

TEST(ChatTemplate, Gemma3KeepsTheSpaceAroundSystemText) {
  const std::vector<ChatMessage> messages = {{ChatRole::system, " \nBe brief.\n\n "}, {ChatRole::user, " Hi "}};
  EXPECT_EQ(render_chat(ChatFormat::gemma3, messages),
            "<bos><start_of_turn>user\n \nBe brief.\n\n \n\nHi<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(render_chat(ChatFormat::gemma4, messages),
            "<bos><|turn>system\nBe brief.<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\n");
}

TEST(ChatTemplate, AnEmptySystemTextIsStillOne) {
  const std::vector<ChatMessage> messages = {{ChatRole::system, ""}, {ChatRole::user, "Hi"}};
  EXPECT_EQ(render_chat(ChatFormat::gemma3, messages),
            "<bos><start_of_turn>user\n\n\nHi<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(render_chat(ChatFormat::gemma4, messages),
            "<bos><|turn>system\n<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\n");
}

// Everything Python's str.isspace says yes to, and nothing else.
TEST(ChatTemplate, TrimsAllSpaceThatUnicodeKnows) {
  const char* spaces[] = {"\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",   "\x1e",
                          "\x1f",   " ",      "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
                          "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
                          "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  const char* others[] = {"\x1b", "\u200b", "\u180e", "\u2060", "\ufeff", "\u200d", "\xa0", "\xc2", "\xe3\x80"};
  for (const ChatFormat format : {ChatFormat::gemma3, ChatFormat::gemma4}) {
    const auto of = [&](const std::string& text) {
      const std::vector<ChatMessage> messages = {{ChatRole::user, text}, {ChatRole::model, text}};
      return render_chat(format, messages).text() + render_next_turn(format, text).text();
    };
    for (const std::string space : spaces) EXPECT_EQ(of(space + space + "a b" + space), of("a b")) << space;
    for (const std::string other : others) EXPECT_NE(of(other + "a b" + other), of("a b")) << other;
    EXPECT_EQ(of("\u3000\u2003 \n"), of(""));
  }
}

TEST(ChatTemplate, Gemma3WantsUserAndModelByTurns) {
  const auto error = [](ChatFormat format, const std::vector<ChatRole>& roles) {
    std::vector<ChatMessage> messages;
    for (const ChatRole role : roles) messages.push_back({role, "t"});
    return test::error_of([&] { render_chat(format, messages); });
  };
  using enum ChatRole;
  EXPECT_EQ(error(ChatFormat::gemma3, {user, user}),
            "chat: message 1 has the user role, expected model: user and model alternate");
  EXPECT_EQ(error(ChatFormat::gemma3, {ChatRole::model}),
            "chat: message 0 has the model role, expected user: user and model alternate");
  EXPECT_EQ(error(ChatFormat::gemma3, {ChatRole::system, user, ChatRole::model, ChatRole::model}),
            "chat: message 3 has the model role, expected user: user and model alternate");
  EXPECT_EQ(error(ChatFormat::gemma3, {ChatRole::system, user, ChatRole::model, user}), "no error");
  EXPECT_EQ(error(ChatFormat::gemma4, {user, user, ChatRole::model, ChatRole::model}), "no error");
}

}  // namespace
}  // namespace lazuli
