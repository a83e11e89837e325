// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/tests/support/environment_variable.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lazuli::cpu {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t plenty = std::int64_t{64} << 20;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::optional<std::string> text_of(const std::shared_ptr<const CacheEntry>& entry) {
  if (!entry) return std::nullopt;
  const std::span<const std::byte> payload = entry->payload();
  return std::string(reinterpret_cast<const char*>(payload.data()), payload.size());
}

class DiskCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "lazuli_cache_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    root_ = (folder_ / "cache" / "lazuli").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const fs::directory_entry& file : fs::directory_iterator(root_ + "/things")) found.push_back(file.path());
    return found;
  }
  // As if the file had been used last this long ago.
  static void age(const fs::path& file, int seconds) {
    const timespec then{std::time(nullptr) - seconds, 0}, times[] = {then, then};
    ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  }
  static void overwrite(const fs::path& file, std::int64_t offset, const std::string& text) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(offset);
    stream << text;
  }

  fs::path folder_;
  std::string root_;
};

TEST_F(DiskCacheTest, GivesBackWhatWasStored) {
  const std::string large(3 * static_cast<std::size_t>(checksum_piece_bytes) + 17, 'x');
  {
    DiskCache cache(root_, "things", plenty);
    ASSERT_TRUE(cache.enabled());
    EXPECT_EQ(cache.find("a"), nullptr);
    cache.store("a", bytes_of("first"));
    cache.store("a", bytes_of("second"));
    cache.store("b", bytes_of(large));
    cache.store("empty", {});
  }
  const DiskCache later(root_, "things", plenty);
  EXPECT_EQ(text_of(later.find("a")), "second");
  EXPECT_EQ(text_of(later.find("b")), large);
  EXPECT_EQ(text_of(later.find("empty")), "");
  EXPECT_EQ(later.find("c"), nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(later.find("a")->payload().data()) % 4096, 0u);
  EXPECT_EQ(DiskCache(root_, "others", plenty).find("a"), nullptr);
}

TEST_F(DiskCacheTest, BelongsToTheOwnerAlone) {
  DiskCache cache(root_, "things", plenty);
  cache.store("a", bytes_of("text"));
  for (const fs::path& folder : {fs::path(root_), fs::path(root_) / "things"})
    EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all) << folder;
  ASSERT_EQ(files().size(), 1u);
  EXPECT_EQ(fs::status(files()[0]).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(DiskCacheTest, DamageIsAMissAndIsReplaced) {
  const auto damage = [&](std::int64_t offset, const std::string& text) {
    DiskCache cache(root_, "things", plenty);
    cache.store("key", bytes_of("payload"));
    ASSERT_EQ(text_of(cache.find("key")), "payload");
    ASSERT_EQ(files().size(), 1u);
    overwrite(files()[0], offset, text);
    EXPECT_EQ(cache.find("key"), nullptr) << offset;
    cache.store("key", bytes_of("payload"));
    EXPECT_EQ(text_of(cache.find("key")), "payload") << offset;
  };
  damage(0, "LZCACHE0");  // written by another version
  damage(8, "\x7f");      // length of the key
  damage(16, "\x08");     // length of the payload
  damage(16, "\xff\xff\xff\xff\xff\xff\xff\x7f");
  damage(24, "12345678");  // checksum
  damage(32, "K");         // key
  damage(4096, "P");       // payload
  for (const std::uintmax_t size : {0u, 20u, 4096u, 4100u}) {
    DiskCache cache(root_, "things", plenty);
    fs::resize_file(files()[0], size);
    EXPECT_EQ(cache.find("key"), nullptr) << size;
    cache.store("key", bytes_of("payload"));
    EXPECT_EQ(text_of(cache.find("key")), "payload") << size;
  }
}

TEST_F(DiskCacheTest, AnotherKeysFileIsAMiss) {
  DiskCache cache(root_, "things", plenty);
  cache.store("one", bytes_of("1"));
  const fs::path one = files()[0];
  fs::rename(one, folder_ / "one");
  cache.store("two", bytes_of("2"));
  fs::rename(folder_ / "one", files()[0]);
  EXPECT_EQ(cache.find("two"), nullptr);
}

TEST_F(DiskCacheTest, EveryBitCountsInAChecksum) {
  std::string text(static_cast<std::size_t>(checksum_piece_bytes) + 100, 'x');
  const std::uint64_t whole = checksum(bytes_of(text));
  EXPECT_EQ(checksum(bytes_of(text), 0, 1) + checksum(bytes_of(text), 1, 2), whole);
  for (const std::size_t at : {std::size_t{0}, std::size_t{63}, text.size() - 101, text.size() - 1}) {
    text[at] ^= 1;
    EXPECT_NE(checksum(bytes_of(text)), whole) << at;
    text[at] ^= 1;
  }
  EXPECT_NE(checksum(bytes_of(text + '\0')), whole);
  std::swap_ranges(text.begin(), text.begin() + 8, text.begin() + 64);
  text[3] = 'y';
  const std::uint64_t first = checksum(bytes_of(text));
  std::swap(text[3], text[67]);
  EXPECT_NE(checksum(bytes_of(text)), first);
}

TEST_F(DiskCacheTest, FoldersOthersCanWriteToAreRefused) {
  DiskCache(root_, "things", plenty).store("a", bytes_of("text"));
  for (const std::string& folder : {root_, root_ + "/things"}) {
    ASSERT_EQ(chmod(folder.c_str(), 0770), 0);
    EXPECT_FALSE(DiskCache(root_, "things", plenty).enabled()) << folder;
    EXPECT_EQ(DiskCache(root_, "things", plenty).find("a"), nullptr) << folder;
    EXPECT_EQ(DiskCache(root_, "things", plenty).draft("b", 8), nullptr) << folder;
    ASSERT_EQ(chmod(folder.c_str(), 0755), 0);  // others may look
    EXPECT_TRUE(DiskCache(root_, "things", plenty).enabled()) << folder;
  }
}

TEST_F(DiskCacheTest, FoldersOfSomebodyElseAreRefused) {
  constexpr uid_t nobody = 65534;
  if (geteuid() != 0) {
    EXPECT_FALSE(DiskCache("/", "usr", plenty).enabled());
    return;
  }
  DiskCache(root_, "things", plenty).store("a", bytes_of("text"));
  for (const std::string& folder : {root_, root_ + "/things"}) {
    ASSERT_EQ(chown(folder.c_str(), nobody, nobody), 0);
    EXPECT_FALSE(DiskCache(root_, "things", plenty).enabled()) << folder;
    ASSERT_EQ(chown(folder.c_str(), 0, 0), 0);
  }
  ASSERT_EQ(chown(files()[0].c_str(), nobody, nobody), 0);
  EXPECT_EQ(DiskCache(root_, "things", plenty).find("a"), nullptr);
}

TEST_F(DiskCacheTest, FilesOthersCanWriteToAndLinksAreRefused) {
  DiskCache cache(root_, "things", plenty);
  cache.store("a", bytes_of("text"));
  const fs::path file = files()[0];
  ASSERT_EQ(chmod(file.c_str(), 0666), 0);
  EXPECT_EQ(cache.find("a"), nullptr);
  ASSERT_EQ(chmod(file.c_str(), 0600), 0);
  EXPECT_NE(cache.find("a"), nullptr);
  fs::rename(file, folder_ / "elsewhere");
  fs::create_symlink(folder_ / "elsewhere", file);
  EXPECT_EQ(cache.find("a"), nullptr);
  fs::remove(file);
  fs::rename(root_ + "/things", folder_ / "things");
  fs::create_directory_symlink(folder_ / "things", root_ + "/things");
  EXPECT_FALSE(DiskCache(root_, "things", plenty).enabled());
}

TEST_F(DiskCacheTest, WhatWasUsedLongestAgoMakesRoom) {
  const std::string text(6000, 'x');  // with its header and padding, 12 KB
  DiskCache cache(root_, "things", 40000);
  for (const char* key : {"a", "b", "c"}) {
    cache.store(key, bytes_of(text));
    for (const fs::path& file : files()) age(file, 100000);
  }
  ASSERT_EQ(files().size(), 3u);
  EXPECT_NE(cache.find("a"), nullptr);  // and is used now
  cache.store("d", bytes_of(text));
  EXPECT_EQ(files().size(), 3u);
  EXPECT_NE(cache.find("a"), nullptr);
  EXPECT_NE(cache.find("d"), nullptr);
  // Three entries are in use now: there is no room until an hour has passed.
  for (const char* key : {"b", "c"}) cache.find(key);
  cache.store("e", bytes_of(text));
  EXPECT_EQ(cache.find("e"), nullptr);
  EXPECT_EQ(cache.draft("f", 50000), nullptr);
  EXPECT_EQ(cache.draft("f", std::size_t{1} << 60), nullptr);
}

// A start may make thousands of kernels.
TEST_F(DiskCacheTest, AFullFolderIsNotListedForEachEntry) {
  const std::string text(6000, 'x');
  DiskCache cache(root_, "things", 40000);
  for (const char* key : {"a", "b", "c", "d"}) cache.store(key, bytes_of(text));
  EXPECT_EQ(cache.find("d"), nullptr);
  for (const fs::path& file : files()) fs::remove(file);
  cache.store("d", bytes_of(text));
  EXPECT_EQ(cache.find("d"), nullptr);  // nothing looked since
  DiskCache(root_, "things", 40000).store("d", bytes_of(text));
  EXPECT_NE(cache.find("d"), nullptr);
}

TEST_F(DiskCacheTest, WhatIsUsedAfterTheFolderWasListedStays) {
  const std::string text(6000, 'x');
  DiskCache cache(root_, "things", 40000);
  int seconds = 100000;
  for (const char* key : {"a", "b", "c"}) {
    const std::vector<fs::path> before = files();
    cache.store(key, bytes_of(text));
    for (const fs::path& file : files())
      if (std::ranges::count(before, file) == 0) age(file, seconds);
    seconds -= 10000;
  }
  cache.store("d", bytes_of(text));  // in the place of a
  EXPECT_NE(cache.find("b"), nullptr);
  cache.store("e", bytes_of(text));  // b was the next to go
  EXPECT_EQ(cache.find("a"), nullptr);
  EXPECT_NE(cache.find("b"), nullptr);
  EXPECT_EQ(cache.find("c"), nullptr);
  EXPECT_NE(cache.find("d"), nullptr);
  EXPECT_NE(cache.find("e"), nullptr);
}

TEST_F(DiskCacheTest, DraftsLeaveNothingUnlessPublished) {
  DiskCache cache(root_, "things", plenty);
  {
    const std::unique_ptr<CacheDraft> draft = cache.draft("a", 100);
    ASSERT_NE(draft, nullptr);
    EXPECT_EQ(files().size(), 1u);
    EXPECT_EQ(cache.find("a"), nullptr);
  }
  EXPECT_TRUE(files().empty());
  std::shared_ptr<const CacheEntry> published;
  {
    const std::unique_ptr<CacheDraft> draft = cache.draft("a", 4);
    std::memcpy(draft->payload().data(), "text", 4);
    published = draft->publish(checksum(draft->payload()));
  }
  EXPECT_EQ(text_of(published), "text");
  EXPECT_EQ(text_of(cache.find("a")), "text");
  EXPECT_EQ(files().size(), 1u);
}

TEST_F(DiskCacheTest, WritersThatDiedLeaveNothingForLong) {
  {
    const DiskCache makes_the_folder(root_, "things", plenty);
  }
  const fs::path left = root_ + "/things/.new.1.1", fresh = root_ + "/things/.new.1.2";
  const fs::path foreign = root_ + "/things/notes.txt";
  for (const fs::path& file : {left, fresh, foreign}) std::ofstream(file) << "text";
  for (const fs::path& file : {left, foreign}) age(file, 100000);
  DiskCache(root_, "things", plenty).store("a", bytes_of("text"));
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(fresh));
  EXPECT_TRUE(fs::exists(foreign));
}

// The number of a process that died may be this one's.
TEST_F(DiskCacheTest, NamesThatAreTakenArePassedOver) {
  DiskCache cache(root_, "things", plenty);
  std::string name;
  {
    const std::unique_ptr<CacheDraft> draft = cache.draft("a", 4);
    ASSERT_EQ(files().size(), 1u);
    name = files()[0].string();
  }
  const std::size_t number = name.rfind('.') + 1;
  for (int next = 1; next <= 5; ++next)
    std::ofstream(name.substr(0, number) + std::to_string(std::stoi(name.substr(number)) + next)) << "left";
  cache.store("a", bytes_of("text"));
  EXPECT_EQ(text_of(cache.find("a")), "text");
  EXPECT_EQ(files().size(), 6u);
}

TEST_F(DiskCacheTest, ProcessesMayWriteAtOnce) {
  const auto text = [](int key) {
    return std::string(static_cast<std::size_t>(1000 * key + 1), static_cast<char>('a' + key));
  };
  constexpr int keys = 4;
  std::vector<pid_t> writers;
  for (int writer = 0; writer < 2; ++writer) {
    const pid_t process = fork();
    ASSERT_GE(process, 0);
    if (process == 0) {
      DiskCache cache(root_, "things", plenty);
      for (int i = 0; i < 200; ++i) cache.store(std::to_string(i % keys), bytes_of(text(i % keys)));
      _exit(0);
    }
    writers.push_back(process);
  }
  const DiskCache cache(root_, "things", plenty);
  for (int i = 0; i < 400; ++i) {
    const std::optional<std::string> found = text_of(cache.find(std::to_string(i % keys)));
    EXPECT_EQ(found.value_or(text(i % keys)), text(i % keys));
  }
  for (const pid_t process : writers) {
    int status = -1;
    ASSERT_EQ(waitpid(process, &status, 0), process);
    EXPECT_EQ(status, 0);
  }
  for (int key = 0; key < keys; ++key) EXPECT_EQ(text_of(cache.find(std::to_string(key))), text(key));
  EXPECT_EQ(files().size(), static_cast<std::size_t>(keys));
}

using test::EnvironmentVariable;

TEST(DefaultCacheFolder, FollowsTheEnvironment) {
  const EnvironmentVariable home("HOME", "/home/somebody");
  const EnvironmentVariable on("LAZULI_CACHE", nullptr);
  {
    const EnvironmentVariable unset("XDG_CACHE_HOME", nullptr);
    EXPECT_EQ(default_cache_folder(), "/home/somebody/.cache/lazuli");
    const EnvironmentVariable homeless("HOME", nullptr);
    EXPECT_EQ(default_cache_folder(), "");
  }
  const EnvironmentVariable folder("XDG_CACHE_HOME", "/var/tmp/caches");
  EXPECT_EQ(default_cache_folder(), "/var/tmp/caches/lazuli");
  {
    const EnvironmentVariable relative("XDG_CACHE_HOME", "caches");
    EXPECT_EQ(default_cache_folder(), "/home/somebody/.cache/lazuli");
  }
  const EnvironmentVariable off("LAZULI_CACHE", "off");
  EXPECT_EQ(default_cache_folder(), "");
  EXPECT_FALSE(DiskCache(default_cache_folder(), "things", plenty).enabled());
}

}  // namespace
}  // namespace lazuli::cpu
