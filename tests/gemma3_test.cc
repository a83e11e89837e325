// Gemma 3 against the published classes, on a tiny random checkpoint (tests/data/README.md).
#include <lazuli/tests/golden_model.h>

namespace lazuli {
namespace {

using test::GoldenSettings;

class Gemma3Golden : public testing::TestWithParam<GoldenSettings> {};

// 7 layers with windows of 8, the 6th global, query_pre_attn_scalar other than the head size, one KV head.
TEST_P(Gemma3Golden, MatchesTheReference) { test::expect_golden("gemma3-dense", GetParam()); }

INSTANTIATE_TEST_SUITE_P(Settings, Gemma3Golden, testing::ValuesIn(test::golden_settings()), test::golden_test_name);

}  // namespace
}  // namespace lazuli
