// SPDX-License-Identifier: MIT
#include <lazuli/graph/files/join_path.h>

#include <string>

namespace lazuli {

std::filesystem::path join_path(const std::filesystem::path& folder, std::string_view name) {
  if (name.starts_with('/')) return std::string(name);  // stands for itself
  std::string text = folder.string();
  if (!text.empty() && text.back() != '/') text += '/';
  text += name;
  return text;
}

}  // namespace lazuli
