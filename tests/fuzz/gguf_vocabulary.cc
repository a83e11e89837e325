// SPDX-License-Identifier: MIT
// Vocabularies of GGUF files. Two parts: a text, and the file whose tokenizer encodes it.
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/tokenizer_properties.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  const auto parts = fuzz::parts_of(fuzz::text_of(data, size), 2);
  std::shared_ptr<const Tokenizer> tokenizer;
  fuzz::accepted([&] {
    const std::span bytes(parts[1].data(), parts[1].size());
    tokenizer = Tokenizer::from_gguf(GgufFile::parse("model.gguf", std::as_bytes(bytes), nullptr));
  });
  if (tokenizer) fuzz::check_tokenizer(tokenizer, parts[0]);
  return 0;
}
