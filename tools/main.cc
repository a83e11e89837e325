// SPDX-License-Identifier: MIT
// lazuli: the command line. Status 0, 1 for failures, 2 for a bad command line, 130 when interrupted (143 by SIGTERM).
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/bus_error.h>
#include <lazuli/tools/support/descriptors.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/interrupt.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/version.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <new>
#include <span>
#include <sstream>
#include <string>
#include <vector>

namespace lazuli::tool {
namespace {

int report(int status, std::string message) {
  log("lazuli: " + message);
  return status;
}

// The parser's texts may span lines; ours do so only to list details.
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// What the first argument may have meant, where it is no command.
std::string near_commands(int argc, char** argv, std::span<const Command> commands) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.parser->get_name());
  const bool known = argc < 2 || argv[1][0] == '-' || std::find(names.begin(), names.end(), argv[1]) != names.end();
  return known ? std::string() : near_matches_text(argv[1], names);
}

int parse_and_run(int argc, char** argv) {
  CLI::App tool("A graph compiler and runtime for language models on CPUs", "lazuli");
  tool.require_subcommand(0, 1);
  tool.set_version_flag("--version", version_text());
  const Command commands[] = {add_generate(tool), add_logits(tool), add_perplexity(tool), add_tokenize(tool),
                              add_bench(tool),    add_graph(tool),  add_profile(tool),    add_explain(tool),
                              add_tune(tool),     add_synth(tool),  add_info(tool)};
  try {
    tool.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      std::ostringstream text;
      tool.exit(error, text, text);
      print(text.str());
      return success;
    }
    return report(usage, one_line(error.what()) + near_commands(argc, argv, commands));
  }
  const auto asked = std::find_if(std::begin(commands), std::end(commands),
                                  [](const Command& command) { return command.parser->parsed(); });
  if (asked == std::end(commands)) {
    std::string names;
    for (const Command& command : commands) names += (names.empty() ? "" : ", ") + command.parser->get_name();
    fail_usage("no command given; expected one of {}; --help shows more", names);
  }
  return asked->run();
}

int run(int argc, char** argv) {
  try {
    const int status = parse_and_run(argc, argv);
    print_now("");  // a full disk shows when the buffer is written
    return status;
  } catch (const UsageError& error) {
    return report(usage, error.what());
  } catch (const Interrupted& error) {
    return first_to_tell_interrupt() ? report(interrupted_status(), error.what()) : interrupted_status();
  } catch (const std::bad_alloc&) {
    log("lazuli: out of memory");  // which takes none
    return failure;
  } catch (const std::exception& error) {
    return report(failure, error.what());
  }
}

}  // namespace
}  // namespace lazuli::tool

int main(int argc, char** argv) {
  lazuli::tool::occupy_closed_descriptors();
  lazuli::tool::start_watching_interrupts();
  lazuli::tool::report_bus_errors();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows beyond its limit is an error of the write
  return lazuli::tool::run(argc, argv);
}
