// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/runtime/profile/charts.h>
#include <lazuli/tools/bench/bench_plot.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace lazuli::tool {
namespace {

using page::escaped;

// Pixels.
constexpr double width = 800, plot_height = 212, left = 70, right = 290, top = 36, bottom = 52;
constexpr double plot_width = width - left - right, title_height = 28, legend_row = 20;
constexpr double tip = 4;         // half the width of a bar's ends
constexpr double series_gap = 8;  // between the marks of two series over one value

// Told apart by people with any colour vision (Okabe and Ito 2008).
constexpr std::string_view colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"};

struct Point {
  std::size_t column;
  double median, least, most;
};
struct Series {
  std::string name;
  std::vector<Point> points;
};
struct Panel {
  BenchPart part;
  std::string key;                   // of the horizontal axis
  std::vector<std::string> columns;  // its values
  std::vector<Series> series;
  double most = 0;
};

std::string series_name(const BenchRun& run) {
  std::string name;
  for (std::size_t i = 1; i < run.labels.size(); ++i)
    name += (i > 1 ? " " : "") + run.labels[i].key + "=" + run.labels[i].value;
  return name;
}

Series& series_of(Panel& panel, const std::string& name) {
  const auto found =
      std::find_if(panel.series.begin(), panel.series.end(), [&](const Series& series) { return series.name == name; });
  if (found != panel.series.end()) return *found;
  return panel.series.emplace_back(Series{name, {}});
}

std::size_t column_of(Panel& panel, const std::string& value) {
  const auto found = std::find(panel.columns.begin(), panel.columns.end(), value);
  if (found == panel.columns.end()) return panel.columns.push_back(value), panel.columns.size() - 1;
  return static_cast<std::size_t>(found - panel.columns.begin());
}

std::vector<Panel> panels_of(const BenchReport& report) {
  std::vector<Panel> panels;
  for (const BenchPart part : {BenchPart::prompt, BenchPart::decode, BenchPart::run}) {
    Panel panel{.part = part, .key = {}, .columns = {}, .series = {}};
    for (const BenchRun& run : report.runs) {
      if (run.part != part || run.labels.empty()) continue;
      panel.key = run.labels[0].key;
      const auto [least, most] = std::minmax_element(run.rates.begin(), run.rates.end());
      const std::size_t column = column_of(panel, run.labels[0].value);
      series_of(panel, series_name(run)).points.push_back({column, median(run.rates), *least, *most});
      panel.most = std::max(panel.most, *most);
    }
    if (!panel.columns.empty()) panels.push_back(std::move(panel));
  }
  return panels;
}

bool starts_with_digit(const std::string& text) { return !text.empty() && text[0] >= '0' && text[0] <= '9'; }

std::string text_at(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, escaped(text));
}

std::string line_from(double x1, double y1, double x2, double y2, std::string_view colour) {
  return fmt::format("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2, y2, colour);
}

// One panel, its upper edge at `offset`.
class PanelWriter {
 public:
  PanelWriter(const Panel& panel, double offset)
      : panel_(panel), base_(offset + top + plot_height), step_(page::nice_step(panel.most, 5)) {
    scale_ = plot_height / (std::ceil(panel.most / step_) * step_);
  }

  std::string write() const {
    std::string svg = text_at(left, base_ - plot_height - 14, "start",
                              fmt::format("{}, {}", to_string(panel_.part), unit_of(panel_.part)));
    svg += axes();
    for (std::size_t i = 0; i < panel_.series.size(); ++i) svg += series(i);
    return svg;
  }

 private:
  double x(std::size_t column) const {
    return left + plot_width * (static_cast<double>(column) + 0.5) / static_cast<double>(panel_.columns.size());
  }
  double y(double value) const { return base_ - value * scale_; }

  std::string axes() const {
    std::string svg;
    for (double value = 0; y(value) > base_ - plot_height - 1; value += step_) {
      svg += line_from(left, y(value), left + plot_width, y(value), "#dddddd");
      svg += text_at(left - 8, y(value) + 4, "end", fmt::format("{:g}", value));
    }
    for (std::size_t column = 0; column < panel_.columns.size(); ++column)
      svg += text_at(x(column), base_ + 18, "middle", panel_.columns[column]);
    return svg + text_at(left + plot_width / 2, base_ + 38, "middle", panel_.key);
  }

  std::string series(std::size_t index) const {
    const Series& series = panel_.series[index];
    const std::string_view colour = colours[index % std::size(colours)];
    const double middle = (static_cast<double>(panel_.series.size()) - 1) / 2;
    const double shift = (static_cast<double>(index) - middle) * series_gap;
    std::string path, marks;
    for (const Point& point : series.points) {
      const double at = x(point.column) + shift;
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? 'M' : 'L', at, y(point.median));
      marks += line_from(at, y(point.least), at, y(point.most), colour);
      for (const double end : {point.least, point.most}) marks += line_from(at - tip, y(end), at + tip, y(end), colour);
      marks +=
          fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"/>\n", at, y(point.median), colour);
    }
    if (starts_with_digit(panel_.columns[0]))
      marks = fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n", path, colour) + marks;
    if (series.name.empty()) return marks;
    const double row = base_ - plot_height + 4 + legend_row * static_cast<double>(index),
                 column = left + plot_width + 16;
    return marks + fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"/>\n", column, row, colour) +
           text_at(column + 10, row + 4, "start", series.name);
  }

  const Panel& panel_;
  double base_;   // where the vertical axis is 0
  double step_;   // between its ticks
  double scale_;  // pixels a token/s
};

}  // namespace

std::string bench_svg(const BenchReport& report) {
  std::string drawn = text_at(left, 20, "start", report.model + "; " + host_text(report));
  double height = title_height;
  for (const Panel& panel : panels_of(report)) {
    drawn += PanelWriter(panel, height).write();
    height += top + std::max(plot_height, legend_row * static_cast<double>(panel.series.size())) + bottom;
  }
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
             "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
             width, height) +
         drawn + "</svg>\n";
}

}  // namespace lazuli::tool
