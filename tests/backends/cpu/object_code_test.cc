// SPDX-License-Identifier: MIT
// The loader of generated objects: what it runs, and what it makes of bytes that are damaged.
#include <elf.h>
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/jit/elf_object.h>
#include <lazuli/backends/cpu/jit/find_generator.h>
#include <lazuli/backends/cpu/jit/loop_body.h>
#include <lazuli/backends/cpu/jit/object_code.h>
#include <lazuli/backends/cpu/jit/perf_dump.h>
#include <lazuli/graph/graph.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/tests/support/error_of.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

namespace lazuli::cpu::jit {
namespace {

using test::error_of;
using Bytes = std::vector<std::byte>;

// y = sin(x)^2: constants, a call, and code.
Bytes sine_object() {
  static const Bytes object = [] {
    const Graph graph = parse_graph(
        "%0 = input {index=0} : f32[1,4]\n"
        "%1 = sin %0\n"
        "%2 = mul %1, %1\n"
        "return %2\n");
    const ColumnAccess access[] = {ColumnAccess::contiguous, ColumnAccess::contiguous};
    GeneratedObject generated;
    code_generator().generate(analyse(graph, access), "sine", Isa::scalar, generated);
    EXPECT_EQ(generated.fault, "");
    const auto* begin = reinterpret_cast<const std::byte*>(generated.bytes.data());
    return Bytes(begin, begin + generated.bytes.size());
  }();
  return object;
}

std::string load_error(const Bytes& object, const std::string& symbol = "sine") {
  return error_of([&] { ObjectCode(object, symbol); });
}

void run(const ObjectCode& code, const std::vector<float>& x, std::vector<float>& y) {
  LoopOperand operands[2];
  operands[0].base = const_cast<float*>(x.data());
  operands[1].base = y.data();
  LoopArguments arguments;
  arguments.columns = static_cast<std::int64_t>(x.size());
  arguments.operands = operands;
  reinterpret_cast<LoopFunction>(code.address())(&arguments, 0, 1);
}

TEST(ObjectCode, Runs) {
  // The last lies where generated code calls the C library.
  const std::vector<float> x{0.0f, 0.5f, -2.0f, 1e30f};
  std::vector<float> y(x.size());
  const ObjectCode code(sine_object(), "sine");
  run(code, x, y);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], std::sin(x[i]) * std::sin(x[i]), 1e-6f) << x[i];
}

TEST(ObjectCode, SeveralLiveSideBySide) {
  auto first = std::make_unique<ObjectCode>(sine_object(), "sine");
  const ObjectCode second(sine_object(), "sine");
  EXPECT_NE(first->address(), second.address());
  first.reset();
  const std::vector<float> x{1.0f};
  std::vector<float> y(1);
  run(second, x, y);
  EXPECT_NEAR(y[0], std::sin(1.0f) * std::sin(1.0f), 1e-6f);
}

TEST(ObjectCode, NoMemoryIsWritableAndExecutable) {
  const ObjectCode code(sine_object(), "sine");
  const auto address = reinterpret_cast<std::uint64_t>(code.address());
  std::ifstream maps("/proc/self/maps");
  std::string line, found;
  while (std::getline(maps, line)) {
    std::uint64_t begin = 0, end = 0;
    char dash = 0;
    std::string access;
    std::istringstream(line) >> std::hex >> begin >> dash >> end >> access;
    if (address >= begin && address < end) found = access;
    EXPECT_FALSE(access.starts_with("rwx")) << line;
  }
  EXPECT_EQ(found, "r-xp");
}

TEST(ObjectCode, EveryTruncationIsAnError) {
  const Bytes whole = sine_object();
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    ASSERT_TRUE(load_error(part).starts_with("object code: expected ")) << bytes;
  }
}

// Either it loads (bits of code and constants are anything) or it is an Error; nothing outside is touched.
TEST(ObjectCode, FlippedBitsDoNoHarm) {
  const Bytes whole = sine_object();
  std::size_t errors = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const unsigned mask : {1u << (i % 8), 0x80u, 0xffu}) {
      Bytes damaged = whole;
      damaged[i] ^= static_cast<std::byte>(mask);
      const std::string text = load_error(damaged);
      ASSERT_TRUE(text == "no error" || text.starts_with("object code: expected ")) << i << ": " << text;
      errors += text != "no error";
    }
  }
  EXPECT_GT(errors, 100u);
}

TEST(ObjectCode, SaysWhatIsMissing) {
  EXPECT_EQ(load_error(sine_object(), "cosine"), "object code: expected a function 'cosine', found none");
  Bytes object = sine_object();
  const std::string called = "lazuli_sin", other = "lazuli_sun";
  const auto name = std::search(object.begin(), object.end(), called.begin(), called.end(),
                                [](std::byte byte, char c) { return byte == static_cast<std::byte>(c); });
  ASSERT_NE(name, object.end());
  std::memcpy(&*name, other.data(), other.size());
  EXPECT_EQ(load_error(object), "object code: expected a function that generated code may call, found 'lazuli_sun'");
  object[static_cast<std::size_t>(name - object.begin())] = std::byte{'\n'};
  EXPECT_EQ(load_error(object), "object code: expected a function that generated code may call, found '?azuli_sun'");
  EXPECT_EQ(load_error(Bytes(200)), "object code: expected a relocatable ELF file for x86-64, found another");
}

// The sections that the header at e_shoff lists, patched one field at a time.
TEST(ObjectCode, RefusesWritableSections) {
  Bytes object = sine_object();
  bool patched = false;
  for (const ElfSection& section : read_elf_object(object).sections) {
    if (!section.executable) continue;
    Elf64_Xword flags = SHF_ALLOC | SHF_EXECINSTR | SHF_WRITE;
    std::memcpy(object.data() + section.header_at + offsetof(Elf64_Shdr, sh_flags), &flags, sizeof flags);
    patched = true;
  }
  ASSERT_TRUE(patched);
  EXPECT_EQ(load_error(object),
            "object code: expected code and constants, found section '.text' of type 1 with flags 0x7");
}

TEST(PerfDump, HoldsFunctionsByName) {
  std::string folder = (std::filesystem::temp_directory_path() / "lazuli_perf_dump_test.XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::byte code[] = {std::byte{0xc3}, std::byte{0x90}};
  {
    PerfDump dump(folder.c_str());
    dump.add("first", code);
    dump.add("second", std::span(code).first(1));
  }
  std::ifstream stream(folder + "/jit-" + std::to_string(getpid()) + ".dump", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  std::filesystem::remove_all(folder);
  const std::size_t header = 40, record = 56;
  ASSERT_EQ(text.size(), header + record + 6 + 2 + record + 7 + 1);
  EXPECT_EQ(text.substr(0, 4), "DTiJ");
  EXPECT_EQ(text.substr(header + record, 8), std::string("first\0\xc3\x90", 8));
  std::uint32_t bytes = 0;
  std::memcpy(&bytes, text.data() + header + 4, sizeof bytes);
  EXPECT_EQ(bytes, record + 8);
  EXPECT_EQ(text.substr(header + bytes + record, 7), std::string("second\0", 7));
  PerfDump(nullptr).add("nothing", code);
  PerfDump("/nonexistent").add("nothing", code);
}

}  // namespace
}  // namespace lazuli::cpu::jit
