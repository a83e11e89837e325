// SPDX-License-Identifier: MIT
// A text that grows by turns, some of them generated, and the runner that keeps its keys and values.
//
//   Conversation conversation(*model);
//   conversation.append(*tokenizer, render_chat(format, messages));
//   GenerateResult answer = conversation.generate(options);
//   conversation.append(*tokenizer, render_next_turn(format, "And why?"));
//   answer = conversation.generate(options);    // computes the new turn alone
//
// Whatever way it took, a text has the same bits: a token that was generated is computed by the decode program, as if
// the generation had gone on, and a token that was given by the prompt program.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/models/generation/cache_file.h>
#include <lazuli/models/generation/generate.h>
#include <lazuli/models/text/tokenizer.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

class OutputFile;

class LAZULI_API Conversation {
 public:
  // The model outlives the conversation.
  explicit Conversation(const LanguageModel& model, const RunnerOptions& options = {});

  // The whole text: what was given and what was generated, without end tokens.
  std::span<const std::int32_t> ids() const { return ids_; }
  // How many of them are in the caches. After generate() the last one usually is not: no step has read it.
  std::int64_t computed() const { return runner_.length(); }
  std::int64_t cache_bytes() const { return runner_.cache_bytes(); }

  // Adds to the text. Nothing is computed, or checked, before generate().
  void append(std::span<const std::int32_t> ids);
  // The begin-of-text token is put in front of the first text only.
  void append(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {});
  // A conversation, in which messages become no control tokens, whatever they say.
  void append(const Tokenizer& tokenizer, const ChatText& chat);
  // Makes `ids` the whole text. The caches keep what it has in common with the text so far, so far as the rings of
  // sliding windows still hold what its next token sees; otherwise all of it is computed again. Returns how many
  // positions are kept.
  std::int64_t assign(std::span<const std::int32_t> ids);

  // Computes what is not in the caches yet, and continues. Throws an Error when the text is empty, does not fit the
  // context, or holds ids outside the vocabulary; the text stays as it is, for assign() to mend. So it does where a
  // callback throws: what was generated until then is dropped.
  GenerateResult generate(const GenerateOptions& options);

  // Writes the text and its caches (models/cache_file.h) and commits the file. Throws an Error when nothing has been
  // computed yet.
  void save(OutputFile& file) const;
  // Takes the place of what the conversation holds, which an Error leaves as it is. The bits of what follows are those
  // of the conversation that was saved, had it gone on.
  void load(const std::string& path);

 private:
  void cut_back(std::int64_t length);
  Array compute_rest(const GenerateOptions& options);

  Runner runner_;
  std::vector<std::int32_t> ids_;
  IdRange generated_;  // of ids_, by the last generate(); what is not cached and not in here is a prompt
};

}  // namespace lazuli
