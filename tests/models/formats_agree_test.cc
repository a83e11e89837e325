// SPDX-License-Identifier: MIT
// One model as safetensors, as GGUF and as an MLX checkpoint: its weights agree within what the formats can hold. (The
// logits of these random models do not: they amplify the difference beyond any likeness.)
#include <gtest/gtest.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/checkpoint/weights.h>
#include <lazuli/tests/support/test_model.h>

#include <algorithm>
#include <cmath>

namespace lazuli {
namespace {

// `tolerance` bounds |difference| / largest magnitude of the tensor.
struct Formats {
  const char *exact, *names, *other;  // folder; GGUF file of the same model, whose names are compared; what is compared
  double tolerance;
  int min_compared;
};
void PrintTo(const Formats& formats, std::ostream* out) { *out << formats.other; }

std::vector<float> values_of(const Array& weight) {
  std::vector<float> values(static_cast<std::size_t>(weight.type().elements()));
  dequantise(weight.dtype(), weight.node()->results()[0].buffer->data(), weight.type().elements(), values.data());
  return values;
}

Weights open(const std::string& name) {
  const std::string path = test::test_data_path("goldens/" + name), gguf = path + "/model.gguf";
  if (std::filesystem::exists(gguf)) return Weights::from_gguf(GgufFile::open(gguf));
  return Weights::from_folder(CheckpointFolder::open(path));
}

class FormatsAgree : public testing::TestWithParam<Formats> {};

TEST_P(FormatsAgree, WithinTheirQuantisation) {
  const Formats& formats = GetParam();
  const GgufFile names = GgufFile::open(test::test_data_path(std::string("goldens/") + formats.names + "/model.gguf"));
  Weights exact = open(formats.exact), other = open(formats.other);
  int compared = 0;
  for (const GgufTensor& tensor : names.tensors()) {
    if (!exact.has(tensor.name) || !other.has(tensor.name)) continue;
    ++compared;
    const std::vector<float> expected = values_of(exact.take(tensor.name, tensor.shape));
    const std::vector<float> found = values_of(other.take(tensor.name, tensor.shape));
    double largest = 0, worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
      worst = std::max(worst, std::abs(static_cast<double>(found[i]) - expected[i]));
    }
    EXPECT_LE(worst, formats.tolerance * largest) << tensor.name;
  }
  EXPECT_GE(compared, formats.min_compared);
}

// bf16 holds what bf16 holds. Steps are, of a block's largest magnitude m: 8 bits 2 m / 255, of which half counts, and
// scale and offset are rounded to bf16 (2^-9 of the range 2 m, and of m); q4_0 m / 8 and q5_0 m / 16, and the value
// opposite the largest is clipped by a whole step; E2M1's widest gap is a third of its largest value, and the blocks'
// scales are E4M3 (nvfp4, 2^-4) or powers of two (mxfp4, which clips by up to sqrt(2)).
INSTANTIATE_TEST_SUITE_P(
    Pairs, FormatsAgree,
    testing::Values(Formats{"gemma4-dense", "gemma4-dense-gguf-bf16", "gemma4-dense-gguf-bf16", 0, 85},
                    Formats{"gemma4-e", "gemma4-e-gguf-q4_0", "gemma4-e-mlx-8bit", 1.0 / 255 + 3.0 / 512, 150},
                    Formats{"gemma4-e", "gemma4-e-gguf-q4_0", "gemma4-e-gguf-q4_0", 1.01 / 8, 150},
                    Formats{"gemma4-moe", "gemma4-moe-gguf-q5_0", "gemma4-moe-gguf-q5_0", 1.01 / 16, 120},
                    Formats{"gemma4-dense", "gemma4-dense-gguf-bf16", "gemma4-dense-mlx-nvfp4", 1.0 / 6 + 1.0 / 16, 85},
                    Formats{"gemma4-moe", "gemma4-moe-gguf-q5_0", "gemma4-moe-mlx-mxfp4", 0.3, 100}),
    [](const auto& info) {
      std::string name = info.param.other;
      std::ranges::replace(name, '-', '_');
      return name;
    });

}  // namespace
}  // namespace lazuli
