// SPDX-License-Identifier: MIT
// A small checkpoint with random weights, for measurements that are of no model in particular.
#pragma once

#include <string>

namespace lazuli::tool {

// Four layers of Gemma 3's smallest shape in q4_0: a file in the system's folder for temporary files that goes with the
// object. Throws an Error where it cannot be written.
class SyntheticModel {
 public:
  explicit SyntheticModel(int threads);
  ~SyntheticModel();
  SyntheticModel(const SyntheticModel&) = delete;
  SyntheticModel& operator=(const SyntheticModel&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string folder_, path_;
};

}  // namespace lazuli::tool
