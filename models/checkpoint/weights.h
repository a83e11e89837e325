// SPDX-License-Identifier: MIT
// The tensors of a checkpoint by name, checked against what a model expects before any of them is read.
//
// Names are those of GGUF whatever the checkpoint; errors use the checkpoint's own. Quantised weights are single arrays
// of a block type for every kind of checkpoint as well.
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

// A tensor that a model asked for.
struct TensorRequest {
  std::string name;
  Shape shape;
};

class Weights {
 public:
  // Vision and audio tensors are left out of both. What cannot be read is kept for `report`.
  static Weights from_gguf(const GgufFile& file);
  static Weights from_folder(const CheckpointFolder& folder);
  // Holds every tensor that is asked for, without data, but those whose names end in one of `absent`; notes what is
  // asked for in `requests`, which outlives it. A model made of it says which tensors its checkpoints have.
  static Weights recorder(std::vector<TensorRequest>& requests, std::vector<std::string> absent);

  // Notes what is missing, has another shape, or is stored in a way that is not supported; `report` throws once for all
  // of them. Until then such a weight is an array without data.
  Array take(const std::string& name, const Shape& shape);
  // The same, cast to f32 where it is stored in another real type: norms, scales, and other small factors.
  Array take_f32(const std::string& name, const Shape& shape);
  std::optional<Array> take_optional(const std::string& name, const Shape& shape);
  // MODULE.0.weight and so on, of which a file may hold a stack [count, shape...] instead, as MODULE.weight.
  std::vector<Array> take_each(const std::string& module, std::int64_t count, const Shape& shape);
  bool has(const std::string& name) const;
  // Rows of a tensor; `otherwise` where it is absent or cannot be read, which `report` says.
  std::int64_t rows_or(const std::string& name, std::int64_t otherwise) const;
  // Known tensors that this model does not use, such as frequency tables it computes itself.
  void ignore(const std::string& name);
  // Leaves out a module and all that is said of it; whether there was one.
  bool drop(const std::string& module);
  // What of the checkpoint was left aside, for people.
  const std::vector<std::string>& notes() const { return notes_; }
  // Throws one Error for everything that does not fit: a line where it is one thing, otherwise a summary and at most 20
  // lines of detail, each with the tensor, what was found, what was expected, and where.
  void report() const;

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
    Shape shape;        // of what a GGUF file stores, whether it can be read or not
    bool taken = false;

    // An index places it in a file that does not have it.
    bool is_absent() const { return !array.defined() && found.empty() && flaw.empty(); }
  };

  void add(const std::string& name, Stored stored);
  // Puts the matrices of MODULE.weight in its place, where it is a stack.
  void split_stack(const std::string& module);
  // Adds one module of a folder: plain tensors, or the parts of a quantised weight.
  void add_module(const ModuleTensors& module, const std::string& file, std::int64_t group);
  Array refuse(const std::string& name, const Shape& shape, std::string problem);

  std::string source_;
  std::optional<std::string> prefix_;  // of the names in a folder
  std::map<std::string, Stored> tensors_;
  std::vector<std::string> problems_, notes_;
  std::vector<std::pair<std::string, BufferRef>> published_;  // as the checkpoint stores them: name and type, data
  std::int64_t file_bytes_ = 0;
  std::int64_t skipped_ = 0;
  std::vector<TensorRequest>* requests_ = nullptr;  // of a recorder
  std::vector<std::string> absent_;
};

}  // namespace lazuli
