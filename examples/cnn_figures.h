// SPDX-License-Identifier: MIT
// What the network of cnn.cc gives in float64: written by cnn_reference.py.
#pragma once

inline constexpr double expected_classes[2][10] = {
    {0.101945235, 0.053223430, 0.064688940, 0.162204166, 0.090938356, 0.141915750, 0.075473746, 0.111674928,
     0.102089367, 0.095846081},
    {0.102242673, 0.053244966, 0.063284798, 0.159551269, 0.091433222, 0.143593680, 0.074935084, 0.111892386,
     0.103783885, 0.096038036},
};
