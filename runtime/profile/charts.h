// SPDX-License-Identifier: MIT
// Plots as inline SVG. Colours are classes that the page defines for light and dark; text is escaped here.
#pragma once

#include <lazuli/runtime/profile/profile.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::page {

std::string escaped(std::string_view text);
// The step of an axis' marks: 1, 2 or 5 times a power of ten, about `marks` of them up to `most`.
double nice_step(double most, double marks);
std::string duration(double us);  // "12.3 µs", "45.6 ms"
// "matmul", "attention" or "other": the class of its colour.
std::string_view colour_of(StepKind kind);

// One bar cut into parts, with a legend that names value and share of each.
struct Part {
  std::string label;
  double us = 0;
  std::string_view colour;
};
std::string stacked_bar(std::span<const Part> parts);

// A bar a row, all from the same zero.
struct BarRow {
  std::string label;
  double value = 0;
  std::string_view colour;
  std::string note;  // behind the bar
};
std::string bar_rows(std::span<const BarRow> rows);

// A column a layer, cut by kind of step, under the layer's number.
std::string layer_columns(std::span<const LayerTime> layers);

// A lane a thread, from the begin of the run to its end. Its width is that of the element around it.
std::string thread_lanes(const Profile& profile);

}  // namespace lazuli::page
