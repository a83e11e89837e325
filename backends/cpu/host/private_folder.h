// SPDX-License-Identifier: MIT
// Folders for files of this user alone: what others could write is never read back.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

namespace lazuli::cpu {

// Whether a file or folder belongs to this user and nobody else can write to it.
bool is_private(const struct stat& status);

// `root`/`kind`, opened; both are made where they are missing, and so is the folder `root` lies in. -1 where `root` is
// empty, and where one of the two is not this user's alone; `trouble`, if given, receives the path and the reason.
int open_private_folder(const std::string& root, const std::string& kind, std::string* trouble = nullptr);

bool is_temporary(std::string_view name);
// A file, readable and writable by its owner, of a name that is free, which goes into `name`; -1 where there is none.
int create_temporary(int folder, std::string& name);
// When it is complete: renames it; false where that fails.
bool publish_temporary(int folder, const std::string& temporary, const std::string& name);
void remove_temporary(int folder, const std::string& temporary);

}  // namespace lazuli::cpu
