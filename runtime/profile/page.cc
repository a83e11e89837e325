// SPDX-License-Identifier: MIT
// A profile as one HTML page. It loads nothing: style, plots and the few lines that sort tables are inside.
#include <fmt/format.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/charts.h>
#include <lazuli/runtime/profile/profile_verdict.h>
#include <lazuli/runtime/profile/profiled_parts.h>

#include <algorithm>

namespace lazuli {
namespace {

using page::duration;
using page::escaped;

constexpr std::string_view style = R"(
:root { color-scheme: light dark; --page: #ffffff; --text: #1c2430; --dim: #5c6675; --line: #d9dee6; --card: #f4f6f9;
  --matmul: #3569b5; --attention: #23907a; --other: #d98324; --barrier: #c2504c; --idle: #c3cad4; --launch: #8a63b8; }
@media (prefers-color-scheme: dark) { :root { --page: #14181f; --text: #dfe5ee; --dim: #97a2b3; --line: #333b48;
  --card: #1d232d; --matmul: #6d9eea; --attention: #45b89f; --other: #eda24f; --barrier: #e07a75; --idle: #475160;
  --launch: #b08fe0; } }
body { margin: 0 auto; padding: 24px 32px 48px; max-width: 1136px; background: var(--page); color: var(--text);
  font: 14px/1.45 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 32px 0 8px; }
p { margin: 4px 0; } .dim, h2 small { color: var(--dim); font-weight: normal; }
.card { background: var(--card); border-left: 4px solid var(--matmul); padding: 10px 16px; margin: 14px 0; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 14px 0; }
.tiles div { background: var(--card); padding: 8px 14px; flex: 1 1 120px; }
.tiles b { display: block; font-size: 19px; font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; } svg text { font-size: 12px; fill: var(--text); }
.grid { stroke: var(--line); } .legend span { margin-right: 18px; white-space: nowrap; }
.legend i { display: inline-block; width: 11px; height: 11px; margin-right: 6px; background: currentColor; }
rect.matmul { fill: var(--matmul); } rect.attention { fill: var(--attention); } rect.other { fill: var(--other); }
rect.barrier { fill: var(--barrier); } rect.idle { fill: var(--idle); } rect.launch { fill: var(--launch); }
i.matmul { color: var(--matmul); } i.attention { color: var(--attention); } i.other { color: var(--other); }
i.barrier { color: var(--barrier); } i.idle { color: var(--idle); } i.launch { color: var(--launch); }
.scroll { overflow-x: auto; border: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13px; }
th { text-align: left; cursor: pointer; border-bottom: 2px solid var(--line); padding: 4px 8px; white-space: nowrap; }
td { border-bottom: 1px solid var(--line); padding: 3px 8px; }
th.n, td.n { text-align: right; white-space: nowrap; } td.wide { overflow-wrap: anywhere; }
)";

// Tables sort by the column that is clicked, numbers the largest first; the slider widens the timeline.
constexpr std::string_view script = R"(
for (const head of document.querySelectorAll('th')) head.onclick = () => {
  const body = head.closest('table').tBodies[0], column = head.cellIndex, number = head.classList.contains('n');
  const turn = head.dataset.turn = head.dataset.turn === '1' ? '-1' : '1';
  const value = row => { const text = row.cells[column].textContent; return number ? parseFloat(text) || 0 : text; };
  const order = (a, b) => number ? value(b) - value(a) : value(a).localeCompare(value(b));
  body.append(...[...body.rows].sort((a, b) => turn * order(a, b)));
};
const zoom = document.getElementById('zoom'), lanes = document.querySelector('.lanes');
zoom.oninput = () => lanes.style.width = 100 * 2 ** zoom.value + '%';
)";

double share(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

std::string section(std::string_view title, std::string_view note, const std::string& inside) {
  return fmt::format("<h2>{} <small>{}</small></h2>\n{}", title, note, inside);
}

std::string header(const Profile& profile) {
  std::string text = "<h1>lazuli profile</h1>\n";
  for (const auto& [name, value] : profile.labels) text += fmt::format("<p class=\"dim\">{}</p>\n", escaped(value));
  const StepVerdict verdict = judge(figures_of(profile));
  text += fmt::format("<div class=\"card\"><p><b>{}</b></p><p>{}</p></div>\n", escaped(verdict.text),
                      escaped(verdict.fusion_text));
  const double total = profile.pipeline.total_us();
  const auto tile = [&](const std::string& value, std::string_view name) {
    text += fmt::format("<div><b>{}</b>{}</div>", value, name);
  };
  text += "<div class=\"tiles\">";
  tile(duration(total), "one step");
  tile(fmt::format("{:.1f}", total > 0 ? 1e6 / total : 0), "steps a second");
  tile(fmt::format("{}", profile.nodes.size()), "launches");
  tile(fmt::format("{}", profile.barriers()), "barriers");
  const double spent = profile.wall_us * profile.threads;
  tile(fmt::format("{:.1f} %", share(profile.thread_us(ThreadState::barrier), spent)), "at barriers");
  tile(fmt::format("{:.1f} %", share(profile.thread_us(ThreadState::idle), spent)), "idle threads");
  if (profile.preemptions > 0) tile(fmt::format("{}", profile.preemptions), "times a core was taken away");
  if (profile.overhead)
    tile(fmt::format("{:.2f} %", 100 * profile.overhead->share),
         fmt::format("for profiling ({:.2f} to {:.2f} %)", 100 * profile.overhead->low, 100 * profile.overhead->high));
  return text + "</div>\n";
}

std::string pipeline(const StepPipeline& times) {
  const page::Part parts[] = {{"build", times.build_us, "other"},    {"lookup", times.lookup_us, "attention"},
                              {"launch", times.launch_us, "launch"}, {"run", times.run_us, "matmul"},
                              {"wait", times.wait_us, "barrier"},    {"sample", times.sample_us, "idle"}};
  return section("Pipeline", "what thread 0 does in one step", page::stacked_bar(parts));
}

std::string floors(const Profile& profile) {
  const double total = profile.pipeline.total_us();
  std::vector<page::BarRow> rows;
  const auto add = [&](std::string label, double us, std::string_view colour) {
    rows.push_back({std::move(label), us, colour, fmt::format("{}, {:.1f} %", duration(us), share(us, total))});
  };
  if (profile.limits)
    add(fmt::format("{:.1f} MB of weights at {:.1f} GB/s", profile.weight_bytes() * 1e-6, profile.limits->read_gbps),
        profile.floor_us(), "attention");
  add("the matmuls alone", profile.matmul_us(), "matmul");
  add("the run", profile.wall_us, "other");
  add("the step", total, "launch");
  return section("Floor", "reading every weight once, against the step", page::bar_rows(rows));
}

std::string by_op(const Profile& profile) {
  constexpr std::size_t most = 24;
  const double total = profile.wall_us * profile.threads;
  std::vector<page::BarRow> rows;
  const auto add = [&](const std::string& label, double us, std::string_view colour, const std::string& more) {
    rows.push_back({label, us, colour, fmt::format("{}, {:.1f} %{}", duration(us), share(us, total), more)});
  };
  double rest = 0;
  for (const OpTime& op : times_by_op(profile)) {
    if (rows.size() >= most) {
      rest += op.us;
      continue;
    }
    add(op.op, op.us, page::colour_of(op.kind),
        fmt::format(", {} launch{}", op.launches, op.launches == 1 ? "" : "es"));
    for (const OpTime& part : op.parts)
      add(fmt::format("{}: {}", op.op, part.op), part.us, page::colour_of(part.kind), "");
  }
  if (rest > 0) add("other ops", rest, "other", "");
  add("waiting at barriers", profile.thread_us(ThreadState::barrier), "barrier", "");
  add("idle", profile.thread_us(ThreadState::idle), "idle", "");
  return section("Time by op", "sums over threads; under a launch the kernels that fusion made it of",
                 page::bar_rows(rows));
}

// What lies outside of the layers may take many times as long as one: it would flatten them.
std::string by_layer(const Profile& profile) {
  std::vector<LayerTime> layers = times_by_layer(profile);
  const auto outside = std::stable_partition(
      layers.begin(), layers.end(), [](const LayerTime& layer) { return layer.layer.find('.') != std::string::npos; });
  std::vector<page::BarRow> rows;
  for (auto layer = outside; layer != layers.end(); ++layer) {
    const page::BarRow parts[] = {{"matmul", layer->matmul_us, "matmul", ""},
                                  {"attention", layer->attention_us, "attention", ""},
                                  {"other kernels", layer->other_us, "other", ""}};
    for (const page::BarRow& part : parts)
      if (part.value > 0)
        rows.push_back({fmt::format("{}: {}", layer->layer.empty() ? "no scope" : layer->layer, part.label), part.value,
                        part.colour, duration(part.value)});
  }
  layers.erase(outside, layers.end());
  return section("Time by layer", "µs, sums over threads", layers.empty() ? "" : page::layer_columns(layers)) +
         (rows.empty() ? "" : "<p class=\"dim\">outside of the layers</p>\n" + page::bar_rows(rows));
}

std::string timeline(const Profile& profile) {
  const page::Part names[] = {{"matmul", 0, "matmul"},   {"attention", 0, "attention"}, {"other kernels", 0, "other"},
                              {"barrier", 0, "barrier"}, {"idle", 0, "idle"},           {"launch", 0, "launch"}};
  std::string legend = "<p class=\"legend\">";
  for (const page::Part& name : names)
    legend += fmt::format("<span><i class=\"{}\"></i>{}</span>", name.colour, name.label);
  legend += "<label>zoom <input id=\"zoom\" type=\"range\" min=\"0\" max=\"6\" step=\"0.1\" value=\"0\"></label></p>\n";
  return section("Threads", "from the begin of the run; a lane a thread",
                 "<div class=\"scroll\">" + page::thread_lanes(profile) + "</div>" + legend);
}

struct Column {
  std::string_view name;
  std::string_view style;  // "n": numbers; "wide": may be broken anywhere
};

std::string table(std::span<const Column> columns, const std::vector<std::vector<std::string>>& rows) {
  std::string text = "<table><thead><tr>";
  for (const Column& column : columns) text += fmt::format("<th class=\"{}\">{}</th>", column.style, column.name);
  text += "</tr></thead><tbody>\n";
  for (const std::vector<std::string>& row : rows) {
    text += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i)
      text += fmt::format("<td class=\"{}\">{}</td>", columns[i].style, escaped(row[i]));
    text += "</tr>\n";
  }
  return text + "</tbody></table>\n";
}

std::string hot_table(const Profile& profile) {
  constexpr std::size_t most = 40;
  constexpr Column columns[] = {{"node", "n"},      {"µs", "n"},      {"share", "n"},    {"MB", "n"},
                                {"GB/s", "n"},      {"GFLOP/s", "n"}, {"of limit", "n"}, {"op", ""},
                                {"kernel", "wide"}, {"isa", ""},      {"scope", ""},     {"parts", ""}};
  std::vector<const ProfiledNode*> nodes;
  for (const ProfiledNode& node : profile.nodes) nodes.push_back(&node);
  std::stable_sort(nodes.begin(), nodes.end(), [](const auto* a, const auto* b) { return a->us > b->us; });
  nodes.resize(std::min(nodes.size(), most));
  std::vector<std::vector<std::string>> rows;
  for (const ProfiledNode* node : nodes)
    rows.push_back({fmt::format("{}", node->id), fmt::format("{:.1f}", node->us),
                    fmt::format("{:.2f} %", share(node->us, profile.wall_us * profile.threads)),
                    fmt::format("{:.2f}", node->bytes * 1e-6), fmt::format("{:.1f}", node->gbps()),
                    fmt::format("{:.1f}", node->gflops()),
                    profile.limits ? fmt::format("{:.0f} %", 100 * profile.limit_share(*node)) : "", node->op,
                    node->kernel, node->isa, node->scope, shares_of_parts(*node)});
  return section(
      "Hot nodes",
      "µs summed over threads, rates of the launch; a limit above 100 % means operands in a cache; click to sort",
      table(columns, rows));
}

std::string histogram(const CompiledGraph& compiled) {
  constexpr Column columns[] = {{"op", "wide"}, {"built", "n"}, {"after the passes", "n"}, {"runs", "n"}};
  std::vector<std::vector<std::string>> rows;
  OpCount sum;
  for (const OpCount& count : op_histogram(compiled)) {
    rows.push_back(
        {count.op, fmt::format("{}", count.built), fmt::format("{}", count.fused), fmt::format("{}", count.scheduled)});
    sum.built += count.built;
    sum.fused += count.fused;
    sum.scheduled += count.scheduled;
  }
  const page::BarRow bars[] = {
      {"built", static_cast<double>(sum.built), "idle", fmt::format("{} nodes", sum.built)},
      {"after the passes", static_cast<double>(sum.fused), "other", fmt::format("{} nodes", sum.fused)},
      {"runs", static_cast<double>(sum.scheduled), "matmul", fmt::format("{} launches", sum.scheduled)}};
  return section("Ops", "how often each stands in the graph; leaves left out",
                 page::bar_rows(bars) + table(columns, rows));
}

}  // namespace

std::string to_html(const Profile& profile) {
  std::string text = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>lazuli profile</title><style>{}</style></head><body>\n",
      style);
  text += header(profile) + pipeline(profile.pipeline) + floors(profile) + by_op(profile);
  text += by_layer(profile) + timeline(profile) + hot_table(profile) + histogram(*profile.compiled);
  return text + fmt::format("<script>{}</script></body></html>\n", script);
}

}  // namespace lazuli
