// SPDX-License-Identifier: MIT
// Cache files damaged at every kind of byte: rebuilt, or refused, and never run wrong.
#include <gtest/gtest.h>
#include <lazuli/tests/faults/points.h>
#include <lazuli/tests/faults/work.h>
#include <lazuli/tests/support/golden_model.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

namespace lazuli::test {
namespace {

namespace fs = std::filesystem;

using Bytes = std::string;

struct Place {
  const char* name;
  std::function<void(Bytes&)> damage;
};

std::size_t key_bytes(const Bytes& file) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, file.data() + 8, sizeof bytes);
  return static_cast<std::size_t>(bytes);
}
std::size_t payload_bytes(const Bytes& file) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, file.data() + 16, sizeof bytes);
  return static_cast<std::size_t>(bytes);
}
std::size_t payload_at(const Bytes& file) { return (32 + key_bytes(file) + 4095) / 4096 * 4096; }

Place flip(const char* name, std::function<std::size_t(const Bytes&)> at) {
  return {name, [at = std::move(at)](Bytes& file) { file[at(file)] = static_cast<char>(file[at(file)] ^ 0x41); }};
}

// magic[8], bytes of the key, bytes of the payload, checksum, key, zeros, payload, readable tail (disk_cache.cc).
std::vector<Place> places() {
  return {
      flip("magic", [](const Bytes&) { return 0; }),
      flip("version", [](const Bytes&) { return 7; }),
      flip("length of the key", [](const Bytes&) { return 8; }),
      flip("length of the key, high", [](const Bytes&) { return 15; }),
      flip("length of the payload", [](const Bytes&) { return 16; }),
      flip("length of the payload, high", [](const Bytes&) { return 23; }),
      flip("checksum", [](const Bytes&) { return 24; }),
      flip("checksum, high", [](const Bytes&) { return 31; }),
      flip("key", [](const Bytes&) { return 32; }),
      flip("end of the key", [](const Bytes& file) { return 32 + key_bytes(file) - 1; }),
      flip("zeros behind the key", [](const Bytes& file) { return 32 + key_bytes(file); }),
      flip("first byte of the payload", payload_at),
      flip("headers of the object", [](const Bytes& file) { return payload_at(file) + 40; }),
      flip("middle of the payload", [](const Bytes& file) { return payload_at(file) + payload_bytes(file) / 2; }),
      flip("end of the payload", [](const Bytes& file) { return payload_at(file) + payload_bytes(file) - 1; }),
      flip("tail", [](const Bytes& file) { return payload_at(file) + payload_bytes(file); }),
      flip("last byte", [](const Bytes& file) { return file.size() - 1; }),
      {"all of the payload zero",
       [](Bytes& file) {
         const auto begin = file.begin() + static_cast<std::ptrdiff_t>(payload_at(file));
         std::fill(begin, begin + static_cast<std::ptrdiff_t>(payload_bytes(file)), '\0');
       }},
      {"empty", [](Bytes& file) { file.clear(); }},
      {"cut in the header", [](Bytes& file) { file.resize(20); }},
      {"cut behind the key", [](Bytes& file) { file.resize(32 + key_bytes(file)); }},
      {"cut in the payload", [](Bytes& file) { file.resize(payload_at(file) + payload_bytes(file) / 2); }},
      {"cut in the tail", [](Bytes& file) { file.resize(payload_at(file) + payload_bytes(file)); }},
      {"longer", [](Bytes& file) { file.resize(file.size() + 4096); }},
  };
}

class CacheDamage : public testing::Test {
 protected:
  static fs::path cache() { return fs::path(std::getenv("XDG_CACHE_HOME")) / "lazuli"; }
  static std::map<fs::path, Bytes> entries() {
    std::map<fs::path, Bytes> found;
    for (const auto& entry : fs::recursive_directory_iterator(cache()))
      if (entry.is_regular_file()) {
        std::ifstream stream(entry.path(), std::ios::binary);
        found[entry.path()] = {std::istreambuf_iterator<char>(stream), {}};
      }
    return found;
  }
  static void write(const fs::path& file, const Bytes& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  }
  static Bits call() {
    SessionOptions options = with_threads(1);
    const Session session(options);
    return generate_few(*load_model(golden_model_path(tiny_checkpoint)));
  }
};

TEST_F(CacheDamage, AtEveryKindOfByte) {
  const Bits expected = call();
  const std::map<fs::path, Bytes> whole = entries();
  ASSERT_GT(whole.size(), 4u);
  std::int64_t tried = 0;
  for (const Place& place : places()) {
    set_current_point(std::string("damage: ") + place.name, 0);
    for (const auto& [file, bytes] : whole) {
      Bytes damaged = bytes;
      place.damage(damaged);
      write(file, damaged);
      ++tried;
    }
    EXPECT_EQ(call(), expected) << place.name;
    // Rebuilt, or, where no byte that counts was touched, as it is: the next start finds everything.
    const Session session(with_threads(1));
    EXPECT_EQ(generate_few(*load_model(golden_model_path(tiny_checkpoint))), expected) << place.name;
    EXPECT_EQ(session.statistics().compiled_loops, 0) << place.name;
    EXPECT_EQ(session.statistics().laid_out_weights, 0) << place.name;
  }
  report_points("damaged cache files", tried, tried);
}

// Every byte of one kernel, one after the other.
TEST_F(CacheDamage, AtEveryByteOfAKernel) {
  const auto run = [] {
    Session session(with_threads(1));
    return run_small_graph(session);
  };
  const Bits expected = run();
  std::vector<std::pair<fs::path, Bytes>> kernels;
  for (const auto& [file, bytes] : entries())
    if (file.parent_path().filename() == "kernels") kernels.emplace_back(file, bytes);
  ASSERT_FALSE(kernels.empty());
  const auto& [file, bytes] = kernels[0];
  const auto count = static_cast<std::int64_t>(bytes.size());
  const std::vector<std::int64_t> points = sampled(up_to(count), 300);
  for (const std::int64_t point : points) {
    set_current_point("byte of a kernel", point);
    Bytes damaged = bytes;
    damaged[static_cast<std::size_t>(point - 1)] ^= 0x10;
    write(file, damaged);
    ASSERT_EQ(run(), expected) << current_point();
  }
  report_points("damaged bytes of a kernel", static_cast<std::int64_t>(points.size()), count);
}

}  // namespace
}  // namespace lazuli::test
