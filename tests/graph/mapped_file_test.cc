// SPDX-License-Identifier: MIT
// Files on file systems that have no shared mappings, or none at all.
#include <gtest/gtest.h>
#include <lazuli/graph/files/mapped_file.h>
#include <lazuli/tests/support/safetensors_writer.h>
#include <sys/mman.h>

#include <cerrno>

namespace lazuli {
namespace {

void* no_shared(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  if ((flags & MAP_SHARED) == 0) return ::mmap(address, bytes, protection, flags, file, offset);
  errno = ENODEV;
  return MAP_FAILED;
}

void* none_at_all(void*, std::size_t, int, int, int, off_t) {
  errno = ENODEV;
  return MAP_FAILED;
}

TEST(MappedFile, NeedsNoSharedMappings) {
  test::TemporaryFolder folder;
  std::string bytes;
  for (int i = 0; i < 40000; ++i) bytes += static_cast<char>(i * 31 + i / 256);
  folder.write("file", bytes);
  for (const MappedFile::Map map : {no_shared, none_at_all}) {
    const auto file = MappedFile::open(folder.path() + "/file", map);
    const auto text = [&] { return std::string(reinterpret_cast<const char*>(file->bytes().data()), file->size()); };
    EXPECT_TRUE(text() == bytes);
    file->release(0, file->size());
    EXPECT_TRUE(text() == bytes) << "what is released can be read again";
  }
  folder.write("empty", "");
  EXPECT_EQ(MappedFile::open(folder.path() + "/empty", none_at_all)->size(), 0u);
}

}  // namespace
}  // namespace lazuli
