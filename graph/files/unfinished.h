// SPDX-License-Identifier: MIT
// What this process is writing under names that are not its own yet: whoever ends the process without unwinding can
// remove it all.
#pragma once

#include <functional>
#include <mutex>
#include <string>

namespace lazuli {

// Makes and notes a file or folder that is to take its name when it is complete. `create` gives the name, relative to
// the folder of the descriptor `folder` (AT_FDCWD: the working directory), which stays open; "" where it fails.
std::string make_unfinished(int folder, const std::function<std::string()>& create);
// It has taken its name, or is removed.
void forget_unfinished(int folder, const std::string& name);

// Removes what is noted, folders with all that is in them. Until the lock is given up nobody makes another one.
std::unique_lock<std::mutex> remove_unfinished();

}  // namespace lazuli
