// SPDX-License-Identifier: MIT
// What a launch is made of, whether fusion made it of several kernels or not.
#pragma once

#include <lazuli/runtime/profile/profile.h>

#include <string>
#include <vector>

namespace lazuli {

// The parts of a launch; one that is a single kernel is its own only part.
std::vector<ProfiledPart> parts_of(const ProfiledNode& node);

// "linear 71.3 %, erf 24.0 %", of the launch's time; "" for a single kernel.
std::string shares_of_parts(const ProfiledNode& node);

}  // namespace lazuli
