// SPDX-License-Identifier: MIT
// Writes the first inputs of all fuzzers: small files of every kind, well formed, made from the tests' data and by the
// writers of the project.
//   lazuli_fuzz_corpus FOLDER      makes FOLDER/FUZZER/NAME
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/backends/cpu/jit/find_generator.h>
#include <lazuli/backends/cpu/jit/loop_body.h>
#include <lazuli/graph/files/graph_file_format.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/models/checkpoint/gguf_writer.h>
#include <lazuli/models/generation/cache_file.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/models/synth/family.h>
#include <lazuli/models/synth/tensors.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/runtime/tuning/tuning_record.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/small_model.h>
#include <lazuli/tests/support/paths.h>
#include <lazuli/tests/support/safetensors_writer.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

namespace lazuli::fuzz {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot open the file", path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

class Corpus {
 public:
  explicit Corpus(fs::path folder) : folder_(std::move(folder)) {}

  void add(const std::string& fuzzer, const std::string& name, const std::string& bytes) {
    fs::create_directories(folder_ / fuzzer);
    std::ofstream(folder_ / fuzzer / name, std::ios::binary) << bytes;
  }
  void add_parts(const std::string& fuzzer, const std::string& name, const std::vector<std::string>& parts) {
    std::string bytes;
    for (std::size_t i = 0; i < parts.size(); ++i) bytes += (i == 0 ? "" : std::string(part_border)) + parts[i];
    add(fuzzer, name, bytes);
  }

 private:
  fs::path folder_;
};

// ---- GGUF ----

GgufWriter all_values() {
  GgufWriter writer;
  writer.add("general.architecture", "gemma3").add("u8", std::uint8_t{200}).add("i8", std::int8_t{-3});
  writer.add("u16", std::uint16_t{60000}).add("i16", std::int16_t{-300}).add("u32", std::uint32_t{4000000000});
  writer.add("i32", std::int32_t{-5}).add("f32", 0.5f).add("yes", true);
  writer.add("u64", std::uint64_t{1} << 40).add("i64", std::int64_t{-1} << 40).add("f64", 0.1);
  writer.add_array("names", std::vector<std::string>{"a", "", "ccc"});
  writer.add_array("heads", std::vector<std::uint32_t>{8, 8, 2});
  writer.add_array("sliding", std::vector<bool>{true, false, true});
  return writer;
}

void add_gguf(Corpus& corpus) {
  corpus.add("gguf", "values", all_values().bytes());
  GgufWriter tensors;
  tensors.version = 2;
  tensors.alignment = 64;
  tensors.add("general.alignment", std::uint32_t{64});
  tensors.add_tensor("norm", DType::f32, {3}, std::string(12, '\1'));
  tensors.add_tensor("weight", DType::q8_0, {2, 64}, std::string(2 * 68, '\2'));
  tensors.add_tensor("experts", DType::bf16, {2, 3, 4}, std::string(48, '\3'));
  tensors.add_tensor_info("unknown", {256, 2}, 17, 0);
  corpus.add("gguf", "tensors", tensors.bytes());

  std::vector<std::string> parts;
  for (std::uint16_t number = 0; number < 2; ++number) {
    GgufWriter part;
    if (number == 0) part.add("general.architecture", "gemma3");
    part.add("split.no", number).add("split.count", std::uint16_t{2}).add("split.tensors.count", std::int32_t{2});
    part.add_tensor(number == 0 ? "first" : "second", DType::f32, {8}, std::string(32, 'x'));
    parts.push_back(part.bytes());
  }
  corpus.add_parts("gguf_split", "two", parts);
  corpus.add_parts("gguf_split", "one", {tensors.bytes()});
}

// Pieces, then the bytes where there is room for them.
GgufWriter vocabulary(const char* model, bool with_bytes) {
  std::vector<std::string> texts = {"<pad>", "<eos>",  "<bos>",         "<unk>",      "a",         "b",
                                    "ab",    "\u2581", "<end_of_turn>", "<|channel>", "\u2581a",   "\n",
                                    "\n\n",  "ba",     "<turn|>",       "\u00e9",     "<unused0>", "a b"};
  std::vector<std::int32_t> types = {3, 3, 3, 2, 1, 1, 1, 1, 3, 4, 1, 1, 1, 1, 3, 1, 5, 4};
  if (with_bytes)
    for (int byte = 0; byte < 256; ++byte) {
      texts.push_back(fmt::format("<0x{:02X}>", byte));
      types.push_back(6);
    }
  std::vector<float> scores;
  for (std::size_t i = 0; i < texts.size(); ++i) scores.push_back(-static_cast<float>(i));
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", model).add_array("tokenizer.ggml.tokens", texts);
  writer.add_array("tokenizer.ggml.scores", scores).add_array("tokenizer.ggml.token_type", types);
  writer.add_array("tokenizer.ggml.merges", std::vector<std::string>{"b a", "a b", "\n \n", "\u2581 a"});
  writer.add("tokenizer.ggml.bos_token_id", 2u).add("tokenizer.ggml.eos_token_id", 1u);
  writer.add("tokenizer.ggml.unknown_token_id", 3u).add("tokenizer.ggml.eot_token_id", 8u);
  return writer.add_array("tokenizer.ggml.suppress_tokens", std::vector<std::int32_t>{9, 900});
}

void add_vocabularies(Corpus& corpus) {
  const std::string text = "a bab\n\n<end_of_turn><|channel>\xc3\xa9\xff<0x41>";
  for (const char* model : {"llama", "gemma4"})
    for (const bool bytes : {false, true})
      corpus.add_parts("gguf_vocabulary", fmt::format("{}{}", model, bytes ? "-bytes" : ""),
                       {text, vocabulary(model, bytes).bytes()});
}

// ---- checkpoints ----

// A model of each family as small as it has all its parts.
std::vector<synth::Architecture> small_architectures() {
  synth::Architecture base{};
  base.name = "small";
  base.hidden_size = 32;
  base.layers = 2;
  base.intermediate_size = 32;
  base.heads = 2;
  base.kv_heads = 1;
  base.head_dim = 16;
  base.period = 2;
  base.window = 8;
  base.context_length = 64;
  base.vocab_size = base.tokens = 20;
  std::vector<synth::Architecture> all(4, base);
  all[0].family = synth::Family::gemma3;
  all[1].family = synth::Family::gemma3n;
  all[1].layers = 4;
  all[1].shared_kv_layers = 2;
  all[1].per_layer_width = 8;
  all[1].sparse_layers = 1;
  all[1].laurel_rank = 4;
  all[2].family = all[3].family = synth::Family::gemma4;
  all[2].name = "small-e";
  all[2].per_layer_width = 8;
  all[2].global_head_dim = 32;
  all[3].name = "small-experts";
  all[3].global_kv_heads = 1;
  all[3].global_head_dim = 32;
  all[3].experts = 2;
  all[3].experts_per_token = 1;
  all[3].expert_size = 32;
  return all;
}

std::string zeros(DType dtype, const Shape& shape) {
  return std::string(static_cast<std::size_t>(byte_size(dtype, element_count(shape))), '\0');
}

void add_sizes(GgufWriter& writer, const synth::Architecture& a) {
  const std::string prefix = std::string(synth::files_of(a.family).model.architecture) + '.';
  const std::int64_t width = std::max(a.global_head_dim, a.head_dim);
  const std::pair<const char*, std::int64_t> sizes[] = {{"context_length", a.context_length},
                                                        {"embedding_length", a.hidden_size},
                                                        {"block_count", a.layers},
                                                        {"feed_forward_length", a.intermediate_size},
                                                        {"attention.head_count", a.heads},
                                                        {"attention.head_count_kv", a.kv_heads},
                                                        {"attention.key_length", width},
                                                        {"attention.value_length", width},
                                                        {"attention.sliding_window", a.window}};
  for (const auto& [key, size] : sizes) writer.add(prefix + key, synth::u32(size));
  writer.add(prefix + "attention.layer_norm_rms_epsilon", 1e-6f);
  writer.add(prefix + "rope.freq_base", 1e6f);
  synth::files_of(a.family).add_keys(writer, prefix, a);
}

void add_gguf_models(Corpus& corpus) {
  for (const synth::Architecture& a : small_architectures()) {
    GgufWriter writer;
    writer.add("general.architecture", synth::files_of(a.family).model.architecture);
    add_sizes(writer, a);
    for (const synth::Tensor& tensor : synth::gguf_tensors(a)) {
      const bool matrix = tensor.kind == synth::TensorKind::matrix || tensor.kind == synth::TensorKind::embedding;
      const DType dtype = tensor.shape.size() == 1 ? DType::f32 : matrix ? DType::q4_0 : DType::bf16;
      writer.add_tensor(tensor.name, dtype, tensor.shape, zeros(dtype, tensor.shape));
    }
    corpus.add("gguf_model", fmt::format("{}-{}", synth::files_of(a.family).model.architecture, a.name),
               writer.bytes());
  }
}

using Entries = std::vector<SafetensorsEntry>;

std::string safetensors_file(const Entries& entries) {
  std::string bytes = safetensors_header(entries, {{"format", "pt"}});
  for (const SafetensorsEntry& entry : entries) bytes += zeros(entry.type.dtype, entry.type.shape);
  return bytes;
}

Entries plain_entries(const synth::Architecture& a) {
  Entries entries;
  for (const synth::Tensor& tensor : synth::folder_tensors(a, false))
    entries.push_back({tensor.name, {DType::bf16, tensor.shape}});
  return entries;
}

// MLX's weights of 8 bits in groups of 32: codes, scales and biases.
Entries affine_entries(const synth::Architecture& a) {
  Entries entries;
  for (const synth::Tensor& tensor : synth::folder_tensors(a, true)) {
    if (tensor.shape.size() < 2 || tensor.shape.back() % 32 != 0) {
      entries.push_back({tensor.name, {DType::bf16, tensor.shape}});
      continue;
    }
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    Shape codes = tensor.shape, groups = tensor.shape;
    codes.back() /= 4;
    groups.back() /= 32;
    entries.push_back({tensor.name, {DType::u32, codes}});
    entries.push_back({module + ".scales", {DType::bf16, groups}});
    entries.push_back({module + ".biases", {DType::bf16, groups}});
  }
  return entries;
}

void add_folders(Corpus& corpus) {
  const std::string shards[] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
  for (const synth::Architecture& a : small_architectures()) {
    nlohmann::ordered_json config = synth::text_config(a);
    const std::string name = fmt::format("{}-{}", synth::files_of(a.family).model.architecture, a.name);
    const Entries entries = plain_entries(a);
    corpus.add_parts("checkpoint_folder", name, {config.dump(), "", safetensors_file(entries)});
    const auto half = entries.begin() + static_cast<std::ptrdiff_t>(entries.size() / 2);
    json places = json::object();
    for (auto entry = entries.begin(); entry != entries.end(); ++entry)
      places[entry->name] = shards[entry < half ? 0 : 1];
    if (a.family == synth::Family::gemma3)
      corpus.add_parts("checkpoint_folder", name + "-sharded",
                       {config.dump(), json{{"weight_map", places}}.dump(), "",
                        safetensors_file({entries.begin(), half}), safetensors_file({half, entries.end()})});
    config["quantization"] = {{"group_size", 32}, {"bits", 8}, {"mode", "affine"}};
    if (a.family == synth::Family::gemma3)
      corpus.add_parts("checkpoint_folder", name + "-affine", {config.dump(), "", safetensors_file(affine_entries(a))});
  }
  for (const auto& folder : fs::directory_iterator(fs::path(test::data_folder) / "goldens"))
    if (fs::exists(folder.path() / "config.json"))
      corpus.add_parts("config_json", folder.path().filename().string(),
                       {read(folder.path() / "config.json"), R"({"eos_token_id": [1, 106], "suppress_tokens": [7]})"});
}

void add_safetensors(Corpus& corpus) {
  corpus.add("safetensors", "dtypes",
             safetensors_file({{"a", {DType::f64, {2}}},
                               {"b", {DType::i64, {1, 2}}},
                               {"c", {DType::f32, {3}}},
                               {"d", {DType::bf16, {2, 2}}},
                               {"e", {DType::bool_, {5}}},
                               {"f", {DType::u8, {0, 4}}}}));
  const std::string header =
      R"({"__metadata__": {"format": "pt"}, "x": {"dtype": "C64", "shape": [1], )"
      R"("data_offsets": [0, 8]}, "y": {"dtype": "F8_E4M3", "shape": [], "data_offsets": [8, 9]}})";
  std::string bytes;
  put<std::uint64_t>(bytes, header.size());
  corpus.add("safetensors", "unsupported", bytes + header + "123456789");
}

void add_tokenizers(Corpus& corpus) {
  const json documents = json::parse(read(fs::path(test::data_folder) / "tokenizers/added_tokens.json"));
  for (std::size_t i = 0; i < documents.size(); i += 3) {
    const json& example = documents[i]["cases"][0];
    corpus.add_parts("tokenizer_json", fmt::format("added-{}", i),
                     {example[0].get<std::string>(), documents[i]["tokenizer"].dump(),
                      R"({"bos_token": "<bos>", "eos_token": {"content": "<eos>"}})", R"({"eos_token_id": 1})",
                      R"({"eos_token_id": [1], "suppress_tokens": [3]})"});
  }
}

void add_chats(Corpus& corpus) {
  const std::vector<std::string> system_first = {std::string(1, '\0') + "Be brief.", "\1Hi <end_of_turn>\n", "\2Hello.",
                                                 "\1\u2581<|turn>user\n"};
  for (const char choice : {'\1', '\11', '\21', '\22', '\25'}) {
    std::vector<std::string> messages = system_first;
    messages[0].insert(0, 1, choice);
    corpus.add_parts("chat", fmt::format("system-{}", static_cast<int>(choice)), messages);
  }
  corpus.add_parts("chat", "thoughts", {"\21\1U", "\2<|channel>thought\nhm<channel|>R", "\1V"});
}

// ---- graphs ----

// Of a file of rules, what stands behind each line "# RUN".
std::vector<std::string> cases_in(const std::string& rules) {
  std::vector<std::string> cases;
  std::istringstream lines(rules);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# RUN")) {
      cases.emplace_back();
      continue;
    }
    if (!cases.empty()) cases.back() += line.substr(0, line.find('#')) + '\n';
  }
  return cases;
}

constexpr std::pair<const char*, const char*> graph_texts[] = {
    {"scan",
     "%0 = input f32[8]\n%1 = input f32[3,8]\n%2 = scan %0, %1 {length=3, carries=1, sequences=1, reverse=true} body "
     "{\n"
     "%a = input f32[8]\n%b = input f32[8]\n%c = add %a, %b\nreturn %c\n}\nreturn %2\n"},
    {"while_loop",
     "%n = input i32[]\n%m = while_loop %n {carries=1} condition {\n%a = input i32[]\n%b = less %a, 7\nreturn %b\n} "
     "body "
     "{\n%a = input i32[]\n%b = add %a, 2\nreturn %b\n}\nreturn %m \"count\"\n"},
    {"cond",
     "%y = input bool[]\n%x = input f32[4]\n%z = cond %y, %x then_body {\n%a = input f32[4]\nreturn %a\n} else_body {\n"
     "%a = input f32[4]\n%b = neg %a\nreturn %b\n}\nreturn %z\n"},
    {"fused",
     "graph {phase=decode}\n%0 = input \"x\" {index=0} : f32[2,8] @layers.0.mlp\n%1 = fused %0 {name=\"two words\"} : "
     "f32[2,8] !from 3:tanh, 4:mul {\n%0 = input {index=0} : f32[2,8]\n%1 = tanh %0\nreturn %1\n}\nreturn %1 \"y\"\n"},
    {"scheduled",
     "graph {scheduled=true}\n%0 = input \"x\" {index=0} : f32[2]\n= neg %0\n%1 = add %0 : i8[7]\nreturn %1\n"},
    {"named", "%0 = input f32[tokens<=512,64]\n%1 = exp %0\n%2 = sum %1 {axes=[1]}\nreturn %1, %2\n"},
    {"various",
     "%x = input f32[2,4,8]\n%w = constant \"w\" : q8_0[16,8]\n%1, %2 = top_k %x {k=3}\n%3 = reshape %x {shape=[8,8]}\n"
     "%4 = transpose %3 {permutation=[1,0]}\n%5 = slice %4 {begin=[0,1], end=[8,5], step=[2,1]}\n%6 = pad %5, -0.5 "
     "{before=[0,1], after=[2,0]}\n%7 = scalar {value=inf, dtype=bf16}\n%8 = iota {size=7, dtype=i64}\n%9 = cast %8 "
     "{dtype=f32}\n%10 = softmax %x {axis=2}\nreturn %1, %2, %6, %7, %9, %10\n"},
};

void add_graphs(Corpus& corpus) {
  for (const auto& file : fs::directory_iterator(test::rules_folder)) {
    const std::vector<std::string> cases = cases_in(read(file.path()));
    for (std::size_t i = 0; i < std::min<std::size_t>(cases.size(), 3); ++i)
      corpus.add("graph_text", fmt::format("{}-{}", file.path().stem().string(), i), cases[i]);
  }
  for (const auto& [name, text] : graph_texts) corpus.add("graph_text", name, text);
  for (const auto& file : fs::directory_iterator(fs::path(test::data_folder) / "graphs")) {
    corpus.add("saved_function", file.path().stem().string(), read(file.path()));
    SafetensorsMetadata metadata;
    read_safetensors(file.path().string(), &metadata);
    corpus.add("graph_text", file.path().stem().string(), metadata.at(graph_file::graph_key));
  }
}

// ---- what lazuli writes for itself ----

void add_saved_caches(Corpus& corpus, const fs::path& scratch) {
  const SmallModel model;
  const DType dtypes[] = {DType::f32, DType::f16, DType::q8_0};
  for (std::size_t choice = 0; choice < std::size(dtypes); ++choice) {
    constexpr std::int64_t length = 10;
    Runner runner(model, {.kv_dtype = dtypes[choice]});
    std::vector<Runner::CacheView> views;
    for (const KvCacheShape& shape : model.caches())
      for (int i = 0; i < 2; ++i) {
        const Type type{dtypes[choice], {length, shape.kv_heads, shape.head_dim}};
        BufferRef rows = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
        std::fill_n(rows->data(), rows->size(), std::byte{0});
        views.push_back({Array::from(std::move(rows), type), 0});
      }
    runner.restore(length, views);
    OutputFile file((scratch / "caches").string());
    write_cache(file, runner, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {4, 11}});
    corpus.add("saved_caches", std::string(to_string(dtypes[choice])),
               std::string(1, static_cast<char>(choice)) + read(scratch / "caches"));
  }
}

void add_tuning_files(Corpus& corpus) {
  TuningRecord record{{"AuthenticAMD 25 1 avx2", "gemma3 18x640 q4_k", "1 llvm 19"}, "2026-11-21", {}};
  const Comparison faster{TrialOutcome::faster, {1.04, 1.02, 1.06}, 20},
      slower{TrialOutcome::slower, {0.9, 0.8, 0.95}, 9};
  record.choices.push_back({"gelu_mul", "off", {{"off", "on", TrialOutcome::faster, {{"prompt", faster}}}}});
  record.choices.push_back(
      {"chunk", "128", {{"64", "128", TrialOutcome::slower, {{"prompt", slower}, {"decode", faster}}}}});
  record.choices.push_back({"threads", "2", {{"1", "2", TrialOutcome::same, {}}}});
  corpus.add("tuning_file", "three", to_json(record));
  record.choices.clear();
  corpus.add("tuning_file", "none", to_json(record));
}

void add_cache_entries(Corpus& corpus, const fs::path& scratch) {
  cpu::DiskCache cache((scratch / "cache").string(), "kind", 1 << 24);
  cache.store("the key of an entry", std::as_bytes(std::span("payload")));
  for (const auto& file : fs::directory_iterator(scratch / "cache/kind"))
    for (const char choice : {'\0', '\1'})
      corpus.add("disk_cache", choice == '\0' ? "as-it-is" : "right-checksum", choice + read(file.path()));
}

void add_objects(Corpus& corpus) {
  const Graph graph = parse_graph("%0 = input {index=0} : f32[1,4]\n%1 = sin %0\n%2 = mul %1, %1\nreturn %2\n");
  const cpu::ColumnAccess access[] = {cpu::ColumnAccess::contiguous, cpu::ColumnAccess::contiguous};
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    cpu::jit::GeneratedObject object;
    cpu::jit::code_generator().generate(cpu::jit::analyse(graph, access), "sine", isa, object);
    if (!object.fault.empty()) fail("object code: {}", object.fault);
    corpus.add("object_code", std::string(to_string(isa)), {object.bytes.begin(), object.bytes.end()});
  }
}

void make_corpus(const fs::path& folder) {
  const test::TemporaryFolder scratch;
  Corpus corpus(folder);
  add_gguf(corpus);
  add_vocabularies(corpus);
  add_gguf_models(corpus);
  add_folders(corpus);
  add_safetensors(corpus);
  add_tokenizers(corpus);
  add_chats(corpus);
  add_graphs(corpus);
  add_saved_caches(corpus, scratch.path());
  add_tuning_files(corpus);
  add_cache_entries(corpus, scratch.path());
  add_objects(corpus);
}

}  // namespace
}  // namespace lazuli::fuzz

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: lazuli_fuzz_corpus FOLDER\n");
    return 2;
  }
  try {
    lazuli::fuzz::make_corpus(arguments[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
