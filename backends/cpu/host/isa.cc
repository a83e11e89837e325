// SPDX-License-Identifier: MIT
#include <cpuid.h>
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/graph/base/fail.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace lazuli {
namespace {

constexpr std::array<std::string_view, 4> isa_names{"scalar", "avx2", "avx512", "amx"};

// Intel SDM volume 2, CPUID: leaf, sub-leaf, output register and bit of each feature; volume 1, 13.3: XCR0 bits.
enum class Register { eax, ebx, ecx, edx };

struct Feature {
  Isa level;
  std::string_view name;
  std::uint32_t leaf;
  Register output;
  int bit;
  std::uint32_t subleaf = 0;
};

constexpr Feature features[] = {
    {Isa::avx2, "FMA", 1, Register::ecx, 12},           {Isa::avx2, "OSXSAVE", 1, Register::ecx, 27},
    {Isa::avx2, "F16C", 1, Register::ecx, 29},          {Isa::avx2, "AVX2", 7, Register::ebx, 5},
    {Isa::avx512, "AVX512F", 7, Register::ebx, 16},     {Isa::avx512, "AVX512DQ", 7, Register::ebx, 17},
    {Isa::avx512, "AVX512BW", 7, Register::ebx, 30},    {Isa::avx512, "AVX512VL", 7, Register::ebx, 31},
    {Isa::avx512, "AVX512_VNNI", 7, Register::ecx, 11}, {Isa::amx, "AMX-TILE", 7, Register::edx, 24},
    {Isa::amx, "AMX-INT8", 7, Register::edx, 25},       {Isa::amx, "AMX-BF16", 7, Register::edx, 22},
    {Isa::amx, "AVX512_BF16", 7, Register::eax, 5, 1},
};

struct SavedState {
  Isa level;
  std::string_view name;
  std::uint64_t mask;
};

constexpr SavedState saved_states[] = {
    {Isa::avx2, "YMM", 0x6},
    {Isa::avx512, "ZMM", 0xe6},
    {Isa::amx, "AMX tile", 0x60000},
};

constexpr long arch_request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM, asm/prctl.h
constexpr long tile_data_feature = 18;            // XFEATURE_XTILEDATA

bool has(const Feature& feature) {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(feature.leaf, feature.subleaf, &eax, &ebx, &ecx, &edx) == 0) return false;
  const std::uint32_t words[] = {eax, ebx, ecx, edx};
  const std::uint32_t word = words[static_cast<int>(feature.output)];
  return (word >> feature.bit & 1) != 0;
}

// Only valid where CPUID reports OSXSAVE: the instruction faults otherwise.
std::uint64_t enabled_states() {
  std::uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<std::uint64_t>(high) << 32 | low;
}

std::string missing(Isa level) {
  std::string absent;
  for (const Feature& feature : features) {
    if (feature.level != level || has(feature)) continue;
    absent += absent.empty() ? "the CPU lacks " : ", ";
    absent += feature.name;
  }
  if (!absent.empty()) return absent;
  for (const SavedState& state : saved_states) {
    if (state.level == level && (enabled_states() & state.mask) != state.mask) {
      return fmt::format("the operating system does not save {} registers (XCR0)", state.name);
    }
  }
  if (level == Isa::amx && syscall(SYS_arch_prctl, arch_request_permission, tile_data_feature) != 0) {
    return fmt::format("the kernel refuses AMX tiles (arch_prctl: {})", std::strerror(errno));
  }
  return {};
}

std::vector<IsaLevel> detect() {
  std::vector<IsaLevel> levels{{Isa::scalar, true, {}}};
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::amx}) {
    const IsaLevel& below = levels.back();
    std::string reason = below.usable ? missing(isa) : below.reason;
    levels.push_back({isa, reason.empty(), reason});
  }
  return levels;
}

}  // namespace

std::string_view to_string(Isa isa) { return isa_names[static_cast<std::size_t>(isa)]; }

std::optional<Isa> parse_isa(std::string_view name) {
  for (std::size_t index = 0; index < isa_names.size(); ++index) {
    if (isa_names[index] == name) return static_cast<Isa>(index);
  }
  return std::nullopt;
}

const std::vector<IsaLevel>& isa_levels() {
  static const std::vector<IsaLevel> levels = detect();
  return levels;
}

bool supported(Isa isa) { return isa_levels()[static_cast<std::size_t>(isa)].usable; }

void require_isa(Isa isa, std::string_view where) {
  const IsaLevel& level = isa_levels()[static_cast<std::size_t>(isa)];
  if (!level.usable)
    fail(ErrorDetails{.op = std::string(where),
                      .expected = "an instruction set of this host",
                      .found = std::string(to_string(isa))},
         "{}: this host cannot run '{}': {}", where, to_string(isa), level.reason);
}

Isa choose_isa(std::optional<std::string_view> choice) {
  if (!choice || choice->empty()) {
    Isa best = Isa::scalar;
    for (const IsaLevel& level : isa_levels())
      if (level.usable) best = level.isa;
    return best;
  }
  const std::optional<Isa> isa = parse_isa(*choice);
  if (!isa)
    fail(ErrorDetails{.op = "LAZULI_ISA", .expected = "scalar, avx2, avx512 or amx", .found = std::string(*choice)},
         "LAZULI_ISA: unknown instruction set '{}'; expected scalar, avx2, avx512 or amx", *choice);
  require_isa(*isa, "LAZULI_ISA");
  return *isa;
}

Isa selected_isa() {
  const char* choice = std::getenv("LAZULI_ISA");
  return choose_isa(choice == nullptr ? std::nullopt : std::optional<std::string_view>(choice));
}

std::string cpu_name() {
  std::array<std::uint32_t, 12> words{};
  for (std::uint32_t part = 0; part < 3; ++part) {
    std::uint32_t* out = &words[part * 4];
    if (__get_cpuid(0x80000002u + part, out, out + 1, out + 2, out + 3) == 0) return "unknown x86-64 CPU";
  }
  char text[sizeof(words) + 1] = {};
  std::memcpy(text, words.data(), sizeof(words));
  std::string name(text);
  const std::size_t first = name.find_first_not_of(' ');
  if (first == std::string::npos) return "unknown x86-64 CPU";
  return name.substr(first, name.find_last_not_of(' ') - first + 1);
}

}  // namespace lazuli
