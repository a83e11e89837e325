// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/foreign_memory.h>
#include <sys/mman.h>

#include <new>

namespace lazuli {

// Pages that nobody touches cost nothing but their reservation, which limits of the process and of the system count.
void reserve_for_foreign_code(std::size_t bytes) {
  void* room = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  munmap(room, bytes);
}

}  // namespace lazuli
