// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/files/temporary_name.h>
#include <unistd.h>

#include <cerrno>

namespace lazuli {

std::string make_temporary(const std::string& path, const std::function<bool(const char* name)>& create) {
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

}  // namespace lazuli
