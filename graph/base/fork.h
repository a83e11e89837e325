// SPDX-License-Identifier: MIT
// What a child made by fork() must know: the threads of its parent are not in it, and what they held or were doing
// stays as it was at that moment.
#pragma once

#include <cstdint>
#include <memory>

namespace lazuli {

// Counts the forks between the first process and this one. What was made under another number belongs to a parent.
std::uint64_t process_generation();

// Where its maker's threads are missing, an object that waits for them cannot end: it is kept to the end of the
// process instead.
void keep_for_ever(std::shared_ptr<const void> object);

// Throws the Error of a call on something of a parent process; `what` is such as "session: made".
[[noreturn]] void fail_after_fork(const char* what);

}  // namespace lazuli
