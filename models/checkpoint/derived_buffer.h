// SPDX-License-Identifier: MIT
// Memory whose bytes are computed from other memory when somebody first asks for them.
#pragma once

#include <lazuli/graph/buffer.h>

#include <cstddef>
#include <functional>

namespace lazuli {

// `fill` writes all `bytes`; it is called by the first reader, and again by the first after release_pages(), so that a
// weight takes memory only from its first use until a backend has laid it out. It may be called from any thread, by one
// at a time. Two sessions that share a model across threads must not both be preparing it: one would release what the
// other still reads. Throws an Error when the address space is exhausted.
BufferRef make_derived_buffer(std::size_t bytes, std::function<void(std::byte*)> fill);

}  // namespace lazuli
