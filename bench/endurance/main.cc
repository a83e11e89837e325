// SPDX-License-Identifier: MIT
// Hours of work in one process: memory must stay flat, bits the same, and speed what it was at the same depth.
//   lazuli_endurance --tiny MODEL [--model MODEL] [--minutes N]
// MODEL is a checkpoint as the command line takes it; --tiny one of a moment's steps, --model one of real size. An hour
// is 100,000 steps, 10,000 chats and 200 loads of the tiny one, 20,000 steps, 500 chats and a full context of the
// other; other numbers of minutes are that part of it. Prints a table, and a line for whatever is not as it must be;
// status 1 where there is one.
#include <fmt/format.h>
#include <lazuli/graph/base/hash.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/models/load.h>
#include <lazuli/runtime/session.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {
namespace {

using Clock = std::chrono::steady_clock;
using Ids = std::vector<std::int32_t>;

// What memory may grow by between the first tenth of a part and its end. A leak of one node a step would be ten times
// as much after an hour.
constexpr double most_growth_mib = 16;
// What the last quarter of a part may take compared with the first: hosts with neighbours vary by a tenth or so.
constexpr double most_drift = 1.25;

// Anonymous memory of this process: what leaks is there, while mapped weights come and go with the page cache.
double memory_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "RssAnon:") {
      double kib = 0;
      status >> kib;
      return kib / 1024;
    }
  return 0;
}

Ids some_ids(std::int64_t count, std::int64_t vocabulary, std::int64_t seed) {
  Ids ids{2};
  for (std::int64_t i = 1; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>((i * i + 7 * i + 3 + 31 * seed) % (vocabulary - 8) + 4));
  return ids;
}

// Of the logits of every position of a fixed prompt, and of the tokens behind it.
std::uint64_t bits_of(const LanguageModel& model) {
  Runner runner(model, {});
  const Ids prompt = some_ids(24, model.info().vocab_size, 5);
  std::string bytes;
  Array last;
  runner.prefill_logits(prompt, [&](std::int64_t, const Array& logits, std::int64_t rows) {
    const auto data = logits.data<float>();
    bytes.append(reinterpret_cast<const char*>(data.data()),
                 static_cast<std::size_t>(rows * model.info().vocab_size) * sizeof(float));
  });
  Array token = Array::from({std::int32_t{7}}, {1});
  for (int step = 0; step < 8; ++step) {
    token = runner.decode_greedy(token);
    const std::int32_t id = token.item<std::int32_t>();
    bytes.append(reinterpret_cast<const char*>(&id), sizeof id);
  }
  return fnv1a(bytes);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

class Report {
 public:
  Report() {
    fmt::print("{:28} {:>9} {:>8} {:>12} {:>12} {:>7} {:>10} {:>10} {:>8}\n", "part", "count", "seconds", "first /s",
               "last /s", "drift", "MiB first", "MiB last", "growth");
    std::fflush(stdout);
  }

  // Calls round(i) for i in [0, rounds), each of which does `each` of what is counted.
  void part(const std::string& name, std::int64_t rounds, std::int64_t each,
            const std::function<void(std::int64_t)>& round) {
    std::vector<double> taken;
    taken.reserve(static_cast<std::size_t>(rounds));
    const auto begin = Clock::now();
    double first_memory = 0, last_memory = 0;
    const std::int64_t warm = std::max<std::int64_t>(1, rounds / 10);
    for (std::int64_t i = 0; i < rounds; ++i) {
      const auto start = Clock::now();
      round(i);
      taken.push_back(std::chrono::duration<double>(Clock::now() - start).count());
      if (i + 1 == warm) first_memory = memory_mib();
    }
    last_memory = memory_mib();
    const std::chrono::duration<double> whole = Clock::now() - begin;
    const auto behind = taken.begin() + warm / 2;  // the first rounds compile and lay weights out
    const auto quarter = std::max<std::ptrdiff_t>(1, (taken.end() - behind) / 4);
    const double first = median({behind, behind + std::min(quarter, taken.end() - behind)});
    const double last = median({taken.end() - quarter, taken.end()});
    const double growth = last_memory - first_memory, drift = last / first;
    fmt::print("{:28} {:9} {:8.1f} {:12.2f} {:12.2f} {:7.2f} {:10.1f} {:10.1f} {:+8.1f}\n", name, rounds * each,
               whole.count(), static_cast<double>(each) / first, static_cast<double>(each) / last, drift, first_memory,
               last_memory, growth);
    if (growth > most_growth_mib) fault(fmt::format("{}: memory grew by {:.1f} MiB", name, growth));
    constexpr std::int64_t enough = 8;  // rounds, to speak of a drift
    if (rounds >= enough && drift > most_drift) fault(fmt::format("{}: became {:.2f} times as slow", name, drift));
    std::fflush(stdout);
  }
  void bits(const std::string& name, std::uint64_t before, std::uint64_t after) {
    fmt::print("{:28} {:016x} {}\n", name + ": bits", after, before == after ? "as at the start" : "CHANGED");
    if (before != after) fault(fmt::format("{}: bits were {:016x}", name, before));
  }
  void fault(const std::string& text) { faults_.push_back(text); }
  int finish() const {
    for (const std::string& fault : faults_) fmt::print("fail: {}\n", fault);
    fmt::print("{}; memory may grow by {} MiB a part, and its last quarter take {} times its first\n",
               faults_.empty() ? "pass" : "fail", most_growth_mib, most_drift);
    return faults_.empty() ? 0 : 1;
  }

 private:
  std::vector<std::string> faults_;
};

struct Amounts {
  std::int64_t steps, chats;
  bool whole_context;
};

// Steps of one depth each time: a runner goes on to `depth` and back.
void decode_steps(Report& report, const std::string& name, const LanguageModel& model, std::int64_t steps,
                  std::int64_t depth) {
  Runner runner(model, {});
  const Ids prompt = some_ids(16, model.info().vocab_size, 1);
  depth = std::min(depth, runner.context() - 17);
  const std::int64_t rounds = std::max<std::int64_t>(1, steps / depth);
  report.part(name + " steps", rounds, depth, [&](std::int64_t) {
    if (runner.length() > 0) runner.truncate(0);
    Array token = runner.likeliest(runner.prefill(prompt));
    for (std::int64_t step = 0; step < depth; ++step) token = runner.decode_greedy(token);
    wait(token);
  });
}

// Two turns each, from a new conversation on.
void chats(Report& report, const std::string& name, const LanguageModel& model, std::int64_t count) {
  constexpr std::int64_t at_once = 5;
  report.part(name + " chats", std::max<std::int64_t>(1, count / at_once), at_once, [&](std::int64_t round) {
    for (std::int64_t i = 0; i < at_once; ++i) {
      Conversation conversation(model);
      GenerateOptions options;
      options.ignore_eos = true;
      for (const std::int64_t turn : {0, 1}) {
        conversation.append(some_ids(12, model.info().vocab_size, at_once * round + i + turn));
        options.max_tokens = 6;
        conversation.generate(options);
      }
    }
  });
}

void loads(Report& report, const std::string& name, const std::string& path, std::int64_t count) {
  std::uint64_t first = 0;
  report.part(name + " loads and drops", count, 1, [&](std::int64_t round) {
    const Session session;
    const std::uint64_t bits = bits_of(*load_model(path));
    if (round == 0) first = bits;
    if (bits != first) report.fault(fmt::format("{} loads: bits differ at load {}", name, round));
  });
}

// Filled by prompts, and then by steps up to its end.
void whole_context(Report& report, const std::string& name, const LanguageModel& model, std::int64_t positions) {
  constexpr std::int64_t piece = 1024, steps = 128;
  Runner runner(model, {});
  positions = std::min(positions, runner.context());
  if (positions < piece + steps) return;
  const std::int64_t pieces = std::max<std::int64_t>(1, (positions - steps) / piece);
  Array logits;
  const auto begin = Clock::now();
  for (std::int64_t i = 0; i < pieces; ++i) {
    logits = runner.prefill(some_ids(piece, model.info().vocab_size, i));
    wait(logits);
  }
  const std::chrono::duration<double> prompt = Clock::now() - begin;
  const auto middle = Clock::now();
  Array token = runner.likeliest(logits);
  std::int64_t done = 0;
  for (; done < steps && runner.length() < runner.context(); ++done) token = runner.decode_greedy(token);
  wait(token);
  const std::chrono::duration<double> decode = Clock::now() - middle;
  fmt::print("{:28} {:9} {:8.1f}   prompt {:.0f} tokens/s, steps at the end {:.1f} /s, caches {:.0f} MiB\n",
             name + " context", runner.length(), prompt.count() + decode.count(),
             static_cast<double>(pieces * piece) / prompt.count(), static_cast<double>(done) / decode.count(),
             static_cast<double>(runner.cache_bytes()) / (1 << 20));
  if (runner.greedy_flaw().item<float>() != 0) report.fault(name + " context: logits are not finite at its end");
}

void work_on(Report& report, const std::string& name, const std::string& path, const Amounts& amounts,
             std::int64_t depth) {
  const Session session;
  const auto model = load_model(path);
  const std::uint64_t before = bits_of(*model);
  decode_steps(report, name, *model, amounts.steps, depth);
  chats(report, name, *model, amounts.chats);
  if (amounts.whole_context) whole_context(report, name, *model, std::int64_t{32} << 10);
  report.bits(name, before, bits_of(*model));
}

std::int64_t part_of(std::int64_t amount, double minutes, std::int64_t least) {
  return std::max(least, static_cast<std::int64_t>(static_cast<double>(amount) * minutes / 60));
}

int main_of(int argc, char** argv) {
  std::string tiny, model;
  double minutes = 60;
  bool right = argc % 2 == 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i], value = argv[i + 1];
    if (name == "--tiny")
      tiny = value;
    else if (name == "--model")
      model = value;
    else if (name == "--minutes")
      right =
          right && std::from_chars(value.data(), value.data() + value.size(), minutes).ec == std::errc() && minutes > 0;
    else
      right = false;
  }
  if (!right || tiny.empty()) {
    std::fputs("lazuli_endurance --tiny MODEL [--model MODEL] [--minutes N]\n", stderr);
    return 2;
  }
  Report report;
  work_on(report, "tiny", tiny, {part_of(100'000, minutes, 500), part_of(10'000, minutes, 100), false}, 100);
  loads(report, "tiny", tiny, part_of(200, minutes, 10));
  if (!model.empty())
    work_on(report, "model", model,
            {part_of(20'000, minutes, 256), part_of(500, minutes, 10), /*whole_context=*/minutes >= 5}, 256);
  return report.finish();
}

}  // namespace
}  // namespace lazuli

int main(int argc, char** argv) {
  try {
    return lazuli::main_of(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "lazuli_endurance: {}\n", error.what());
    return 1;
  }
}
