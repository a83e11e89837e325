#include <lazuli/passes/rules/rules.h>

namespace lazuli {

std::span<const Rule> named_rules() {
  // AltUp islands first: smaller rules would eat their nodes. softcap before tanh_mul, which takes any tanh product.
  static const std::vector<Rule> rules = {
      altup_predict_rule(), altup_correct_rule(), gelu_mul_rule(), gelu_tanh_rule(), softcap_rule(), tanh_mul_rule(),
  };
  return rules;
}

Graph fuse_named(Graph graph, PassContext& context) { return rewrite(std::move(graph), named_rules(), context); }

}  // namespace lazuli
