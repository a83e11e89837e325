// SPDX-License-Identifier: MIT
// The named sizes of a graph: those its inputs name (graph/types/named_axis.h). A run of its program brings one size
// for each.
#pragma once

#include <lazuli/graph/graph.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

struct NamedSize {
  const std::string* name;
  std::int64_t bound;
};

// In the order in which the inputs, by index, name them.
std::vector<NamedSize> dimensions_of(const Graph& graph);
// Where the name of the type stands among them; -1: it has none. Throws an InternalError for a name that is not there.
int dimension_of(const Type& type, std::span<const NamedSize> dimensions);

// Whether an argument of type `given` is one of type `declared`: equal, or of any size where that names an axis.
bool accepts(const Type& declared, const Type& given);
// The size that an argument which is accepted so brings; -1 where it brings none.
std::int64_t size_brought(const Type& declared, const Type& given);
// The sizes of a run, in the order of `dimensions`, from what its arguments bring: those of an argument of null bring
// nothing, and -1 is the bound. Throws an Error that begins with `where` for a size that is not 1 to the bound, and for
// two of one name.
std::vector<std::int64_t> sizes_of_run(std::span<const NamedSize> dimensions, std::span<const Type* const> declared,
                                       std::span<const std::int64_t> brought, std::string_view where);

// The graph of a run with these sizes, in the order of dimensions_of: nothing in it has a named axis any more.
Graph with_sizes(Graph graph, std::span<const std::int64_t> sizes);

}  // namespace lazuli
