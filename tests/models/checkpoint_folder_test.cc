// SPDX-License-Identifier: MIT
// Checkpoint folders: names, shards, quantised modules, configurations, tokenizers, and what is wrong with a folder.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/tensor_names.h>
#include <lazuli/models/checkpoint/weights.h>
#include <lazuli/models/gemma/gemma3.h>
#include <lazuli/models/gemma/gemma3n.h>
#include <lazuli/models/gemma/gemma4.h>
#include <lazuli/models/load.h>
#include <lazuli/models/text/tokenizer_json.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/safetensors_writer.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lazuli {
namespace {

using nlohmann::json;
using test::error_of;
using test::SafetensorsWriter;
using test::TemporaryFolder;

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

// ---- names ----

TEST(TensorNames, FindThePrefixOfEveryProducer) {
  for (const std::string prefix : {"", "model.", "language_model.", "language_model.model.", "model.language_model.",
                                   "model.language_model.model."})
    EXPECT_EQ(text_prefix({"lm_head.weight", prefix + "embed_tokens.weight", "vision_tower.embed_tokensx"}), prefix);
  EXPECT_EQ(text_prefix({"model.embed_tokens_per_layer.weight"}), std::nullopt);
}

TEST(TensorNames, FindThePrefixByLayersWithoutAnEmbedding) {
  EXPECT_EQ(text_prefix({"model.norm.weight", "model.layers.0.mlp.up_proj.weight"}), "model.");
}

TEST(TensorNames, HaveAWayBack) {
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight", "model.layers.12.self_attn.q_proj.weight",
                           "model.layers.0.altup.correct_output_scale", "model.layers.0.layer_scalar",
                           "model.layers.3.router.scale", "model.layers.0.experts.gate_up_proj",
                           "model.layers.0.experts.down_proj", "model.layers.0.experts.switch_glu.up_proj.weight",
                           "model.altup_unembed_projections.2.weight", "lm_head.weight"})
    EXPECT_EQ(published_name(canonical_name(name, "model.")->canonical(), "model."), name);
  EXPECT_EQ(published_name("rope_freqs.weight", "model."), "rope_freqs.weight");
  EXPECT_EQ(published_name("blk.0.unheard_of.weight", "model."), "blk.0.unheard_of.weight");
}

TEST(TensorNames, AreThoseOfGguf) {
  auto canonical = [](const char* name) {
    const auto found = canonical_name(name, "model.");
    return found ? found->canonical() : "none";
  };
  EXPECT_EQ(canonical("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(canonical("model.norm.weight"), "output_norm.weight");
  EXPECT_EQ(canonical("lm_head.weight"), "output.weight");
  EXPECT_EQ(canonical("model.layers.12.self_attn.q_proj.scales"), "blk.12.attn_q.scales");
  EXPECT_EQ(canonical("model.layers.0.altup.correct_output_scale"), "blk.0.altup_correct_scale.weight");
  EXPECT_EQ(canonical("model.layers.0.layer_scalar"), "blk.0.layer_output_scale.weight");
  EXPECT_EQ(canonical("model.layers.0.router.per_expert_scale"), "blk.0.ffn_down_exps.scale");
  EXPECT_EQ(canonical("model.layers.0.router.scale"), "blk.0.ffn_gate_inp.scale");
  EXPECT_EQ(canonical("model.layers.0.experts.gate_up_proj"), "blk.0.ffn_gate_up_exps.weight");
  EXPECT_EQ(canonical("model.layers.0.experts.switch_glu.up_proj.weight"), "blk.0.ffn_up_exps.weight");
  EXPECT_EQ(canonical("model.altup_unembed_projections.2.weight"), "altup_unembd_proj.2.weight");
  EXPECT_EQ(canonical("model.layers.x.layer_scalar"), "none");
  EXPECT_EQ(canonical("model.layers.0.unheard_of.weight"), "none");
  EXPECT_EQ(canonical("embed_tokens.weight"), "none");
  EXPECT_TRUE(is_other_modality("model.vision_tower.layers.0.self_attn.q_proj.weight"));
  EXPECT_FALSE(is_other_modality("model.layers.0.self_attn.q_proj.weight"));
}

// ---- configurations ----

TEST(Gemma3Config, TakesPublishedDefaults) {
  const Gemma3Config config = Gemma3Config::from_json(json::parse(R"({
    "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "sliding_window": 1024,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"}})"));
  EXPECT_EQ(config.heads, 8);
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.head_dim, 256);
  EXPECT_EQ(config.vocab_size, 262208);
  EXPECT_EQ(config.rope_base_global, 1e6);
  EXPECT_EQ(config.rope_base_sliding, 1e4);
  EXPECT_EQ(config.rope_factor, 8);
  EXPECT_EQ(config.attention_scale, 0.0625);
  EXPECT_EQ(config.final_softcap, 0);
  EXPECT_FALSE(config.sliding[5]);
  EXPECT_TRUE(config.sliding[33]);
}

TEST(Gemma3Config, ReadsBothSpellingsOfRope) {
  const json nested = json::parse(R"({"rope_parameters": {
    "full_attention": {"rope_type": "linear", "rope_theta": 5e5, "factor": 4},
    "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}}})");
  const json flat = json::parse(
      R"({"rope_theta": 5e5, "rope_local_base_freq": 2e4, "rope_scaling": {"type": "linear", "factor": 4}})");
  for (const json& config : {nested, flat}) {
    const Gemma3Config read = Gemma3Config::from_json(config);
    EXPECT_EQ(read.rope_base_global, 5e5);
    EXPECT_EQ(read.rope_base_sliding, 2e4);
    EXPECT_EQ(read.rope_factor, 4);
  }
  const RopeConfig proportional = json_rope(
      json::parse(
          R"({"rope_parameters": {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25}})"),
      false, 1e4);
  EXPECT_TRUE(proportional.proportional);
  EXPECT_EQ(proportional.partial_rotary_factor, 0.25);
}

TEST(Gemma3Config, NamesTheKeyThatIsWrong) {
  auto error = [](const char* text) { return error_of([&] { Gemma3Config::from_json(json::parse(text)); }); };
  EXPECT_EQ(error(R"({"hidden_size": "wide"})"), "config.json: hidden_size is \"wide\", expected an integer");
  EXPECT_EQ(error(R"({"hidden_size": 0})"), "config.json: hidden_size is 0, expected 1 to 2^30");
  EXPECT_EQ(error(R"({"rope_scaling": {"rope_type": "yarn"}})"),
            "config.json: rope_type is \"yarn\", expected default, linear or proportional");
  EXPECT_EQ(error(R"({"num_hidden_layers": 2, "layer_types": ["full_attention"]})"),
            "config.json: layer_types has 1 entries, expected one for each of 2 layers");
}

TEST(CheckpointFolder, EndTokensComeFromTheGenerationConfig) {
  TemporaryFolder folder;
  folder.write("config.json", R"({"model_type": "gemma3", "eos_token_id": 1, "text_config": {"hidden_size": 7}})");
  EXPECT_EQ(CheckpointFolder::open(folder.path()).eos_ids(), (std::vector<std::int32_t>{1}));
  folder.write("generation_config.json", R"({"eos_token_id": [1, 106], "suppress_tokens": [258882]})");
  const CheckpointFolder read = CheckpointFolder::open(folder.path() + "/");
  EXPECT_EQ(read.eos_ids(), (std::vector<std::int32_t>{1, 106}));
  EXPECT_EQ(read.suppressed_ids(), (std::vector<std::int32_t>{258882}));
  EXPECT_EQ(read.text_config().at("hidden_size"), 7);
}

// ---- quantised modules ----

// Reads what `writer` says of the embedding as a weight of this shape, and decodes it.
struct Decoded {
  DType dtype;
  std::vector<float> values;
};

Decoded decode_embedding(const SafetensorsWriter& writer, const std::string& quantisation, const Shape& shape) {
  TemporaryFolder folder;
  folder.write("config.json", R"({"model_type": "gemma4_text")" +
                                  (quantisation.empty() ? "" : R"(, "quantization": )" + quantisation) + "}");
  writer.write(folder.path() + "/model.safetensors");
  Weights weights = Weights::from_folder(CheckpointFolder::open(folder.path()));
  const Array weight = weights.take("token_embd.weight", shape);
  weights.report();
  const BufferRef buffer = weight.node()->results()[0].buffer;
  Decoded decoded{weight.dtype(), std::vector<float>(static_cast<std::size_t>(weight.type().elements()))};
  // Once released, the data comes back when it is asked for again.
  std::vector<float> first(decoded.values.size());
  dequantise(weight.dtype(), buffer->data(), weight.type().elements(), first.data());
  buffer->release_pages();
  dequantise(weight.dtype(), buffer->data(), weight.type().elements(), decoded.values.data());
  EXPECT_EQ(first, decoded.values);
  return decoded;
}

std::vector<std::uint8_t> counting_bytes(std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * 73 + i / 251);
  return bytes;
}

std::vector<std::uint8_t> bf16_bytes(const std::vector<float>& values) {
  std::vector<std::uint8_t> bytes;
  for (float value : values) {
    const std::uint16_t bits = f32_to_bf16(value);
    bytes.push_back(static_cast<std::uint8_t>(bits & 255));
    bytes.push_back(static_cast<std::uint8_t>(bits >> 8));
  }
  return bytes;
}

constexpr float e2m1[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0f, -0.5, -1, -1.5, -2, -3, -4, -6};

int nibble(const std::vector<std::uint8_t>& bytes, std::size_t i) { return bytes[i / 2] >> (i % 2 * 4) & 15; }

float e4m3(int code) {
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                       : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

TEST(MlxWeights, AffineIsExact) {
  const std::vector<float> scales = {0.5f, -0.0078125f, 3.0f, 1e-3f}, biases = {-1.0f, 0.25f, 0.0f, 7.0f};
  const auto codes = counting_bytes(2 * 128 / 2);
  SafetensorsWriter writer;
  writer.add("model.embed_tokens.weight", "U32", {2, 16}, codes);
  writer.add("model.embed_tokens.scales", "BF16", {2, 2}, bf16_bytes(scales));
  writer.add("model.embed_tokens.biases", "BF16", {2, 2}, bf16_bytes(biases));
  const Decoded decoded = decode_embedding(writer, R"({"group_size": 64, "bits": 4})", {2, 128});
  EXPECT_EQ(decoded.dtype, DType::affine4_64);
  for (std::size_t i = 0; i < 256; ++i) {
    const float scale = bf16_to_f32(f32_to_bf16(scales[i / 64])), bias = bf16_to_f32(f32_to_bf16(biases[i / 64]));
    ASSERT_EQ(decoded.values[i], scale * static_cast<float>(nibble(codes, i)) + bias) << i;
  }
}

TEST(MlxWeights, ModulesMayDifferFromTheDefault) {
  SafetensorsWriter writer;
  writer.add("model.embed_tokens.weight", "U32", {1, 16}, counting_bytes(64));
  writer.add("model.embed_tokens.scales", "F32", {1, 2}, std::vector<std::uint8_t>(8));
  writer.add("model.embed_tokens.biases", "F32", {1, 2}, std::vector<std::uint8_t>(8));
  const std::string entry =
      R"({"group_size": 64, "bits": 4, "model.embed_tokens": {"group_size": 32, "bits": 8}, "model.norm": false})";
  EXPECT_EQ(decode_embedding(writer, entry, {1, 64}).dtype, DType::affine8_32);
  // Bits that the file does not state follow from the sizes.
  EXPECT_EQ(decode_embedding(writer, R"({"group_size": 64, "bits": 8})", {1, 128}).dtype, DType::affine4_64);
}

TEST(MlxWeights, Mxfp4AndMxfp8AreExact) {
  const auto codes = counting_bytes(64);
  const std::vector<std::uint8_t> scales = {127, 0, 120, 130};
  SafetensorsWriter four;
  four.add("model.embed_tokens.weight", "U32", {2, 8}, codes).add("model.embed_tokens.scales", "U8", {2, 2}, scales);
  const Decoded fp4 = decode_embedding(four, R"({"group_size": 32, "bits": 4, "mode": "mxfp4"})", {2, 64});
  EXPECT_EQ(fp4.dtype, DType::mxfp4);
  for (std::size_t i = 0; i < 128; ++i)
    ASSERT_EQ(fp4.values[i], std::ldexp(e2m1[nibble(codes, i)], scales[i / 32] - 127)) << i;

  std::vector<std::uint8_t> bytes = counting_bytes(64);
  for (std::uint8_t& byte : bytes)
    if ((byte & 0x7f) == 0x7f) byte = 0;
  SafetensorsWriter eight;
  eight.add("model.embed_tokens.weight", "U32", {1, 16}, bytes)
      .add("model.embed_tokens.scales", "U8", {1, 2}, {127, 100});
  const Decoded fp8 = decode_embedding(eight, R"({"group_size": 32, "bits": 8, "mode": "mxfp8"})", {1, 64});
  EXPECT_EQ(fp8.dtype, DType::mxfp8);
  for (std::size_t i = 0; i < 64; ++i)
    ASSERT_EQ(fp8.values[i], std::ldexp(bytes[i] >= 128 ? -e4m3(bytes[i]) : e4m3(bytes[i]), i < 32 ? 0 : -27)) << i;
}

TEST(Nvfp4Weights, EveryProducerDecodesExactly) {
  const auto codes = counting_bytes(64);
  const std::vector<std::uint8_t> scales = {0x38, 0x00, 0x7e, 0x01, 0x45, 0x08, 0x30, 0x6f};
  const float factor = 0.0123f, inverse = 1.0f / factor;
  auto bytes_of = [](float value) {
    std::vector<std::uint8_t> bytes(4);
    std::memcpy(bytes.data(), &value, 4);
    return bytes;
  };
  auto expect = [&](const SafetensorsWriter& writer, DType dtype, float expected_factor) {
    const Decoded decoded = decode_embedding(writer, "", {2, 64});
    EXPECT_EQ(decoded.dtype, dtype);
    for (std::size_t i = 0; i < 128; ++i)
      ASSERT_EQ(decoded.values[i], e2m1[nibble(codes, i)] * (e4m3(scales[i / 16]) * expected_factor)) << i;
  };
  SafetensorsWriter mlx;
  mlx.add("model.embed_tokens.weight", "U32", {2, 8}, codes).add("model.embed_tokens.scales", "U8", {2, 4}, scales);
  expect(mlx, DType::nvfp4, 1.0f);
  mlx.add("model.embed_tokens.global_scale", "F32", {}, bytes_of(5.5f));
  expect(mlx, DType::e2m1_16, 5.5f / 2688.0f);
  SafetensorsWriter modelopt;
  modelopt.add("model.embed_tokens.weight", "U8", {2, 32}, codes)
      .add("model.embed_tokens.weight_scale", "F8_E4M3", {2, 4}, scales);
  modelopt.add("model.embed_tokens.weight_scale_2", "F32", {}, bytes_of(factor))
      .add("model.embed_tokens.input_scale", "F32", {}, bytes_of(3));
  expect(modelopt, DType::e2m1_16, factor);
  SafetensorsWriter compressed;
  compressed.add("model.embed_tokens.weight_packed", "U8", {2, 32}, codes)
      .add("model.embed_tokens.weight_scale", "F8_E4M3", {2, 4}, scales);
  compressed.add("model.embed_tokens.weight_global_scale", "F32", {1}, bytes_of(inverse));
  expect(compressed, DType::e2m1_16, 1.0f / inverse);
}

TEST(Nvfp4Weights, RowsThatAreNoWholeBlocksStayExact) {
  const auto codes = counting_bytes(24);
  SafetensorsWriter writer;
  writer.add("model.embed_tokens.weight", "U32", {1, 6}, codes)
      .add("model.embed_tokens.scales", "U8", {1, 3}, {0x38, 0x40, 0x30});
  const Decoded decoded = decode_embedding(writer, "", {1, 48});
  EXPECT_EQ(decoded.dtype, DType::e2m1_16);
  const float scales[] = {1, 2, 0.5};
  for (std::size_t i = 0; i < 48; ++i) ASSERT_EQ(decoded.values[i], e2m1[nibble(codes, i)] * scales[i / 16]) << i;
}

TEST(QuantisedWeights, SayWhatDoesNotFit) {
  auto error = [](const SafetensorsWriter& writer, const std::string& quantisation) {
    return error_of([&] { decode_embedding(writer, quantisation, {1, 64}); });
  };
  SafetensorsWriter writer;
  writer.add("model.embed_tokens.weight", "U32", {1, 8}, counting_bytes(32))
      .add("model.embed_tokens.scales", "F32", {1, 1}, std::vector<std::uint8_t>(4));
  expect_contains(error(writer, R"({"group_size": 64, "bits": 4})"),
                  "module model.embed_tokens is quantised but has no biases");
  writer.add("model.embed_tokens.biases", "F32", {1, 1}, std::vector<std::uint8_t>(4));
  EXPECT_EQ(error(writer, R"({"group_size": 64, "bits": 4})"), "no error");
  expect_contains(error(writer, ""), "module model.embed_tokens is quantised, but config.json has no quantization");
  expect_contains(error(writer, R"({"group_size": 48})"), "in groups of 48");
  SafetensorsWriter exponents;
  exponents.add("model.embed_tokens.weight", "U32", {1, 8}, counting_bytes(32))
      .add("model.embed_tokens.scales", "U8", {1, 2}, {127, 255});
  expect_contains(error(exponents, ""), "scale 1 is the code 255, which is not a number");
  SafetensorsWriter nan;
  nan.add("model.embed_tokens.weight", "U32", {1, 8}, counting_bytes(32))
      .add("model.embed_tokens.scales", "U8", {1, 4}, {0x38, 0x38, 0x7f, 0x38});
  expect_contains(error(nan, ""), "scale 2 is the code 0x7f");
  SafetensorsWriter gptq;
  gptq.add("model.embed_tokens.qweight", "I32", {1, 8}, counting_bytes(32));
  const std::string text = error_of([&] {
    TemporaryFolder folder;
    folder.write("config.json", R"({"model_type": "gemma3_text"})");
    gptq.write(folder.path() + "/model.safetensors");
    Weights weights = Weights::from_folder(CheckpointFolder::open(folder.path()));
    weights.take("token_embd.weight", {1, 64});
    weights.report();
  });
  expect_contains(text, "module model.embed_tokens is quantised in a way that is not supported");
}

// ---- a whole model ----

constexpr const char* tiny_config =
    R"({"model_type": "gemma3_text", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
  "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 32, "vocab_size": 4, "sliding_window": 8})";

// All tensors of the model above, but for those named.
SafetensorsWriter tiny_tensors(const std::vector<std::string>& without = {}) {
  SafetensorsWriter writer;
  auto add = [&](const std::string& name, const Shape& shape) {
    if (std::ranges::find(without, name) != without.end()) return;
    writer.add(name, "BF16", shape, std::vector<std::uint8_t>(static_cast<std::size_t>(element_count(shape)) * 2));
  };
  add("model.embed_tokens.weight", {4, 32});
  add("model.norm.weight", {32});
  for (const char* norm : {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                           "post_feedforward_layernorm", "self_attn.q_norm", "self_attn.k_norm"})
    add(fmt::format("model.layers.0.{}.weight", norm), {32});
  for (const char* matrix : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                             "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
    add(fmt::format("model.layers.0.{}.weight", matrix), {32, 32});
  return writer;
}

TEST(LoadFolder, LoadsOneFileAndShards) {
  TemporaryFolder folder;
  folder.write("config.json", tiny_config);
  tiny_tensors().write(folder.path() + "/model.safetensors");
  const auto model = load_model(folder.path());
  EXPECT_EQ(model->info().layers, 1);
  EXPECT_EQ(model->tokenizer(), nullptr);

  std::filesystem::remove(folder.path() + "/model.safetensors");
  tiny_tensors({"model.norm.weight"}).write(folder.path() + "/model-00001-of-00002.safetensors");
  SafetensorsWriter rest;
  rest.add("model.norm.weight", "F32", {32}, std::vector<std::uint8_t>(128));
  rest.add("vision_tower.patch.weight", "F32", {1}, std::vector<std::uint8_t>(4));
  folder.write("model.safetensors.index.json",
               R"({"weight_map": {"model.embed_tokens.weight": "model-00001-of-00002.safetensors",
    "model.norm.weight": "model-00002-of-00002.safetensors"}})");
  EXPECT_EQ(error_of([&] { load_model(folder.path()); }),
            folder.path() + ": shards are missing: model-00002-of-00002.safetensors");
  rest.write(folder.path() + "/model-00002-of-00002.safetensors");
  EXPECT_EQ(load_model(folder.path())->info().parameters, model->info().parameters);
  EXPECT_EQ(Weights::from_folder(CheckpointFolder::open(folder.path())).skipped(), 1);
}

TEST(LoadFolder, SaysWhatIsMissing) {
  TemporaryFolder folder;
  expect_contains(error_of([&] { load_model(folder.path()); }), "config.json: cannot open the file");
  folder.write("config.json", "{");
  expect_contains(error_of([&] { load_model(folder.path()); }), "config.json: not valid JSON");
  folder.write("config.json", "{}");
  expect_contains(error_of([&] { load_model(folder.path()); }), "config.json: model_type is missing");
  folder.write("config.json", R"({"model_type": "mamba"})");
  expect_contains(error_of([&] { load_model(folder.path()); }),
                  "model_type mamba is not supported; expected gemma3, gemma3n or gemma4");
  folder.write("config.json", tiny_config);
  expect_contains(error_of([&] { load_model(folder.path()); }),
                  "holds neither model.safetensors nor model.safetensors.index.json");
  folder.write("model.safetensors.index.json", R"({"weight_map": {"a": "../outside.safetensors"}})");
  expect_contains(error_of([&] { load_model(folder.path()); }), "expected the name of a file in this folder");
}

TEST(Safetensors, MalformedFilesAreNamed) {
  TemporaryFolder folder;
  folder.write("config.json", tiny_config);
  const std::string path = folder.path() + "/model.safetensors";
  auto error = [&](const std::string& bytes) {
    folder.write("model.safetensors", bytes);
    return error_of([&] { load_model(folder.path()); });
  };
  auto with_header = [](const std::string& header, std::size_t data) {
    std::string bytes(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i));
    return bytes + header + std::string(data, '\0');
  };
  EXPECT_EQ(error("1234"), path + ": 4 bytes are too few for a safetensors header");
  EXPECT_EQ(error(with_header("{}", 0).substr(0, 9)), path + ": the header ends at byte 10 but the file has 9");
  expect_contains(error(with_header(R"({"a": {"dtype": "F32")", 0)), "the header is not valid");
  EXPECT_EQ(error(with_header(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 4)),
            path + ": tensor a: data ends at byte 77 but the file has 73");
  expect_contains(error(with_header(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}})", 8)),
                  "8 bytes of data; expected 4 for f32[1]");
  expect_contains(error(with_header(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}})", 8)),
                  "data_offsets are not [begin, end]");
  expect_contains(error(with_header(R"({"a": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}})", 8)),
                  "no tensor is an embedding or part of a layer");
}

// ---- tokenizer.json ----

std::string tokenizer_text(const std::string& merges) {
  json vocabulary = {{"<pad>", 0}, {"<eos>", 1}, {"<bos>", 2},  {"<unk>", 3},    {"a", 4},
                     {"b", 5},     {"ab", 6},    {"\u2581", 7}, {"\u2581ab", 8}, {"\u2581\u2581", 9}};
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = 12 + byte;
  const json added =
      json::parse(R"([{"id": 0, "content": "<pad>", "special": true}, {"id": 1, "content": "<eos>", "special": true},
    {"id": 2, "content": "<bos>", "special": true}, {"id": 10, "content": "<end_of_turn>", "special": true},
    {"id": 11, "content": "\n\n", "special": false}, {"id": 9, "content": "\u2581\u2581", "special": false}])");
  return json{
      {"added_tokens", added},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", json::parse(merges)}, {"unk_token", "<unk>"}}}}
      .dump();
}

TEST(TokenizerJson, ReadsBothSpellingsOfMerges) {
  for (const char* merges : {R"(["a b", "▁ ▁", "▁ ab"])", R"([["a", "b"], ["▁", "▁"], ["▁", "ab"]])"}) {
    TemporaryFolder folder;
    folder.write("config.json", R"({"model_type": "gemma3_text", "eos_token_id": 1})");
    folder.write("tokenizer.json", tokenizer_text(merges));
    folder.write("tokenizer_config.json", R"({"bos_token": {"content": "<bos>"}, "add_bos_token": false})");
    const auto tokenizer = read_tokenizer_json(CheckpointFolder::open(folder.path()));
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->encode("ab ab"), (std::vector<std::int32_t>{2, 6, 8}));
    EXPECT_EQ(tokenizer->encode("a  b\n\n", {.add_bos = false}), (std::vector<std::int32_t>{4, 9, 5, 11}));
    EXPECT_EQ(tokenizer->encode("\x01", {.add_bos = false}), (std::vector<std::int32_t>{13}));
    EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{2, 6, 9, 8, 11}), "ab   ab\n\n");
    EXPECT_EQ(tokenizer->bos(), 2);
    EXPECT_TRUE(tokenizer->is_end_of_generation(1));
    EXPECT_TRUE(tokenizer->is_end_of_generation(10));
    EXPECT_FALSE(tokenizer->is_end_of_generation(11));
    EXPECT_EQ(tokenizer->vocab_size(), 268);
  }
}

TEST(TokenizerJson, NamesWhatIsMalformed) {
  TemporaryFolder folder;
  folder.write("config.json", "{}");
  auto error = [&](const std::string& text) {
    folder.write("tokenizer.json", text);
    return error_of([&] { read_tokenizer_json(CheckpointFolder::open(folder.path())); });
  };
  EXPECT_EQ(read_tokenizer_json(CheckpointFolder::open(folder.path())), nullptr);
  const std::string path = folder.path() + "/tokenizer.json";
  EXPECT_EQ(error("[]"), path + ": model is missing");
  EXPECT_EQ(error(R"({"model": {"type": "Unigram"}})"), path + ": model.type is \"Unigram\", expected BPE");
  EXPECT_EQ(error(R"({"model": {"vocab": {}}})"), path + ": model.merges is missing or of another type");
  expect_contains(error(R"({"model": {"vocab": {"a": -1}, "merges": []}})"),
                  "token \"a\" has the id -1, expected 0 to 2^24");
  expect_contains(error(R"({"model": {"vocab": {"a": 0}, "merges": [["a"]]}})"), "model.merges[0]: found a list of 1");
}

// A table of all ids up to the largest would take a hundred megabytes for a file of a hundred bytes.
TEST(TokenizerJson, LeavesOutNoMoreIdsThanAVocabularyMay) {
  TemporaryFolder folder;
  folder.write("config.json", "{}");
  const auto read = [&](int id) {
    folder.write("tokenizer.json", fmt::format(R"({{"model": {{"vocab": {{"a": 0, "b\n": {}}}, "merges": []}}}})", id));
    return read_tokenizer_json(CheckpointFolder::open(folder.path()));
  };
  EXPECT_EQ(read(65537)->vocab_size(), 65538);
  EXPECT_EQ(error_of([&] { read(65538); }),
            folder.path() +
                "/tokenizer.json: token \"b?\" has the id 65538, expected less than 65538: no more than 65536 "
                "ids are left out");
}

// What no formula of the model is defined for would be NaN in every result.
TEST(CheckpointFolder, NumbersOfConfigurationsAreThoseThatModelsCanHave) {
  const auto errors = [](const char* text) {
    const json config = json::parse(text);
    return std::vector{error_of([&] { Gemma3Config::from_json(config); }),
                       error_of([&] { Gemma3nConfig::from_json(config); }),
                       error_of([&] { Gemma4Config::from_json(config); })};
  };
  const std::pair<const char*, const char*> cases[] = {
      {R"({"rope_theta": 0})", "the rope base of global layers is 0; expected a positive number"},
      {R"({"rope_local_base_freq": -1})", "the rope base of sliding layers is -1; expected a positive number"},
      {R"({"rms_norm_eps": -1e-6})", "the norms' epsilon is -1e-06; expected 0 or more"},
      {R"({"final_logit_softcapping": -30})", "the cap of logits is -30; expected 0 or more"},
      {R"({"rope_theta": 1e39})", "the rope base of global layers is 1e+39; expected a positive number"}};
  for (const auto& [text, expected] : cases)
    for (const std::string& error : errors(text)) EXPECT_EQ(error, std::string("config.json: ") + expected) << text;
  for (const char* text : {R"({"query_pre_attn_scalar": 0})", R"({"query_pre_attn_scalar": -4})"})
    expect_contains(errors(text)[0], "the scale of attention is ");
}

// Values nested as deep as a file likes are named by their kind: writing them out would end in the stack.
TEST(CheckpointFolder, NamesValuesOfAnyDepth) {
  constexpr std::size_t depth = 200'000;
  const std::string nested = std::string(depth, '[') + std::string(depth, ']');
  TemporaryFolder folder;
  folder.write("config.json", R"({"model_type": "gemma3_text", "num_hidden_layers": )" + nested + "}");
  EXPECT_EQ(error_of([&] { Gemma3Config::from_json(CheckpointFolder::open(folder.path()).config()); }),
            "config.json: num_hidden_layers is a list of 1, expected an integer");
  folder.write("config.json", R"({"num_hidden_layers": 1, "intermediate_size": [)" + nested + "]}");
  EXPECT_EQ(error_of([&] { Gemma3nConfig::from_json(CheckpointFolder::open(folder.path()).config()); }),
            "config.json: intermediate_size holds a list of 1, expected a number for each layer");
  folder.write("model.safetensors.index.json", R"({"weight_map": {"a": )" + nested + "}}");
  expect_contains(error_of([&] { CheckpointFolder::open(folder.path()).list_tensors(); }), "placed in a list of 1");
  folder.write("tokenizer.json", R"({"model": {"type": )" + nested + "}}");
  expect_contains(error_of([&] { read_tokenizer_json(CheckpointFolder::open(folder.path())); }),
                  "model.type is a list of 1");
}

// Names come from the file, and errors are one line.
TEST(Safetensors, NamesAndSizesThatAreNone) {
  TemporaryFolder folder;
  const std::string path = folder.path() + "/model.safetensors";
  const auto error = [&](const std::string& entry) {
    const std::string header = R"({"a\nb": )" + entry + "}";
    std::string bytes(8, '\0');
    bytes[0] = static_cast<char>(header.size());
    folder.write("model.safetensors", bytes + header + "12345678");
    return error_of([&] { read_safetensors(path); });
  };
  const std::string where = path + ": tensor a?b: ";
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [1e300], "data_offsets": [0, 4]})"),
            where + "shape holds 1e+300, expected an integer");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]})"),
            where + "data_offsets holds -8, expected an integer");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [9223372036854775808], "data_offsets": [0, 4]})"),
            where + "shape holds 9223372036854775808, expected an integer");
  EXPECT_EQ(error(R"({"dtype": "F\n", "shape": [1], "data_offsets": [0, 4]})"), where + "dtype F? is not supported");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": 1, "data_offsets": [0, 4]})"),
            where + "shape is 1, expected a list of integers");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})"), "no error");
}

}  // namespace
}  // namespace lazuli
