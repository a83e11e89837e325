// SPDX-License-Identifier: MIT
// Models split over several GGUF files, as llama-gguf-split writes them.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/gguf_writer.h>
#include <lazuli/tests/support/safetensors_writer.h>

#include <filesystem>

namespace lazuli {
namespace {

using test::error_of;
using test::GgufWriter;
using test::parse_gguf;
using test::TemporaryFolder;

// Part `number` of `count`, with the tensors named; each holds its part's number.
GgufWriter part(int number, int count, const std::vector<std::string>& tensors, int all_tensors) {
  GgufWriter writer;
  if (number == 0) writer.add("general.architecture", "gemma3");
  writer.add("split.no", static_cast<std::uint16_t>(number)).add("split.count", static_cast<std::uint16_t>(count));
  writer.add("split.tensors.count", static_cast<std::int32_t>(all_tensors));
  for (const std::string& name : tensors) writer.add_tensor(name, f32, {2}, std::string(8, static_cast<char>(number)));
  return writer;
}

std::vector<GgufWriter> three_parts() {
  return {part(0, 3, {"a", "b"}, 4), part(1, 3, {"c"}, 4), part(2, 3, {"d"}, 4)};
}

std::string join_error(const std::vector<GgufWriter>& writers) {
  std::vector<GgufFile> parts;
  for (std::size_t i = 0; i < writers.size(); ++i)
    parts.push_back(parse_gguf(writers[i].bytes(), std::string(1, static_cast<char>('A' + i)) + ".gguf"));
  return error_of([&] { GgufFile::join(std::move(parts)); });
}

void write_parts(const TemporaryFolder& folder, const std::vector<GgufWriter>& writers) {
  for (std::size_t i = 0; i < writers.size(); ++i)
    folder.write(fmt::format("m-{:05}-of-{:05}.gguf", i + 1, writers.size()), writers[i].bytes());
}

TEST(GgufSplit, AnyPartOpensTheWholeModel) {
  TemporaryFolder folder;
  std::vector<GgufWriter> parts = {part(0, 3, {"a", "b"}, 5), part(1, 3, {"c"}, 5), part(2, 3, {"d"}, 5)};
  parts[2].add_tensor_info("e", {256}, 17, 0);  // of a type that is not supported
  write_parts(folder, parts);
  for (const char* name : {"/m-00001-of-00003.gguf", "/m-00002-of-00003.gguf", "/m-00003-of-00003.gguf"}) {
    const GgufFile file = GgufFile::open(folder.path() + name);
    EXPECT_EQ(file.name(), folder.path() + "/m-00001-of-00003.gguf");
    ASSERT_EQ(file.part_names().size(), 3u);
    EXPECT_EQ(file.bytes(), parts[0].bytes().size() + parts[1].bytes().size() + parts[2].bytes().size());
    EXPECT_EQ(file.get<std::string_view>("general.architecture"), "gemma3");
    ASSERT_EQ(file.tensors().size(), 4u);
    EXPECT_EQ(file.tensors()[2].name, "c");
    for (const auto& [tensor, number] : {std::pair{"a", 0}, {"b", 0}, {"c", 1}, {"d", 2}}) {
      EXPECT_EQ(file.tensor(tensor).part, static_cast<std::size_t>(number)) << tensor;
      EXPECT_EQ(file.tensor(tensor).buffer->data()[7], static_cast<std::byte>(number)) << tensor;
    }
    ASSERT_EQ(file.unsupported_tensors().size(), 1u);
    EXPECT_EQ(file.unsupported_tensors()[0].part, 2u);
    EXPECT_EQ(*file.find_shape("e"), (Shape{256}));
  }
}

TEST(GgufSplit, DataOutlivesTheFileObject) {
  TemporaryFolder folder;
  write_parts(folder, three_parts());
  const BufferRef data = GgufFile::open(folder.path() + "/m-00001-of-00003.gguf").tensor("d").buffer;
  data->release_pages();
  EXPECT_EQ(data->data()[0], std::byte{2});
}

TEST(GgufSplit, OnePartIsAWholeModel) {
  TemporaryFolder folder;
  folder.write("any-name.gguf", part(0, 1, {"a"}, 1).bytes());
  EXPECT_EQ(GgufFile::open(folder.path() + "/any-name.gguf").tensors().size(), 1u);
}

TEST(GgufSplit, NamesMissingParts) {
  TemporaryFolder folder;
  write_parts(folder, three_parts());
  std::filesystem::remove(folder.path() + "/m-00001-of-00003.gguf");
  std::filesystem::remove(folder.path() + "/m-00003-of-00003.gguf");
  const std::string path = folder.path() + "/m-00002-of-00003.gguf";
  EXPECT_EQ(
      error_of([&] { GgufFile::open(path); }),
      path + ": the model is split into 3 files; missing beside it: m-00001-of-00003.gguf, m-00003-of-00003.gguf");
  folder.write("m-00004-of-00009.gguf", part(3, 9, {}, 0).bytes());
  const std::string error = error_of([&] { GgufFile::open(folder.path() + "/m-00004-of-00009.gguf"); });
  EXPECT_TRUE(error.ends_with("m-00006-of-00009.gguf and 3 more")) << error;
}

TEST(GgufSplit, RefusesNamesThatContradictTheKeys) {
  TemporaryFolder folder;
  folder.write("renamed.gguf", part(1, 3, {"c"}, 4).bytes());
  const std::string path = folder.path() + "/renamed.gguf";
  EXPECT_EQ(error_of([&] { GgufFile::open(path); }),
            path +
                ": keys split.no 1 and split.count 3: expected a name that ends in -00002-of-00003.gguf, by which the "
                "other parts can be found");
  // Two parts changed places.
  std::vector<GgufWriter> parts = three_parts();
  std::swap(parts[1], parts[2]);
  write_parts(folder, parts);
  const std::string error = error_of([&] { GgufFile::open(folder.path() + "/m-00001-of-00003.gguf"); });
  EXPECT_EQ(error, folder.path() + "/m-00002-of-00003.gguf: key split.no is 2, expected 1 for part 2 of 3");
}

TEST(GgufSplit, RefusesPartsThatDoNotFitEachOther) {
  EXPECT_EQ(join_error({}), "a split model has no parts; expected at least one");
  EXPECT_EQ(join_error(three_parts()), "no error");
  EXPECT_EQ(join_error({part(0, 3, {"a", "b"}, 3), part(1, 3, {"c"}, 3)}),
            "A.gguf: key split.count is 3, expected 2 as there are parts");
  EXPECT_EQ(join_error({part(0, 2, {"a"}, 2), part(1, 4, {"c"}, 2)}),
            "B.gguf: key split.count is 4, expected 2 as there are parts");
  EXPECT_EQ(join_error({part(1, 2, {"a"}, 2), part(0, 2, {"c"}, 2)}),
            "A.gguf: key split.no is 1, expected 0 for part 1 of 2");
  EXPECT_EQ(join_error({part(0, 2, {"a"}, 3), part(1, 2, {"c"}, 3)}),
            "A.gguf: key split.tensors.count is 3, but the 2 parts hold 2");
  EXPECT_EQ(join_error({part(0, 2, {"a", "b"}, 3), part(1, 2, {"b"}, 3)}),
            "B.gguf: tensor b: found a second time, expected it in A.gguf alone");
  GgufWriter plain;
  plain.add("split.count", std::uint16_t{2});
  EXPECT_EQ(join_error({part(0, 2, {"a"}, 1), plain}),
            "B.gguf: key split.no: not in the file, expected an integer that fits u64");
  EXPECT_EQ(join_error({part(0, 2, {"a"}, 1), GgufWriter()}),
            "B.gguf: key split.count is 1, expected 2 as there are parts");
}

}  // namespace
}  // namespace lazuli
