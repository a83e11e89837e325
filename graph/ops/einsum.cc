// SPDX-License-Identifier: MIT
// Sums of products in Einstein's notation, pair by pair.
#include <lazuli/graph/ops/contraction.h>
#include <lazuli/graph/ops/ops_parts.h>

#include <algorithm>
#include <map>
#include <string>

namespace lazuli {
namespace {

// Axes of "..." are letters from here on, counted from the last one so that they align from the right.
constexpr char32_t first_of_ellipsis = 0x100;

constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string text_of(char32_t letter) {
  return letter < first_of_ellipsis
             ? fmt::format("letter '{}'", static_cast<char>(letter))
             : fmt::format("axis -{} of '...'", static_cast<unsigned>(letter - first_of_ellipsis + 1));
}

// The letters of an operand or of the result, before and behind "...".
struct Subscripts {
  Letters before, behind;
  bool ellipsis = false;

  std::size_t letters() const { return before.size() + behind.size(); }
  // With so many axes for "...".
  Letters all(std::size_t axes) const {
    Letters letters = before;
    for (std::size_t axis = axes; axis-- > 0;) letters += first_of_ellipsis + static_cast<char32_t>(axis);
    return letters + behind;
  }
};

class Einsum {
 public:
  Einsum(std::string_view equation, const std::vector<Array>& operands) : equation_(equation) {
    for (char c : equation)
      if (c != ' ') text_ += c;
    take_operands(operands);
    check_sizes();
    take_result();
  }

  Array compute() {
    while (terms_.size() > 1) multiply_next();
    return in_order(sum_letters(terms_[0], result_), result_);
  }

 private:
  template <class... Args>
  [[noreturn]] void reject(fmt::format_string<Args...> text, Args&&... args) const {
    reject_call("einsum", "\"{}\": {}", equation_, fmt::format(text, std::forward<Args>(args)...));
  }

  Subscripts parse(std::string_view text) const {
    Subscripts subscripts;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (is_letter(text[i])) {
        (subscripts.ellipsis ? subscripts.behind : subscripts.before) += static_cast<unsigned char>(text[i]);
        continue;
      }
      if (text.substr(i, 3) != "..." || subscripts.ellipsis)
        reject("'{}' in \"{}\"; expected letters and one '...'", text[i], text);
      subscripts.ellipsis = true;
      i += 2;
    }
    return subscripts;
  }

  void take_operands(const std::vector<Array>& operands) {
    const std::string_view left = std::string_view(text_).substr(0, text_.find("->"));
    const auto parts = static_cast<std::size_t>(std::count(left.begin(), left.end(), ',')) + 1;
    if (parts != operands.size()) reject("{} operands given, expected {}", operands.size(), parts);
    const DType dtype = common_dtype(operands);
    std::size_t begin = 0;
    for (const Array& operand : operands) {
      const std::string_view part = left.substr(begin, left.find(',', begin) - begin);
      begin += part.size() + 1;
      take_operand(beside("einsum", operand, dtype), part);
    }
  }

  // Of all but numbers.
  DType common_dtype(const std::vector<Array>& operands) const {
    const Array* known = &operands[0];
    for (const Array& operand : operands)
      if (operand.node() && !is_number(operand)) {
        known = &operand;
        break;
      }
    for (std::size_t i = 0; i < operands.size(); ++i)
      if (beside("einsum", operands[i], known->dtype()).dtype() != known->dtype())
        reject("operand {} is {}, another {}; cast one of them", i, to_string(operands[i].type()),
               to_string(known->type()));
    return known->dtype();
  }

  void take_operand(const Array& operand, std::string_view text) {
    const Subscripts subscripts = parse(text);
    const std::size_t rank = operand.shape().size(), letters = subscripts.letters();
    if (subscripts.ellipsis ? rank < letters : rank != letters)
      reject("operand {} is {}, expected {}{} axes for \"{}\"", terms_.size(), to_string(operand.type()), letters,
             subscripts.ellipsis ? " or more" : "", text);
    ellipsis_axes_ = std::max(ellipsis_axes_, rank - letters);
    has_ellipsis_ = has_ellipsis_ || subscripts.ellipsis;
    Term term{operand, subscripts.all(rank - letters)};
    for (char32_t letter : term.letters) ++counts_[letter];
    terms_.push_back(diagonals(std::move(term)));
  }

  // A letter that stands twice in one operand, along its diagonal.
  Term diagonals(Term term) const {
    for (std::size_t i = 0; i < term.letters.size();) {
      const char32_t letter = term.letters[i];
      const std::size_t j = term.letters.find(letter, i + 1);
      if (j == Letters::npos) {
        ++i;
        continue;
      }
      if (term.x.shape()[i] != term.x.shape()[j])
        reject("{} is {} and {} in operand {}", text_of(letter), term.x.shape()[i], term.x.shape()[j], terms_.size());
      term.x = diagonal(term.x, 0, static_cast<std::int64_t>(i), static_cast<std::int64_t>(j));
      term.letters.erase(j, 1);
      term.letters.erase(i, 1);
      term.letters += letter;
      i = 0;
    }
    return term;
  }

  // Axes of "..." may be 1 beside another size.
  void check_sizes() const {
    std::map<char32_t, std::size_t> known;  // the operand that says the size of a letter
    for (std::size_t i = 0; i < terms_.size(); ++i)
      for (char32_t letter : terms_[i].letters) {
        const auto [first, is_new] = known.emplace(letter, i);
        const std::int64_t before = terms_[first->second].size(letter), size = terms_[i].size(letter);
        if (is_new || before == size) continue;
        const bool spreads = letter >= first_of_ellipsis && (before == 1 || size == 1);
        if (!spreads)
          reject("{} is {} in operand {} and {} in operand {}", text_of(letter), before, first->second, size, i);
        if (before == 1) first->second = i;
      }
  }

  void take_result() {
    const std::size_t arrow = text_.find("->");
    if (arrow == std::string::npos) {
      Letters once;
      for (const auto& [letter, count] : counts_)
        if (letter < first_of_ellipsis && count == 1) once += letter;
      result_ = Subscripts{}.all(ellipsis_axes_) + once;
      return;
    }
    const Subscripts subscripts = parse(std::string_view(text_).substr(arrow + 2));
    if (has_ellipsis_ && !subscripts.ellipsis) reject("the result has no '...'");
    result_ = subscripts.all(ellipsis_axes_);
    for (std::size_t i = 0; i < result_.size(); ++i) {
      if (!counts_.contains(result_[i])) reject("{} of the result is in no operand", text_of(result_[i]));
      if (result_.find(result_[i], i + 1) != Letters::npos)
        reject("{} stands twice in the result", text_of(result_[i]));
    }
  }

  // What must survive the product of two terms.
  Letters kept_beside(std::size_t a, std::size_t b) const {
    Letters kept = result_;
    for (std::size_t i = 0; i < terms_.size(); ++i)
      if (i != a && i != b) kept += terms_[i].letters;
    return kept;
  }

  // Elements of the product less those of both, as numpy's and opt_einsum's greedy order has it (Smith & Gray 2018).
  double growth(std::size_t a, std::size_t b) const {
    const Letters kept = kept_beside(a, b);
    double product = 1;
    for (char32_t letter : terms_[a].letters)
      if (kept.find(letter) != Letters::npos)
        product *=
            static_cast<double>(std::max(terms_[a].size(letter), terms_[b].has(letter) ? terms_[b].size(letter) : 1));
    for (char32_t letter : terms_[b].letters)
      if (!terms_[a].has(letter) && kept.find(letter) != Letters::npos)
        product *= static_cast<double>(terms_[b].size(letter));
    return product - static_cast<double>(terms_[a].x.type().elements()) -
           static_cast<double>(terms_[b].x.type().elements());
  }

  void multiply_next() {
    std::size_t a = 0, b = 1;
    double least = growth(0, 1);
    for (std::size_t i = 0; terms_.size() > 2 && i < terms_.size(); ++i)
      for (std::size_t j = i + 1; j < terms_.size(); ++j)
        if (const double found = growth(i, j); found < least) {
          least = found;
          a = i;
          b = j;
        }
    Term product = multiply(terms_[a], terms_[b], kept_beside(a, b));
    terms_.erase(terms_.begin() + static_cast<std::ptrdiff_t>(b));
    terms_[a] = std::move(product);
  }

  std::string_view equation_;
  std::string text_;  // without blanks
  std::vector<Term> terms_;
  std::map<char32_t, int> counts_;  // how often each letter stands in the operands
  std::size_t ellipsis_axes_ = 0;
  bool has_ellipsis_ = false;
  Letters result_;
};

}  // namespace

Array einsum(std::string_view equation, const std::vector<Array>& operands) {
  return Einsum(equation, operands).compute();
}

}  // namespace lazuli
