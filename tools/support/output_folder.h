// SPDX-License-Identifier: MIT
// A folder that takes its name when it is complete.
#pragma once

#include <string>

namespace lazuli::tool {

// Made beside the target, renamed by commit(); removed with everything in it when it is not. The target must not exist,
// or be an empty folder. Every error is one line: path, what was tried, the system's reason.
class OutputFolder {
 public:
  explicit OutputFolder(std::string path);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  // Where to write the file `name` of the folder.
  std::string file(const std::string& name) const { return temporary_ + '/' + name; }
  void commit();

 private:
  std::string path_;
  std::string temporary_;  // empty once committed
};

}  // namespace lazuli::tool
