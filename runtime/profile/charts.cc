// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/runtime/profile/charts.h>
#include <lazuli/runtime/profile/profiled_parts.h>

#include <algorithm>
#include <cmath>

namespace lazuli::page {
namespace {

constexpr double chart_width = 1120;

std::string bar(double x, double y, double width, double height, std::string_view colour, const std::string& tip) {
  return fmt::format(
      "<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\" class=\"{}\"><title>{}</title></rect>", x, y,
      std::max(width, 0.0), height, colour, escaped(tip));
}

std::string text_at(double x, double y, std::string_view anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>", x, y, anchor, escaped(text));
}

std::string svg(double height, const std::string& inside) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\">{}</svg>\n", chart_width, height, inside);
}

std::string shortened(const std::string& text, std::size_t most) {
  return text.size() <= most ? text : text.substr(0, most - 1) + "…";
}

std::string legend(std::span<const Part> parts, double total) {
  std::string text = "<p class=\"legend\">";
  for (const Part& part : parts)
    text += fmt::format(
        "<span><i class=\"{}\"></i>{}{}</span>", part.colour, escaped(part.label),
        total > 0 ? fmt::format(" <b>{}</b>, {:.2f} %", duration(part.us), 100 * part.us / total) : std::string());
  return text + "</p>\n";
}

}  // namespace

double nice_step(double most, double marks) {
  const double rough = std::max(most / marks, 1e-9), power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough) return factor * power;
  return 10 * power;
}

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ') {  // not allowed in XML
      safe += ' ';
      continue;
    }
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string duration(double us) {
  return us < 10'000 ? fmt::format("{:.1f} µs", us) : fmt::format("{:.1f} ms", us * 1e-3);
}

std::string_view colour_of(StepKind kind) {
  return kind == StepKind::matmul ? "matmul" : kind == StepKind::attention ? "attention" : "other";
}

std::string stacked_bar(std::span<const Part> parts) {
  double total = 0;
  for (const Part& part : parts) total += part.us;
  std::string inside;
  double x = 0;
  for (const Part& part : parts) {
    const double width = total > 0 ? part.us / total * chart_width : 0;
    inside += bar(x, 0, width, 34, part.colour, fmt::format("{}: {}", part.label, duration(part.us)));
    x += width;
  }
  return svg(34, inside) + legend(parts, total);
}

std::string bar_rows(std::span<const BarRow> rows) {
  constexpr double label_width = 300, note_width = 280, row_height = 24;
  double most = 1e-9;
  for (const BarRow& row : rows) most = std::max(most, row.value);
  std::string inside;
  double y = 0;
  for (const BarRow& row : rows) {
    const double width = row.value / most * (chart_width - label_width - note_width);
    inside += text_at(label_width - 10, y + 16, "end", shortened(row.label, 40));
    inside += bar(label_width, y + 3, std::max(width, 1.0), row_height - 6, row.colour, row.label + ": " + row.note);
    inside += text_at(label_width + width + 8, y + 16, "start", row.note);
    y += row_height;
  }
  return svg(y, inside);
}

std::string layer_columns(std::span<const LayerTime> layers) {
  constexpr double left = 60, height = 180, label_height = 26;
  double most = 1e-9;
  for (const LayerTime& layer : layers) most = std::max(most, layer.us());
  std::string inside;
  const double step = nice_step(most, 4);
  for (int i = 0; i * step <= most; ++i) {
    const double mark = i * step;
    const double y = height - mark / most * (height - 10);
    inside +=
        fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" class=\"grid\"/>", left, chart_width, y, y);
    inside += text_at(left - 8, y + 4, "end", fmt::format("{:.6g}", mark));
  }
  const double slot = (chart_width - left) / static_cast<double>(std::max<std::size_t>(layers.size(), 1));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerTime& layer = layers[i];
    const double x = left + slot * static_cast<double>(i), width = std::min(slot * 0.8, 48.0), middle = x + slot / 2;
    double y = height;
    for (const auto& [us, colour] : {std::pair(layer.matmul_us, "matmul"), std::pair(layer.attention_us, "attention"),
                                     std::pair(layer.other_us, "other")}) {
      const double part = us / most * (height - 10);
      y -= part;
      inside +=
          bar(middle - width / 2, y, width, part, colour, fmt::format("{}, {}: {}", layer.layer, colour, duration(us)));
    }
    inside += text_at(middle, height + 16, "middle", layer.layer.substr(layer.layer.rfind('.') + 1));
  }
  const Part names[] = {{"matmul", 0, "matmul"}, {"attention", 0, "attention"}, {"other kernels", 0, "other"}};
  return svg(height + label_height, inside) + legend(names, 0);
}

std::string thread_lanes(const Profile& profile) {
  constexpr double lane = 34, axis = 22;
  constexpr std::string_view states[] = {"", "launch", "barrier", "idle"};
  const double wall = std::max(profile.wall_us, 1e-9);
  const double height = axis + lane * profile.threads;
  std::string text = fmt::format("<svg class=\"lanes\" height=\"{:.0f}\">", height);
  const double step = nice_step(wall, 10);
  for (int i = 0; i * step < wall; ++i) {
    const double mark = i * step;
    text += fmt::format(
        "<line x1=\"{0:.3f}%\" x2=\"{0:.3f}%\" y1=\"0\" y2=\"{1:.0f}\" class=\"grid\"/>"
        "<text x=\"{0:.3f}%\" dx=\"3\" y=\"13\">{2}</text>",
        100 * mark / wall, height, duration(mark));
  }
  for (const ProfiledSpan& span : profile.spans) {
    const bool computes = span.state == ThreadState::computes;
    std::string_view colour = states[static_cast<std::size_t>(span.state)];
    std::string tip = fmt::format("{} {}", duration(span.us), colour);
    if (computes) {
      const ProfiledNode& node = profile.nodes[static_cast<std::size_t>(span.node)];
      colour = colour_of(node.kind);
      tip = fmt::format("{} {}, {}, {}", duration(span.us), node.op, node.kernel, node.scope);
      if (!node.parts.empty()) tip += fmt::format(" ({})", shares_of_parts(node));
    }
    text += fmt::format(
        "<rect x=\"{:.4f}%\" width=\"{:.4f}%\" y=\"{:.0f}\" height=\"{:.0f}\" class=\"{}\"><title>{}</title></rect>",
        100 * span.begin_us / wall, 100 * span.us / wall, axis + lane * span.thread + 2, lane - 4, colour,
        escaped(tip));
  }
  return text + "</svg>\n";
}

}  // namespace lazuli::page
