// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/tools/support/output.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace lazuli::tool {

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
    fail("standard output: cannot write: {}", std::strerror(errno));
}

void print_now(std::string_view text) {
  print(text);
  if (std::fflush(stdout) != 0) fail("standard output: cannot write: {}", std::strerror(errno));
  if (std::ferror(stdout)) fail("standard output: cannot write");
}

std::string json_text(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void print_json(const Json& document) { print_now(json_text(document)); }

void log(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fputc('\n', stderr);
}

}  // namespace lazuli::tool
