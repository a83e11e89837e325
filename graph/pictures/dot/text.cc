// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/pictures/dot/text.h>

#include <algorithm>
#include <cmath>

namespace lazuli::dot {
namespace {

// Length of the UTF-8 sequence at the start of `text`; 0 when it is not one. Graphviz rejects anything else.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  const bool no_character = (lead == 0xed && byte(1) >= 0xa0) || (lead == 0xf4 && byte(1) >= 0x90);
  return overlong || no_character ? 0 : length;
}

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const char c = text[0];
    if (length == 0 || (length == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)))
      out += "\xef\xbf\xbd";
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

// Graphviz reads escapes and entities inside quotes, so both are escaped.
std::string quoted(std::initializer_list<std::string_view> lines) {
  std::string out = "\"";
  for (std::string_view line : lines) {
    if (line.empty()) continue;
    if (out.size() > 1) out += "\\n";
    for (char c : html(line)) {
      if (c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

std::string bold(std::string_view text) { return fmt::format("<B>{}</B>", html(text)); }
std::string small(std::string_view text, std::string_view colour) {
  return fmt::format("<FONT POINT-SIZE=\"9\" COLOR=\"{}\">{}</FONT>", colour, html(text));
}

std::string heat_colour(double heat) {
  constexpr double stops[3][3] = {{255, 255, 255}, {255, 226, 168}, {245, 158, 130}};
  const double place = std::isfinite(heat) ? std::clamp(heat, 0.0, 1.0) * 2 : 0;
  const int left = place < 1 ? 0 : 1;
  int rgb[3];
  for (int i = 0; i < 3; ++i)
    rgb[i] = static_cast<int>(std::lround(stops[left][i] + (place - left) * (stops[left + 1][i] - stops[left][i])));
  return fmt::format("#{:02x}{:02x}{:02x}", rgb[0], rgb[1], rgb[2]);
}

}  // namespace lazuli::dot
