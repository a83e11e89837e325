// Everything a program that embeds lazuli needs.
#pragma once

#include <lazuli/backends/profile.h>
#include <lazuli/backends/session.h>
#include <lazuli/graph/array.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/graph.h>
#include <lazuli/graph/ops.h>
#include <lazuli/graph/text.h>
#include <lazuli/graph/views.h>
