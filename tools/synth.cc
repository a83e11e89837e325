// SPDX-License-Identifier: MIT
// lazuli synth: a checkpoint of a published architecture with random weights.
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/models/synth/synth.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/interrupt.h>
#include <lazuli/tools/support/one_of.h>
#include <lazuli/tools/support/options.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/output_folder.h>
#include <lazuli/tools/support/progress.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <optional>

namespace lazuli::tool {
namespace {

using synth::PlannedFile;

struct Options {
  CommonOptions common;
  std::string architecture, quantisation, output;
  std::int64_t layers = 0;  // 0: all
  std::int64_t seed = 0;
};

synth::Architecture architecture_of(const Options& options) try {
  synth::Architecture architecture = synth::find_architecture(options.architecture);
  return options.layers > 0 ? synth::shortened(std::move(architecture), options.layers) : architecture;
} catch (const Error& error) {
  fail_usage("{}", error.what());
}

std::vector<PlannedFile> plan(const Options& options) {
  const auto name = std::ranges::find(synth::quantisation_names, options.quantisation);
  const auto quantisation = static_cast<synth::Quantisation>(name - std::begin(synth::quantisation_names));
  const bool gguf = options.output.ends_with(".gguf");
  if (gguf ? !synth::fits_gguf(quantisation) : !synth::fits_folder(quantisation))
    fail_usage(
        "--quant {} does not go into {}; .gguf files take bf16, q4_0, q8_0 and q4_k_m, folders bf16, mlx4, mlx8 "
        "and nvfp4",
        options.quantisation, options.output);
  const synth::Architecture architecture = architecture_of(options);
  if (gguf) return {synth::plan_gguf(architecture, quantisation)};
  return synth::plan_folder(architecture, quantisation);
}

// Counts over all files.
struct Totals {
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;
};

Totals totals_of(const std::vector<PlannedFile>& files) {
  Totals totals;
  for (const PlannedFile& file : files) {
    totals.parameters += synth::element_count(file);
    totals.bytes += file.bytes;
  }
  return totals;
}

void write(const std::vector<PlannedFile>& files, const Options& options) {
  const int threads = options.common.threads > 0 ? options.common.threads : usable_cores();
  Progress progress("weights", totals_of(files).parameters);
  std::optional<OutputFolder> folder;
  if (!files[0].name.empty()) folder.emplace(options.output);
  std::int64_t done = 0;
  for (const PlannedFile& file : files) {
    synth::write_file(file, folder ? folder->file(file.name) : options.output, options.seed, threads,
                      [&](std::int64_t elements) {
                        check_interrupt();
                        progress.advance_to(done + elements);
                      });
    done += synth::element_count(file);
  }
  if (folder) folder->commit();
}

int run(const Options& options) {
  const std::vector<PlannedFile> files = plan(options);
  const Totals totals = totals_of(files);
  const auto start = std::chrono::steady_clock::now();
  write(files, options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (options.common.json)
    print_json({{"path", options.output},
                {"architecture", options.architecture},
                {"parameters", totals.parameters},
                {"bytes", totals.bytes},
                {"seconds", seconds}});
  else
    print(fmt::format("{}: {:.3f} G parameters, {:.2f} GB, written in {:.1f} s\n", options.output,
                      static_cast<double>(totals.parameters) / 1e9, static_cast<double>(totals.bytes) / 1e9, seconds));
  return success;
}

}  // namespace

Command add_synth(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("synth", "write a checkpoint of a published shape with random weights");
  add_common_options(*command, options->common, ModelOption::none);
  std::string names;
  for (const synth::Architecture& architecture : synth::published_architectures())
    names += (names.empty() ? "" : ", ") + architecture.name;
  command->add_option("--arch", options->architecture, names)->type_name("NAME")->required();
  command
      ->add_option("--quant", options->quantisation,
                   "bf16, q4_0, q8_0 or q4_k_m for .gguf; bf16, mlx4, mlx8 or nvfp4 for a folder")
      ->type_name("Q")
      ->required()
      ->check(one_of({std::begin(synth::quantisation_names), std::end(synth::quantisation_names)}));
  command->add_option("--layers", options->layers, "fewer layers, in the same pattern")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20));
  command->add_option("--seed", options->seed, "of the random weights")->type_name("S")->capture_default_str();
  command->add_option("-o,--output", options->output, "a file NAME.gguf, or a folder that is made")
      ->type_name("PATH")
      ->required();
  return {command, [options] { return run(*options); }};
}

}  // namespace lazuli::tool
