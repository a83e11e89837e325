// SPDX-License-Identifier: MIT
// An open file or folder that is closed where it goes out of scope, however that happens.
#pragma once

#include <unistd.h>

namespace lazuli {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}  // -1: none
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  bool valid() const { return number_ >= 0; }

 private:
  int number_;
};

}  // namespace lazuli
