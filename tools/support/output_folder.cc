// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/temporary_name.h>
#include <lazuli/tools/support/output_folder.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace lazuli::tool {

OutputFolder::OutputFolder(std::string path) : path_(std::move(path)) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  // What a rename can replace: a link to an empty folder is not one.
  std::error_code error;
  const std::filesystem::file_status target = std::filesystem::symlink_status(path_, error);
  if (std::filesystem::exists(target) &&
      !(std::filesystem::is_directory(target) && std::filesystem::is_empty(path_, error)))
    fail("{}: already there; expected a new name or an empty folder", path_);
  temporary_ = make_temporary(path_, [](const char* name) { return mkdir(name, 0777) == 0; });
  if (temporary_.empty()) fail("{}: cannot create the folder: {}", path_, std::strerror(errno));
}

OutputFolder::~OutputFolder() {
  if (temporary_.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(temporary_, error);
  forget_temporary(temporary_);
}

void OutputFolder::commit() {
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0)
    fail("{}: cannot rename the finished folder: {}", path_, std::strerror(errno));
  forget_temporary(temporary_);
  temporary_.clear();
}

}  // namespace lazuli::tool
