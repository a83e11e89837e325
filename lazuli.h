// Everything a program that embeds lazuli needs.
#pragma once

#include <lazuli/graph/array.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/graph.h>
#include <lazuli/graph/ops.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/session.h>
