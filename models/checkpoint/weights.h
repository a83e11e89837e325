// The tensors of a checkpoint by name, checked against what a model expects before any of them is read.
//
// Names are those of GGUF whatever the checkpoint; errors use the checkpoint's own. Two things are the same for every
// kind of checkpoint as well: Gemma 3n's AltUp matrices are altup_proj.{0,1,2}.weight and
// altup_unembd_proj.{0,1,2}.weight, one [H, H] each (GGUF stacks them), and quantised weights are single arrays of a
// block type.
#pragma once

#include <lazuli/graph/array.h>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lazuli {

class CheckpointFolder;
class GgufFile;
struct ModelInfo;
struct ModuleTensors;

class Weights {
 public:
  // Vision and audio tensors are left out of both. What cannot be read is kept for `report`.
  static Weights from_gguf(const GgufFile& file);
  static Weights from_folder(const CheckpointFolder& folder);

  // Notes what is missing, has another shape, or is stored in a way that is not supported; `report` throws once for all
  // of them. Until then such a weight is an array without data.
  Array take(const std::string& name, const Shape& shape);
  // The same, cast to f32 where it is stored in another real type: norms, scales, and other small factors.
  Array take_f32(const std::string& name, const Shape& shape);
  std::optional<Array> take_optional(const std::string& name, const Shape& shape);
  bool has(const std::string& name) const { return tensors_.contains(name); }
  // Known tensors that this model does not use, such as frequency tables it computes itself.
  void ignore(const std::string& name);
  // Throws one Error for everything that does not fit: a line where it is one thing, otherwise a summary and at most 20
  // lines of detail, each with the tensor, what was found, what was expected, and where.
  void report() const;

  // Whether norms multiply by 1 + weight: Gemma 3 outside GGUF, whose converter adds the 1.
  bool norms_plus_one() const { return norms_plus_one_; }
  // Fills in everything that `info` says about weights, but for bytes_per_token. `left_in_file` are the tensors that
  // kernels do not read: tables of which a step looks up rows, and those that no layer uses.
  void describe(ModelInfo& info, std::span<const Array> left_in_file) const;
  std::int64_t skipped() const { return skipped_; }  // tensors of vision and audio

 private:
  struct Stored {
    Array array;        // without data where it cannot be read
    std::string name;   // as the checkpoint spells it
    std::string where;  // file and byte
    std::string found;  // type and shape, of what cannot be read
    std::string flaw;   // the whole complaint, of quantised modules whose parts do not fit each other
    bool taken = false;

    // An index places it in a file that does not have it.
    bool is_absent() const { return !array.defined() && found.empty() && flaw.empty(); }
  };

  void add(const std::string& name, Stored stored);
  // Adds one module of a folder: plain tensors, or the parts of a quantised weight.
  void add_module(const ModuleTensors& module, const std::string& file, std::int64_t group);
  Array refuse(const std::string& name, const Shape& shape, std::string problem);

  std::string source_;
  std::optional<std::string> prefix_;  // of the names in a folder
  std::map<std::string, Stored> tensors_;
  std::vector<std::string> problems_;
  bool norms_plus_one_ = false;
  std::vector<std::pair<std::string, BufferRef>> published_;  // as the checkpoint stores them: name and type, data
  std::int64_t file_bytes_ = 0;
  std::int64_t skipped_ = 0;
};

}  // namespace lazuli
