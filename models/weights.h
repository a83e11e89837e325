// The tensors of a checkpoint by name, checked against what a model expects before any of them is read.
#pragma once

#include <lazuli/graph/array.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace lazuli {

class GgufFile;

class Weights {
 public:
  static Weights from_gguf(const GgufFile& file);

  // Notes what is missing or has another shape; `report` throws once for all of them. Until then an absent weight is an
  // array without data.
  Array take(const std::string& name, const Shape& shape);
  std::optional<Array> take_optional(const std::string& name, const Shape& shape);
  bool has(const std::string& name) const { return tensors_.contains(name); }
  // Known tensors that this model does not use, such as frequency tables it computes itself.
  void ignore(const std::string& name) { taken_.insert(name); }
  // Throws one Error that lists everything missing, misshapen or left over (at most 20 lines of detail).
  void report() const;

  std::int64_t parameters() const;
  std::int64_t bytes() const;

 private:
  std::string source_;
  std::map<std::string, Array> tensors_;
  std::set<std::string> taken_;
  std::vector<std::string> problems_;
};

}  // namespace lazuli
