// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <lazuli/graph/files/temporary_name.h>
#include <lazuli/graph/files/unfinished.h>
#include <unistd.h>

#include <cerrno>

namespace lazuli {

namespace {

std::string create_free(const std::string& path, const std::function<bool(const char* name)>& create) {
  constexpr int max_attempts = 1000;
  std::string name = fmt::format("{}.tmp.{}", path, getpid());
  const std::size_t length = name.size();
  for (int attempt = 1;; ++attempt) {
    if (create(name.c_str())) return name;
    if (errno != EEXIST || attempt == max_attempts) return {};
    name.resize(length);
    name += fmt::format(".{}", attempt);
  }
}

}  // namespace

std::string make_temporary(const std::string& path, const std::function<bool(const char* name)>& create) {
  return make_unfinished(AT_FDCWD, [&] { return create_free(path, create); });
}

void forget_temporary(const std::string& name) { forget_unfinished(AT_FDCWD, name); }

}  // namespace lazuli
