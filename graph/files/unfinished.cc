// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <lazuli/graph/files/unfinished.h>
#include <pthread.h>
#include <unistd.h>

#include <filesystem>
#include <new>
#include <set>
#include <system_error>
#include <utility>

namespace lazuli {
namespace {

struct Unfinished {
  std::mutex mutex;
  std::set<std::pair<int, std::string>> names;  // with the folder they are relative to
};

Unfinished* all = nullptr;

// In the child of a fork it is made anew: a missing thread may have it locked, and the files are its parent's.
Unfinished* make_list() {
  all = new Unfinished;
  pthread_atfork(nullptr, nullptr, [] { new (all) Unfinished; });
  return all;
}

// Never ends: a signal may end the process while static objects end.
Unfinished& unfinished() {
  static Unfinished& list = *make_list();
  return list;
}

}  // namespace

std::string make_unfinished(int folder, const std::function<std::string()>& create) {
  const std::lock_guard lock(unfinished().mutex);
  std::string name = create();
  if (!name.empty()) unfinished().names.emplace(folder, name);
  return name;
}

void forget_unfinished(int folder, const std::string& name) {
  const std::lock_guard lock(unfinished().mutex);
  unfinished().names.erase({folder, name});
}

std::unique_lock<std::mutex> remove_unfinished() {
  std::unique_lock lock(unfinished().mutex);
  for (const auto& [folder, name] : unfinished().names) {
    std::error_code error;
    if (unlinkat(folder, name.c_str(), 0) != 0 && folder == AT_FDCWD) std::filesystem::remove_all(name, error);
  }
  unfinished().names.clear();
  return lock;
}

}  // namespace lazuli
