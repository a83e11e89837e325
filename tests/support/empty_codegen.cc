// SPDX-License-Identifier: MIT
// A module that is no code generator.
extern "C" int lazuli_nothing() { return 0; }
