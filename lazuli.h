// SPDX-License-Identifier: MIT
// Everything a program that embeds lazuli needs; models.h adds language models.
#pragma once

#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/graph/array.h>
#include <lazuli/graph/custom_op.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/graph.h>
#include <lazuli/graph/ops/attention.h>
#include <lazuli/graph/ops/control_flow.h>
#include <lazuli/graph/ops/operators.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/quantisation.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/shape_rules/dtype_rules.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/profile/trace.h>
#include <lazuli/runtime/session.h>
#include <lazuli/version.h>
