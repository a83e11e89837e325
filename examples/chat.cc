// SPDX-License-Identifier: MIT
// A conversation of several turns, each of which is computed once.
//   chat MODEL TURN...    what the user says, turn by turn; token ids ("5,6,7") where the model has no turns
#include <lazuli/lazuli.h>
#include <lazuli/models.h>

#include <iostream>
#include <sstream>

namespace lz = lazuli;

namespace {

std::vector<std::int32_t> parse_ids(const std::string& text) {
  std::vector<std::int32_t> ids;
  std::istringstream stream(text);
  for (std::string id; std::getline(stream, id, ',');) ids.push_back(std::stoi(id));
  return ids;
}

std::vector<std::int32_t> encode_turn(const lz::LanguageModel& model, const std::string& turn, bool first) {
  const auto tokenizer = model.tokenizer();
  const auto format = tokenizer ? lz::chat_format(*tokenizer) : std::nullopt;
  if (!format) return parse_ids(turn);
  const lz::ChatOptions options{.empty_thought = model.info().empty_thought};
  const lz::ChatMessage message{lz::ChatRole::user, turn};
  const lz::ChatText text =
      first ? lz::render_chat(*format, {&message, 1}, options) : lz::render_next_turn(*format, turn, options);
  return tokenizer->encode(text);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) throw lz::Error("usage: chat MODEL TURN...");
  const lz::Session session;
  const auto model = lz::load_model(argv[1]);
  lz::Conversation conversation(*model);
  const bool has_text = model->tokenizer() != nullptr;
  bool each_once = true;
  for (int i = 2; i < argc; ++i) {
    const std::vector<std::int32_t> turn = encode_turn(*model, argv[i], i == 2);
    conversation.append(turn);
    lz::GenerateOptions options;
    options.max_tokens = 64;
    options.on_token = [&](std::int32_t id, const std::string& text) {
      std::cout << (has_text ? text : std::to_string(id) + " ") << std::flush;
      return true;
    };
    options.on_rest = [](const std::string& text) { std::cout << text << std::flush; };
    options.on_prefill = [&](std::int64_t, std::int64_t total) { return each_once &= total == std::ssize(turn); };
    conversation.generate(options);
    std::cout << "\n";
  }
  return each_once ? 0 : 1;
} catch (const lz::Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
