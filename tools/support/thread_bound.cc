// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/thread_bound.h>

#include <charconv>
#include <system_error>

namespace lazuli::tool {

std::string bounded_threads(const std::string& asked) {
  int threads = 0;
  const auto [end, error] = std::from_chars(asked.data(), asked.data() + asked.size(), threads);
  if (error != std::errc() || end != asked.data() + asked.size() || threads > max_threads) return asked;
  const int most = usable_cores();
  if (threads <= most) return asked;
  static bool noted = false;
  if (!noted)
    log(fmt::format("note: {} threads asked for, more than the {} usable core{}; {} used", threads, most,
                    most == 1 ? "" : "s", most == 1 ? "1 is" : fmt::format("{} are", most)));
  noted = true;
  return fmt::format("{}", most);
}

}  // namespace lazuli::tool
