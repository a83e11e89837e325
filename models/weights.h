// The tensors of a checkpoint by name, checked against what a model expects before any of them is read.
//
// Names are those of GGUF whatever the checkpoint. Two things are the same for every kind of checkpoint as well: Gemma
// 3n's AltUp matrices are altup_proj.{0,1,2}.weight and altup_unembd_proj.{0,1,2}.weight, one [H, H] each (GGUF stacks
// them), and quantised weights are single arrays of a block type.
#pragma once

#include <lazuli/graph/array.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace lazuli {

class CheckpointFolder;
class GgufFile;
struct ModuleTensors;

class Weights {
 public:
  static Weights from_gguf(const GgufFile& file);
  // Vision and audio tensors are left out. What is quantised in a way that is not known is noted for `report`.
  static Weights from_folder(const CheckpointFolder& folder);

  // Notes what is missing or has another shape; `report` throws once for all of them. Until then an absent weight is an
  // array without data.
  Array take(const std::string& name, const Shape& shape);
  // The same, cast to f32 where it is stored in another real type: norms, scales, and other small factors.
  Array take_f32(const std::string& name, const Shape& shape);
  std::optional<Array> take_optional(const std::string& name, const Shape& shape);
  bool has(const std::string& name) const { return tensors_.contains(name); }
  // Known tensors that this model does not use, such as frequency tables it computes itself.
  void ignore(const std::string& name) { taken_.insert(name); }
  // Throws one Error that lists everything missing, misshapen or left over (at most 20 lines of detail).
  void report() const;

  // Whether norms multiply by 1 + weight: Gemma 3 outside GGUF, whose converter adds the 1.
  bool norms_plus_one() const { return norms_plus_one_; }
  std::int64_t parameters() const;
  std::int64_t bytes() const;
  // Of names, types and the first bytes of every tensor as the checkpoint stores it: two checkpoints of one
  // architecture differ in it unless all their tensors begin alike.
  std::uint64_t hash() const { return hash_; }
  std::int64_t skipped() const { return skipped_; }  // tensors of vision and audio

 private:
  void add_to_hash(const std::string& name, const Type& type, const BufferRef& data);
  // Adds one module of a folder: plain tensors, or the parts of a quantised weight.
  void add_module(const ModuleTensors& module, std::int64_t group);

  std::string source_;
  std::map<std::string, Array> tensors_;
  std::set<std::string> taken_;
  std::set<std::string> unreadable_;  // there, but quantised in a way that is not supported; in problems_ already
  std::vector<std::string> problems_;
  bool norms_plus_one_ = false;
  std::uint64_t hash_ = 0xcbf29ce484222325u;  // the offset of FNV-1a
  std::int64_t skipped_ = 0;
};

}  // namespace lazuli
