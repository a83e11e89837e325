// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <lazuli/graph/files/mapped_file.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/gguf_writer.h>
#include <lazuli/tests/support/test_model.h>

#include <chrono>
#include <limits>

namespace lazuli {
namespace {

using test::error_of;
using test::GgufWriter;
using test::parse_gguf;

std::string parse_error(const GgufWriter& writer) {
  return error_of([&] { parse_gguf(writer.bytes()); });
}

std::string encoded(std::string_view text) {
  std::string bytes;
  test::put_string(bytes, text);
  return bytes;
}

template <class T>
std::string encoded_number(T value) {
  std::string bytes;
  test::put(bytes, value);
  return bytes;
}

// Values of every type, an array of each kind and tensors of three types.
GgufWriter small_file() {
  GgufWriter writer;
  writer.add("general.architecture", "gemma3").add("u8", std::uint8_t{200}).add("i8", std::int8_t{-3});
  writer.add("u16", std::uint16_t{60000}).add("i16", std::int16_t{-300}).add("u32", std::uint32_t{4000000000});
  writer.add("i32", std::int32_t{-5}).add("f32", 0.5f).add("yes", true).add("no", false);
  writer.add("u64", std::uint64_t{1} << 40).add("i64", std::int64_t{-1} << 40).add("f64", 0.1);
  writer.add_array("names", std::vector<std::string>{"a", "", "ccc"});
  writer.add_array("heads", std::vector<std::uint32_t>{8, 8, 2});
  writer.add_array("sliding", std::vector<bool>{true, false, true});
  writer.add_array("empty", std::vector<float>{});
  writer.add_tensor("norm", f32, {3}, std::string(12, '\1'));
  writer.add_tensor("weight", q8_0, {2, 64}, std::string(2 * 68, '\2'));
  writer.add_tensor("experts", bf16, {2, 3, 4}, std::string(48, '\3'));
  return writer;
}

TEST(Gguf, ReadsScalarsOfEveryType) {
  const GgufFile file = parse_gguf(small_file().bytes());
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.metadata().size(), 17u);
  EXPECT_EQ(file.get<std::string_view>("general.architecture"), "gemma3");
  EXPECT_EQ(file.get<std::uint32_t>("u8"), 200u);
  EXPECT_EQ(file.get<std::int32_t>("i8"), -3);
  EXPECT_EQ(file.get<std::int64_t>("u16"), 60000);
  EXPECT_EQ(file.get<std::int32_t>("i16"), -300);
  EXPECT_EQ(file.get<std::uint32_t>("u32"), 4000000000u);
  EXPECT_EQ(file.get<std::int32_t>("i32"), -5);
  EXPECT_EQ(file.get<float>("f32"), 0.5f);
  EXPECT_EQ(file.get<double>("f32"), 0.5);
  EXPECT_EQ(file.get<float>("f64"), 0.1f);
  EXPECT_TRUE(file.get<bool>("yes"));
  EXPECT_FALSE(file.get<bool>("no"));
  EXPECT_EQ(file.get<std::uint64_t>("u64"), std::uint64_t{1} << 40);
  EXPECT_EQ(file.get<std::int64_t>("i64"), std::int64_t{-1} << 40);
}

TEST(Gguf, ReadsArraysAndPerLayerValues) {
  const GgufFile file = parse_gguf(small_file().bytes());
  EXPECT_EQ(file.get_array<std::string_view>("names"), (std::vector<std::string_view>{"a", "", "ccc"}));
  EXPECT_EQ(file.get_array<std::int64_t>("heads"), (std::vector<std::int64_t>{8, 8, 2}));
  EXPECT_EQ(file.get_array<bool>("sliding"), (std::vector<bool>{true, false, true}));
  EXPECT_TRUE(file.get_array<float>("empty").empty());
  EXPECT_FALSE(file.find_array<float>("absent").has_value());
  EXPECT_EQ(file.get_each<std::uint32_t>("heads", 3), (std::vector<std::uint32_t>{8, 8, 2}));
  EXPECT_EQ(file.get_each<std::uint32_t>("u8", 2), (std::vector<std::uint32_t>{200, 200}));
  EXPECT_EQ(file.get_or<std::uint32_t>("absent", 7), 7u);
  EXPECT_EQ(file.find<float>("absent"), std::nullopt);
}

TEST(Gguf, GettersNameKeyFoundAndExpected) {
  const GgufFile file = parse_gguf(small_file().bytes());
  EXPECT_EQ(error_of([&] { file.get<float>("absent"); }),
            "model.gguf: key absent: not in the file, expected an f32 or f64");
  EXPECT_EQ(error_of([&] { file.get<std::int32_t>("u32"); }),
            "model.gguf: key u32: value at byte 149 is u32 4000000000, expected an integer that fits i32");
  EXPECT_NE(error_of([&] { file.get<std::uint64_t>("i8"); }).find("is i8 -3, expected"), std::string::npos);
  EXPECT_NE(error_of([&] { file.get<bool>("u8"); }).find("is u8 200, expected a bool"), std::string::npos);
  EXPECT_NE(error_of([&] { file.get<std::uint32_t>("yes"); }).find("is bool true"), std::string::npos);
  EXPECT_NE(error_of([&] { file.find<std::uint32_t>("f32"); }).find("is f32 0.5"), std::string::npos);
  EXPECT_NE(error_of([&] { file.get<float>("u8"); }).find("expected an f32 or f64"), std::string::npos);
  EXPECT_NE(error_of([&] { file.get<std::uint32_t>("heads"); }).find("is an array of 3 u32"), std::string::npos);
  EXPECT_NE(error_of([&] { file.get_array<std::uint32_t>("u8"); }).find("expected an array"), std::string::npos);
  EXPECT_NE(error_of([&] { file.get_array<std::uint32_t>("names"); }).find("element 0 at byte"), std::string::npos);
  EXPECT_NE(error_of([&] { file.get_each<std::uint32_t>("heads", 4); }).find("an array of 3 u32, expected 4 elements"),
            std::string::npos);
  EXPECT_EQ(error_of([&] { file.tensor("absent"); }),
            "model.gguf: tensor absent: not in the file, which has 3 tensors");
}

TEST(Gguf, ReadsTensors) {
  const GgufFile file = parse_gguf(small_file().bytes());
  ASSERT_EQ(file.tensors().size(), 3u);
  const GgufTensor& weight = file.tensor("weight");
  EXPECT_EQ(weight.dtype, q8_0);
  EXPECT_EQ(weight.shape, (Shape{2, 64}));
  EXPECT_EQ(weight.bytes, 136u);
  EXPECT_EQ(weight.offset % 32, 0u);
  EXPECT_EQ(weight.buffer->size(), 136u);
  EXPECT_FALSE(weight.buffer->owned());
  EXPECT_EQ(weight.buffer->data()[135], std::byte{2});
  EXPECT_EQ(file.tensor("experts").shape, (Shape{2, 3, 4}));
  EXPECT_EQ(file.tensor("experts").buffer->data()[0], std::byte{3});
  EXPECT_EQ(file.find_tensor("absent"), nullptr);
}

TEST(Gguf, TensorDataOutlivesTheFileObject) {
  BufferRef data;
  {
    const std::string path = testing::TempDir() + "outlives.gguf";
    test::write_file(path, small_file().bytes());
    data = GgufFile::open(path).tensor("norm").buffer;
  }
  EXPECT_EQ(data->data()[11], std::byte{1});
  data->release_pages();
  EXPECT_EQ(data->data()[11], std::byte{1});
}

TEST(Gguf, HonoursAlignmentAndVersion2) {
  GgufWriter writer;
  writer.version = 2;
  writer.alignment = 128;
  writer.add("general.alignment", std::uint32_t{128});
  writer.add_tensor("a", f32, {1}, "abcd").add_tensor("b", f32, {1}, "efgh");
  const GgufFile file = parse_gguf(writer.bytes());
  EXPECT_EQ(file.version(), 2u);
  EXPECT_EQ(file.tensor("a").offset, 128u);
  EXPECT_EQ(file.tensor("b").offset, 256u);
  EXPECT_EQ(file.tensor("b").buffer->data()[0], std::byte{'e'});
}

TEST(Gguf, OverlappingTensorsAreAllowed) {
  GgufWriter writer;
  writer.add_tensor("a", f32, {2}, "abcdefgh").add_tensor_info("b", {1}, 0, 0);
  const GgufFile file = parse_gguf(writer.bytes());
  EXPECT_EQ(file.tensor("a").offset, file.tensor("b").offset);
}

// Whoever takes the tensors lists these together with everything else that does not fit.
TEST(Gguf, TensorsOfUnsupportedTypesStandApart) {
  GgufWriter writer;
  writer.add_tensor("first", f32, {8}, std::string(32, 'x'));
  writer.add_tensor_info("a", {256, 2}, 17, 0).add_tensor_info("b", {32}, 4000000000u, 0);
  const GgufFile file = parse_gguf(writer.bytes());
  ASSERT_EQ(file.tensors().size(), 1u);
  ASSERT_EQ(file.unsupported_tensors().size(), 2u);
  EXPECT_EQ(file.unsupported_tensors()[0].name, "a");
  EXPECT_EQ(file.unsupported_tensors()[0].type, "IQ2_XS");
  EXPECT_EQ(file.unsupported_tensors()[0].shape, (Shape{2, 256}));
  EXPECT_EQ(file.unsupported_tensors()[0].entry, 61u);
  EXPECT_EQ(file.unsupported_tensors()[1].type, "ggml type 4000000000");
  EXPECT_EQ(file.find_tensor("a"), nullptr);
  EXPECT_EQ(*file.find_shape("a"), (Shape{2, 256}));
  EXPECT_EQ(*file.find_shape("first"), (Shape{8}));
  EXPECT_EQ(file.find_shape("absent"), nullptr);
  EXPECT_EQ(error_of([&] { file.tensor("a"); }), "model.gguf: tensor a: type IQ2_XS is not supported");
}

struct Corruption {
  const char* name;
  GgufWriter writer;
  const char* message;  // a part of the error
};

std::vector<Corruption> bad_metadata() {
  const auto with = [](auto change) {
    GgufWriter writer;
    change(writer);
    return writer;
  };
  constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
  return {
      {"magic", with([](auto& w) { w.magic = "GGML"; }), "magic at byte 0 is \"GGML\", expected \"GGUF\""},
      {"version 1", with([](auto& w) { w.version = 1; }), "version at byte 4 is 1, expected 2 or 3"},
      {"big-endian", with([](auto& w) { w.version = 0x03000000; }), "(a big-endian file)"},
      {"tensor count", with([&](auto& w) { w.tensor_count = huge; }),
       "tensor count at byte 8 is 18,446,744,073,709,551,615, more than the 8 bytes left"},
      {"metadata count", with([&](auto& w) { w.value_count = huge; }), "metadata count at byte 16 is 18,446"},
      {"one value too few", with([&](auto& w) { w.add("a", std::string(30, 0)).value_count = 2; }),
       "key #1: name at byte 75 needs 8 bytes"},
      {"value type", with([](auto& w) { w.add_raw("k", GgufType{13}, "...."); }),
       "key k: value type at byte 33 is 13, expected 0 to 12"},
      {"element type", with([](auto& w) { w.add_raw("k", GgufType::array, encoded_number(99) + std::string(8, 0)); }),
       "key k: element type at byte 37 is 99"},
      {"nested array",
       with([](auto& w) { w.add_raw("k", GgufType::array, encoded_number(GgufType::array) + std::string(16, 0)); }),
       "key k: array of arrays at byte 37"},
      {"array length", with([&](auto& w) {
         w.add_raw("k", GgufType::array, encoded_number(GgufType::u16) + encoded_number(huge / 2));
       }),
       "key k: array length at byte 41 is 9,223,372,036,854,775,807, more than the 0 bytes left"},
      {"string length", with([&](auto& w) { w.add_raw("k", GgufType::string, encoded_number(huge)); }),
       "key k: string at byte 45 needs 18,446,744,073,709,551,615 bytes but the file has 0 left"},
      {"string in array", with([&](auto& w) {
         w.add_raw("k", GgufType::array,
                   encoded_number(GgufType::string) + encoded_number(std::uint64_t{2}) + encoded("ab") + "123456");
       }),
       "key k: string at byte 59 needs 8 bytes but the file has 6 left"},
      {"key length", with([&](auto& w) { w.add_raw("", GgufType::u8, "1234567812345678").value_count = 2; }), "key #1"},
      {"bool", with([](auto& w) { w.add_raw("k", GgufType::boolean, "\7"); }), "bool at byte 37 is 7, expected 0 or 1"},
      {"duplicate key", with([](auto& w) { w.add("k", true).add("k", true); }),
       "key k: found a second time at byte 38, expected it once"},
      {"alignment 0", with([](auto& w) { w.add("general.alignment", 0u); }), "found 0, expected a power of two"},
      {"alignment 4", with([](auto& w) { w.add("general.alignment", 4u); }), "found 4, expected a power of two from 8"},
      {"alignment 48", with([](auto& w) { w.add("general.alignment", 48u); }), "found 48, expected a power of two"},
      {"alignment type", with([](auto& w) { w.add("general.alignment", "32"); }), "is string \"32\", expected"},
      {"unprintable key", with([](auto& w) { w.add_raw("a\nb", GgufType{50}, ""); }), "key a?b: value type"},
  };
}

std::vector<Corruption> bad_tensors() {
  const auto tensor = [](std::vector<std::int64_t> sizes, std::uint32_t type, std::uint64_t offset) {
    GgufWriter writer;
    writer.add_tensor("first", f32, {8}, std::string(32, 'x'));
    return writer.add_tensor_info("t", sizes, type, offset);
  };
  constexpr std::int64_t large = std::int64_t{1} << 31;
  GgufWriter duplicate;
  duplicate.add_tensor("t", f32, {1}, "1234").add_tensor("t", f32, {1}, "1234");
  GgufWriter cut_list;
  cut_list.add_tensor_info("a-name-of-some-length-that-leaves-room", {1}, 0, 0).tensor_count = 2;
  return {
      {"no dimensions", tensor({}, 0, 0), "tensor t: dimension count at byte 70 is 0, expected 1 to 4"},
      {"five dimensions", tensor({1, 1, 1, 1, 1}, 0, 0), "dimension count at byte 70 is 5, expected 1 to 4"},
      {"zero size", tensor({0}, 0, 0), "tensor t: dimension 0 at byte 74 is 0, expected 1 or more"},
      {"negative size", tensor({4, -2}, 0, 0), "dimension 1 at byte 82 is -2, expected 1 or more"},
      {"overflow", tensor({large, large, large}, 0, 0), "hold more elements than 63 bits can count"},
      {"overflow to small", tensor({large, large, 4, 1}, 0, 0), "hold more elements than 63 bits can count"},
      {"half a block", tensor({48, 2}, 2, 0),
       "tensor t: rows of 48 elements, expected a multiple of q4_0's block of 32"},
      {"half a k-block", tensor({128, 2}, 14, 0), "expected a multiple of q6_k's block of 256"},
      {"misaligned", tensor({1}, 0, 4), "data offset at byte 86 is 4, expected a multiple of the alignment 32"},
      {"offset past the end", tensor({1}, 0, 64), "tensor t: data ends at byte 164 but the file has 128"},
      {"data past the end", tensor({100000}, 0, 0), "tensor t: data ends at byte 400,096 but the file has 128"},
      {"offset overflow", tensor({1}, 0, ~std::uint64_t{31}), "exceed 64 bits"},
      {"duplicate tensor", duplicate, "tensor t: found a second time at byte 57, expected it once"},
      {"one tensor too few", cut_list, "tensor #1: name at byte"},
  };
}

TEST(Gguf, RefusesMalformedFilesInOneLine) {
  std::vector<Corruption> matrix = bad_metadata();
  for (Corruption& entry : bad_tensors()) matrix.push_back(std::move(entry));
  for (const Corruption& entry : matrix) {
    const std::string error = parse_error(entry.writer);
    EXPECT_NE(error.find(entry.message), std::string::npos) << entry.name << ": " << error;
    EXPECT_TRUE(error.starts_with("model.gguf: ")) << entry.name << ": " << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << entry.name;
  }
}

TEST(Gguf, TruncationAtEveryByteThrowsOrParses) {
  const std::string bytes = small_file().bytes();
  std::size_t parsed = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string error = error_of([&] { parse_gguf(bytes.substr(0, size)); });
    if (error == "no error")
      ++parsed;
    else
      EXPECT_TRUE(error.starts_with("model.gguf: ")) << error;
  }
  EXPECT_EQ(parsed, 16u);  // the padding behind the last tensor's 48 bytes
}

TEST(Gguf, AnyByteReplacedThrowsOrParses) {
  const std::string bytes = small_file().bytes();
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(value);
      const std::string error = error_of([&] {
        const GgufFile file = parse_gguf(changed);
        for (const GgufTensor& tensor : file.tensors()) std::string(tensor.buffer->as<char>(), tensor.bytes);
        for (const char* key : {"names", "heads"}) error_of([&] { file.get_array<std::string_view>(key); });
      });
      EXPECT_EQ(error.find('\n'), std::string::npos);
    }
}

TEST(Gguf, LargeStringArraysParseInMilliseconds) {
  std::vector<std::string> names;
  for (int i = 0; i < 262144; ++i) names.push_back("piece" + std::to_string(i));
  const std::string bytes = GgufWriter().add_array("tokenizer.ggml.tokens", names).bytes();
  const auto start = std::chrono::steady_clock::now();
  const GgufFile file = parse_gguf(bytes);
  EXPECT_EQ(file.get_array<std::string_view>("tokenizer.ggml.tokens").back(), "piece262143");
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 250.0);  // about 5; the rest is room for sanitizers and a busy machine
}

TEST(MappedFile, ErrorsNamePathAndReason) {
  EXPECT_EQ(error_of([] { MappedFile::open("/nonexistent/model.gguf"); }),
            "/nonexistent/model.gguf: cannot open: No such file or directory");
  EXPECT_EQ(error_of([] { MappedFile::open("/"); }), "/: found a directory or device, expected a regular file");
}

TEST(MappedFile, EmptyFileHasNoBytes) {
  const std::string path = testing::TempDir() + "empty.gguf";
  test::write_file(path, "");
  EXPECT_EQ(MappedFile::open(path)->size(), 0u);
  EXPECT_EQ(error_of([&] { GgufFile::open(path); }), path + ": found 0 bytes, expected a GGUF header of 24");
}

TEST(MappedFile, ReleasedPagesReadTheSameAgain) {
  const std::string path = testing::TempDir() + "released.bin";
  std::string bytes(100000, 'a');
  bytes.back() = 'z';
  test::write_file(path, bytes);
  const auto file = MappedFile::open(path);
  EXPECT_EQ(file->bytes()[99999], std::byte{'z'});
  file->release(5, 50000);
  file->release(0, ~std::uint64_t{0});
  file->release(200000, 1);
  EXPECT_EQ(file->bytes()[6000], std::byte{'a'});
  EXPECT_EQ(file->bytes()[99999], std::byte{'z'});
}

TEST(Gguf, ReadsTheRealModel) {
  LAZULI_NEEDS_TEST_MODEL();
  const GgufFile file = GgufFile::open(test::test_model_path());
  EXPECT_EQ(file.get<std::string_view>("general.architecture"), "gemma3");
  EXPECT_EQ(file.get<std::uint32_t>("gemma3.block_count"), 18u);
  EXPECT_EQ(file.get_array<std::string_view>("tokenizer.ggml.tokens").size(), 262144u);
  EXPECT_EQ(file.tensors().size(), 236u);
  EXPECT_EQ(file.tensor("token_embd.weight").shape, (Shape{262144, 640}));
  EXPECT_EQ(file.tensor("token_embd.weight").dtype, q8_0);
}

}  // namespace
}  // namespace lazuli
