// SPDX-License-Identifier: MIT
// Paths put together.
#pragma once

#include <filesystem>
#include <string_view>

namespace lazuli {

// folder / name, by their text. The operator of libstdc++ ends the process where it finds no memory: it then destroys
// components that it has not made.
std::filesystem::path join_path(const std::filesystem::path& folder, std::string_view name);

}  // namespace lazuli
