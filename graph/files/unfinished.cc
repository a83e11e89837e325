// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <lazuli/graph/files/unfinished.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

namespace lazuli {
namespace {

struct Unfinished {
  std::mutex mutex;
  std::vector<std::pair<int, std::string>> names;  // with the folder they are relative to
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
  if (name.empty()) return name;
  try {
    unfinished().names.emplace_back(folder, name);
  } catch (...) {
    if (unlinkat(folder, name.c_str(), 0) != 0) unlinkat(folder, name.c_str(), AT_REMOVEDIR);
    throw;
  }
  return name;
}

// Destructors call it: nothing is allocated here.
void forget_unfinished(int folder, const std::string& name) {
  const std::lock_guard lock(unfinished().mutex);
  auto& names = unfinished().names;
  const auto found =
      std::ranges::find_if(names, [&](const auto& noted) { return noted.first == folder && noted.second == name; });
  if (found != names.end()) names.erase(found);
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
