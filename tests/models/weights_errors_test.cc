// SPDX-License-Identifier: MIT
// Everything about a checkpoint's tensors that does not fit is one message, written before any weight is read: for the
// three families, from GGUF files and from folders of every kind.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/weights.h>
#include <lazuli/models/load.h>
#include <lazuli/models/model_definition.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/gguf_writer.h>
#include <lazuli/tests/support/safetensors_writer.h>
#include <lazuli/tests/support/test_model.h>
#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

namespace lazuli {
namespace {

using nlohmann::json;
using test::error_of;
using test::GgufWriter;
using test::TemporaryFolder;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

void expect_lines(const std::string& error, const std::string& summary, const std::vector<std::string>& details) {
  const std::vector<std::string> lines = lines_of(error);
  EXPECT_EQ(lines.size(), details.size() + 1) << error;
  EXPECT_EQ(lines[0], summary);
  for (const std::string& detail : details)
    EXPECT_TRUE(std::ranges::find(lines, "  " + detail) != lines.end()) << detail << "\n\nis not in\n\n" << error;
}

// ---- GGUF ----

struct TensorInfo {
  Shape shape;
  std::uint32_t type = 0;  // ggml's id
};

// What a file says, without what it holds.
struct Outline {
  std::string architecture;
  std::vector<std::pair<std::string, std::uint32_t>> sizes;  // metadata, without the architecture's prefix
  std::vector<bool> sliding;
  std::map<std::string, TensorInfo> tensors;
};

void add_layer(Outline& outline, int layer, const std::map<std::string, Shape>& tensors) {
  for (const auto& [name, shape] : tensors) outline.tensors[fmt::format("blk.{}.{}.weight", layer, name)] = {shape};
}

// Two layers, all sizes different: width 32, 2 heads of 16, 1 key/value head, inner width 48, 20 tokens.
Outline outline_of(const std::string& architecture) {
  Outline outline{
      architecture, {{"embedding_length", 32}, {"block_count", 2}, {"feed_forward_length", 48}}, {true, false}, {}};
  for (const auto& [key, value] : std::map<std::string, std::uint32_t>{{"attention.head_count", 2},
                                                                       {"attention.head_count_kv", 1},
                                                                       {"attention.key_length", 16},
                                                                       {"attention.key_length_swa", 16},
                                                                       {"context_length", 64},
                                                                       {"attention.shared_kv_layers", 0},
                                                                       {"embedding_length_per_layer_input", 8}})
    outline.sizes.emplace_back(key, value);
  outline.tensors["token_embd.weight"] = {{20, 32}};
  outline.tensors["output_norm.weight"] = {{32}};
  for (int layer = 0; layer < 2; ++layer) {
    add_layer(outline, layer,
              {{"attn_norm", {32}},
               {"post_attention_norm", {32}},
               {"ffn_norm", {32}},
               {"post_ffw_norm", {32}},
               {"attn_q", {32, 32}},
               {"attn_k", {16, 32}},
               {"attn_v", {16, 32}},
               {"attn_output", {32, 32}},
               {"attn_q_norm", {16}},
               {"attn_k_norm", {16}},
               {"ffn_gate", {48, 32}},
               {"ffn_up", {48, 32}},
               {"ffn_down", {32, 48}}});
    if (architecture == "gemma3") continue;
    add_layer(outline, layer, {{"inp_gate", {8, 32}}, {"proj", {32, 8}}, {"post_norm", {32}}});
    if (architecture == "gemma4") continue;
    add_layer(outline, layer,
              {{"laurel_l", {4, 32}},
               {"laurel_r", {32, 4}},
               {"laurel_post_norm", {32}},
               {"altup_router", {4, 32}},
               {"altup_router_norm", {32}},
               {"altup_predict_coef", {16, 4}},
               {"altup_correct_coef", {4, 4}},
               {"altup_correct_scale", {32}}});
  }
  if (architecture == "gemma3") return outline;
  outline.tensors["per_layer_token_embd.weight"] = {{20, 16}};
  outline.tensors["per_layer_model_proj.weight"] = {{16, 32}};
  outline.tensors["per_layer_proj_norm.weight"] = {{8}};
  if (architecture == "gemma4") return outline;
  for (const char* name : {"altup_proj.weight", "altup_unembd_proj.weight"}) outline.tensors[name] = {{3, 32, 32}};
  return outline;
}

// A file whose tensors all lie on one page that nobody may read.
GgufFile guarded_file(const Outline& outline) {
  constexpr std::uint64_t page = 4096;
  constexpr std::size_t data_bytes = 4 * page;
  GgufWriter writer;
  writer.alignment = page;
  writer.add("general.alignment", static_cast<std::uint32_t>(page)).add("general.architecture", outline.architecture);
  for (const auto& [key, value] : outline.sizes) writer.add(outline.architecture + '.' + key, value);
  writer.add_array(outline.architecture + ".attention.sliding_window_pattern", outline.sliding);
  for (const auto& [name, info] : outline.tensors)
    writer.add_tensor_info(name, {info.shape.rbegin(), info.shape.rend()}, info.type, 0);
  std::string bytes = writer.bytes();
  const std::size_t data = (bytes.size() + page - 1) / page * page, size = data + data_bytes;
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memcpy(memory, bytes.data(), bytes.size());
  ::mprotect(static_cast<char*>(memory) + data, data_bytes, PROT_NONE);
  const std::shared_ptr<const void> owner(memory, [size](const void* at) { ::munmap(const_cast<void*>(at), size); });
  return GgufFile::parse("model.gguf", {static_cast<const std::byte*>(memory), size}, owner);
}

std::string load_error(const Outline& outline) {
  return error_of([&] {
    const GgufFile file = guarded_file(outline);
    const ModelDefinition& model = outline.architecture == "gemma3"    ? gemma3_model
                                   : outline.architecture == "gemma3n" ? gemma3n_model
                                                                       : gemma4_model;
    model.from_gguf(file, {Weights::from_gguf(file), "", nullptr, {}});
  });
}

class GgufErrors : public testing::TestWithParam<std::string> {
 protected:
  Outline outline_ = outline_of(GetParam());
};

TEST_P(GgufErrors, AWholeModelLoadsWithoutReadingAWeight) {
  outline_.tensors["v.patch_embd.weight"] = {{2}};
  outline_.tensors["mm.input_projection.weight"] = {{256}, 17};
  EXPECT_EQ(load_error(outline_), "no error");
}

TEST_P(GgufErrors, MissingTensor) {
  outline_.tensors.erase("blk.1.ffn_up.weight");
  EXPECT_EQ(load_error(outline_), "model.gguf: tensor blk.1.ffn_up.weight: missing, expected [48,32]");
}

TEST_P(GgufErrors, SurplusTensor) {
  outline_.tensors["blk.2.attn_q.weight"] = {{32, 32}};
  const std::string error = load_error(outline_);
  EXPECT_TRUE(
      error.starts_with("model.gguf: tensor blk.2.attn_q.weight: found f32[32,32], expected no such tensor (byte "))
      << error;
}

TEST_P(GgufErrors, OtherShape) {
  outline_.tensors["blk.0.attn_k.weight"] = {{32, 16}};
  const std::string error = load_error(outline_);
  EXPECT_TRUE(error.starts_with("model.gguf: tensor blk.0.attn_k.weight: found f32[32,16], expected [16,32] (byte "))
      << error;
}

TEST_P(GgufErrors, UnsupportedType) {
  constexpr std::uint32_t iq2_xs = 17, i32 = 26;
  outline_.tensors["blk.0.attn_q.weight"].type = iq2_xs;
  std::string error = load_error(outline_);
  EXPECT_TRUE(error.starts_with(
      "model.gguf: tensor blk.0.attn_q.weight: found IQ2_XS[32,32], expected [32,32] in a supported type (byte "))
      << error;
  outline_ = outline_of(GetParam());
  outline_.tensors["output_norm.weight"].type = i32;
  error = load_error(outline_);
  EXPECT_TRUE(error.starts_with(
      "model.gguf: tensor output_norm.weight: found i32[32], expected [32] in a supported type (byte "))
      << error;
}

TEST_P(GgufErrors, EverythingAtOnce) {
  constexpr std::uint32_t q8_0 = 8, unknown = 99;
  outline_.tensors.erase("token_embd.weight");
  outline_.tensors["blk.0.attn_norm.weight"] = {{32}, q8_0};
  outline_.tensors["blk.0.attn_q.weight"] = {{32, 16}};
  outline_.tensors["blk.1.ffn_down.weight"].type = unknown;
  outline_.tensors["blk.1.v_norm.weight"] = {{16}};
  const std::string error = load_error(outline_);
  const std::vector<std::string> lines = lines_of(error);
  ASSERT_EQ(lines.size(), 6u) << error;
  EXPECT_EQ(lines[0], "model.gguf: 5 tensors do not fit the architecture");
  const char* rows = GetParam() == "gemma3n" ? "262400" : "262144";
  for (const std::string& part :
       {fmt::format("  tensor token_embd.weight: missing, expected [{},32]", rows),
        std::string("  tensor blk.0.attn_norm.weight: found q8_0[32], expected [32] of f32, f16 or bf16 (byte "),
        std::string("  tensor blk.0.attn_q.weight: found f32[32,16], expected [32,32] (byte "),
        std::string("  tensor blk.1.ffn_down.weight: found ggml type 99[32,48], expected [32,48] in a supported type"),
        std::string("  tensor blk.1.v_norm.weight: found f32[16], expected no such tensor (byte ")})
    EXPECT_NE(error.find(part), std::string::npos) << part << "\n\nis not in\n\n" << error;
}

TEST_P(GgufErrors, AtMostTwentyDetails) {
  for (int i = 0; i < 20; ++i) outline_.tensors[fmt::format("extra.{}", i)] = {{1}};
  EXPECT_EQ(lines_of(load_error(outline_)).size(), 21u);
  outline_.tensors["one.more"] = {{1}};
  const std::vector<std::string> lines = lines_of(load_error(outline_));
  ASSERT_EQ(lines.size(), 21u);
  EXPECT_EQ(lines[0], "model.gguf: 21 tensors do not fit the architecture");
  EXPECT_EQ(lines[20], "  and 2 more");
}

INSTANTIATE_TEST_SUITE_P(Families, GgufErrors, testing::Values("gemma3", "gemma3n", "gemma4"),
                         [](const auto& info) { return info.param; });

TEST(GgufErrors, StackedMatricesAreNamedAsTheFileHasThem) {
  Outline outline = outline_of("gemma3n");
  outline.tensors["altup_proj.weight"] = {{2, 32, 32}};
  EXPECT_EQ(load_error(outline), "model.gguf: tensor altup_proj.2.weight: missing, expected [32,32]");
  outline = outline_of("gemma3n");
  outline.tensors["altup_proj.weight"].type = 17;
  const std::string error = load_error(outline);
  EXPECT_TRUE(
      error.starts_with("model.gguf: tensor altup_proj.weight: found IQ2_XS[3,32,32], expected [32,32] in a "
                        "supported type (byte "))
      << error;
}

// A stack's matrices are no more than a model can have, whatever a file of a few bytes says.
TEST(GgufErrors, AStackOfTooManyMatricesIsOneTensor) {
  Outline outline = outline_of("gemma3n");
  outline.tensors["altup_proj.weight"] = {{std::int64_t{1} << 50, 1, 1}, 17};
  const std::string error = load_error(outline);
  EXPECT_EQ(lines_of(error).size(), 5u) << error;
  EXPECT_NE(error.find("tensor altup_proj.weight: found IQ2_XS[1125899906842624,1,1], expected no such tensor"),
            std::string::npos)
      << error;
}

TEST(GgufErrors, AnIgnoredTensorMayHaveAnyType) {
  for (const char* architecture : {"gemma3", "gemma4"}) {
    Outline outline = outline_of(architecture);
    outline.tensors["rope_freqs.weight"] = {{256}, 17};
    EXPECT_EQ(load_error(outline), "no error") << architecture;
  }
}

TEST(GgufErrors, UnknownArchitecture) {
  const std::string path = testing::TempDir() + "mamba.gguf";
  test::write_file(path, GgufWriter().add("general.architecture", "mamba").bytes());
  EXPECT_EQ(error_of([&] { load_model(path); }),
            path + ": architecture mamba is not supported; expected gemma3, gemma3n or gemma4");
  test::write_file(path, GgufWriter().bytes());
  EXPECT_EQ(error_of([&] { load_model(path); }),
            path + ": key general.architecture: not in the file, expected a string");
}

TEST(GgufErrors, PartsOfASplitModelAreNamed) {
  TemporaryFolder folder;
  for (int part = 0; part < 2; ++part) {
    GgufWriter writer;
    if (part == 0) {
      const Outline outline = outline_of("gemma3");
      writer.add("general.architecture", "gemma3");
      for (const auto& [key, value] : outline.sizes) writer.add("gemma3." + key, value);
    }
    writer.add("split.no", static_cast<std::uint16_t>(part)).add("split.count", std::uint16_t{2});
    writer.add_tensor(part == 0 ? "token_embd.weight" : "output_norm.weight", f32, {7}, std::string(28, 'x'));
    folder.write(fmt::format("m-0000{}-of-00002.gguf", part + 1), writer.bytes());
  }
  const GgufFile file = GgufFile::open(folder.path() + "/m-00002-of-00002.gguf");
  const std::string error =
      error_of([&] { gemma3_model.from_gguf(file, {Weights::from_gguf(file), "", nullptr, {}}); });
  EXPECT_TRUE(error.starts_with(folder.path() + "/m-00001-of-00002.gguf: ")) << error;
  EXPECT_NE(error.find("tensor output_norm.weight: found f32[7], expected [32] (m-00002-of-00002.gguf, byte 128)"),
            std::string::npos)
      << error;
}

// ---- folders ----

// A golden folder whose header was changed; its data is all zeros.
class ChangedFolder {
 public:
  explicit ChangedFolder(const std::string& golden) {
    const std::string source = test::test_data_path("goldens/" + golden);
    std::ifstream config(source + "/config.json"), file(source + "/model.safetensors", std::ios::binary);
    folder_.write("config.json", {std::istreambuf_iterator<char>(config), {}});
    std::uint64_t length = 0;
    file.read(reinterpret_cast<char*>(&length), sizeof length);
    std::string text(length, ' ');
    file.read(text.data(), static_cast<std::streamsize>(length));
    header = json::parse(text);
    header.erase("__metadata__");
  }

  json header;
  const std::string& path() const { return folder_.path(); }

  std::string load_error() const {
    std::uint64_t end = 0;
    for (const json& entry : header) end = std::max(end, entry["data_offsets"][1].get<std::uint64_t>());
    const std::string text = header.dump();
    std::string bytes(8, '\0');
    const std::uint64_t length = text.size();
    std::memcpy(bytes.data(), &length, sizeof length);
    folder_.write("model.safetensors", bytes + text);
    std::filesystem::resize_file(path() + "/model.safetensors", 8 + length + end);
    return error_of([&] { load_model(path()); });
  }

 private:
  TemporaryFolder folder_;
};

struct FolderCase {
  std::string golden;
  std::string prefix = "model.";
  bool quantised = false;
};
void PrintTo(const FolderCase& folder, std::ostream* out) { *out << folder.golden; }

class FolderErrors : public testing::TestWithParam<FolderCase> {
 protected:
  std::string name(const std::string& rest) const { return GetParam().prefix + rest; }
};

TEST_P(FolderErrors, EverythingAtOnce) {
  ChangedFolder folder(GetParam().golden);
  EXPECT_EQ(folder.load_error(), "no error");
  json& header = folder.header;
  ASSERT_TRUE(header.contains(name("norm.weight"))) << header.dump(1).substr(0, 500);
  header.erase(name("norm.weight"));
  header[name("layers.0.v_norm.weight")] = {{"dtype", "BF16"}, {"shape", {4}}, {"data_offsets", {0, 8}}};
  header["vision_tower.patch.weight"] = {{"dtype", "C64"}, {"shape", {1}}, {"data_offsets", {0, 8}}};
  header[name("layers.0.post_attention_layernorm.weight")]["shape"] = {64, 2};
  header[name("layers.1.self_attn.q_norm.weight")]["dtype"] = "C64";
  std::vector<std::string> details = {
      fmt::format("tensor {}: missing, expected [128]", name("norm.weight")),
      fmt::format("tensor {}: found bf16[4], expected no such tensor (model.safetensors)",
                  name("layers.0.v_norm.weight")),
      fmt::format("tensor {}: found bf16[64,2], expected [128] (model.safetensors)",
                  name("layers.0.post_attention_layernorm.weight")),
      fmt::format("tensor {}: found C64[32], expected [32] in a supported type (model.safetensors)",
                  name("layers.1.self_attn.q_norm.weight"))};
  if (GetParam().quantised) {
    const std::string module = name("layers.0.mlp.up_proj");
    header.erase(module + ".scales");
    details.push_back(
        fmt::format("module {} is quantised in a way that is not supported; expected nvfp4 of ModelOpt or "
                    "compressed-tensors (model.safetensors)",
                    module));
  }
  expect_lines(folder.load_error(),
               fmt::format("{}: {} tensors do not fit the architecture", folder.path(), details.size()), details);
}

INSTANTIATE_TEST_SUITE_P(Families, FolderErrors,
                         testing::Values(FolderCase{"gemma3-dense"}, FolderCase{"gemma3n"}, FolderCase{"gemma4-e"},
                                         FolderCase{"gemma4-moe"},
                                         FolderCase{"gemma3n-mlx-4bit", "model.language_model.", true},
                                         FolderCase{"gemma4-e-mlx-8bit", "model.", true},
                                         FolderCase{"gemma4-dense-mlx-nvfp4", "model.", true},
                                         FolderCase{"gemma4-moe-mlx-mxfp4", "model.", true}),
                         [](const auto& info) {
                           std::string name = info.param.golden;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(FolderErrors, AMissingEmbeddingIsOneOfMany) {
  ChangedFolder folder("gemma3-dense");
  folder.header.erase("model.embed_tokens.weight");
  folder.header.erase("model.layers.3.mlp.up_proj.weight");
  expect_lines(folder.load_error(), folder.path() + ": 2 tensors do not fit the architecture",
               {"tensor model.embed_tokens.weight: missing, expected [320,128]",
                "tensor model.layers.3.mlp.up_proj.weight: missing, expected [256,128]"});
}

TEST(FolderErrors, PartsOfModules) {
  ChangedFolder folder("gemma4-e-mlx-8bit");
  folder.header.erase("model.layers.0.mlp.up_proj.biases");
  folder.header["model.layers.1.mlp.up_proj.qzeros"] = {{"dtype", "I32"}, {"shape", {1}}, {"data_offsets", {0, 4}}};
  folder.header["model.layers.2.self_attn.q_norm.bias"] = {{"dtype", "F32"}, {"shape", {2}}, {"data_offsets", {0, 8}}};
  expect_lines(
      folder.load_error(), folder.path() + ": 3 tensors do not fit the architecture",
      {"module model.layers.0.mlp.up_proj is quantised but has no biases (model.safetensors)",
       "tensor model.layers.1.mlp.up_proj.qzeros: found i32[1], expected no such tensor (model.safetensors)",
       "tensor model.layers.2.self_attn.q_norm.bias: found f32[2], expected no such tensor (model.safetensors)"});
}

TEST(FolderErrors, TwoTensorsOfOneMeaning) {
  ChangedFolder folder("gemma4-moe");
  folder.header["lm_head.weight"] = folder.header["model.embed_tokens.weight"];
  folder.header["language_model.lm_head.weight"] = folder.header["model.embed_tokens.weight"];
  EXPECT_EQ(folder.load_error(),
            folder.path() + ": tensor lm_head.weight: found in model.safetensors beside another of the same meaning");
}

TEST(FolderErrors, TensorsThatAnIndexPlacesWrongly) {
  ChangedFolder folder("gemma3-dense");
  folder.header.erase("model.norm.weight");
  EXPECT_EQ(folder.load_error(), folder.path() + ": tensor model.norm.weight: missing, expected [128]");
  std::ofstream(folder.path() + "/model.safetensors.index.json") << R"({"weight_map": {
    "model.embed_tokens.weight": "model.safetensors", "model.norm.weight": "model.safetensors",
    "model.layers.9.mlp.up_proj.weight": "model.safetensors"}})";
  expect_lines(error_of([&] { load_model(folder.path()); }), folder.path() + ": 2 tensors do not fit the architecture",
               {"tensor model.norm.weight: missing, expected in model.safetensors as the index says",
                "tensor model.layers.9.mlp.up_proj.weight: missing, expected in model.safetensors as the index says"});
  std::filesystem::copy_file(folder.path() + "/model.safetensors", folder.path() + "/other.safetensors");
  std::ofstream(folder.path() + "/model.safetensors.index.json")
      << R"({"weight_map": {"a": "model.safetensors", "b": "other.safetensors"}})";
  EXPECT_EQ(error_of([&] { load_model(folder.path()); }),
            folder.path() +
                ": tensor model.embed_tokens.weight is in model.safetensors and in other.safetensors, "
                "expected it once");
}

TEST(FolderErrors, UnknownArchitecture) {
  TemporaryFolder folder;
  folder.write("config.json", R"({"model_type": "mamba"})");
  EXPECT_EQ(error_of([&] { load_model(folder.path()); }),
            folder.path() + "/config.json: model_type mamba is not supported; expected gemma3, gemma3n or gemma4");
}

// A scale that is not a number is found when its weight is read, not before: the list of what is missing comes first.
TEST(FolderErrors, ScalesAreReadWithTheirWeight) {
  TemporaryFolder folder;
  folder.write("config.json", R"({"model_type": "gemma4_text"})");
  test::SafetensorsWriter writer;
  writer.add("model.embed_tokens.weight", "U32", {1, 8}, std::vector<std::uint8_t>(32));
  writer.add("model.embed_tokens.scales", "U8", {1, 2}, {127, 255});
  writer.write(folder.path() + "/model.safetensors");
  Weights weights = Weights::from_folder(CheckpointFolder::open(folder.path()));
  const Array weight = weights.take("token_embd.weight", {1, 64});
  weights.report();
  EXPECT_EQ(
      error_of([&] { weight.node()->results()[0].buffer->data(); }),
      folder.path() + "/model.safetensors: module model.embed_tokens: scale 1 is the code 255, which is not a number");
}

}  // namespace
}  // namespace lazuli
