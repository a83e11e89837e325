# SPDX-License-Identifier: MIT
"""OpenBLAS in place of the reference BLAS that MLX's wheel brings: import this before mlx."""

import ctypes
import os


def core_type():
    """The newest kernels the CPU can run. OpenBLAS knows CPUs by model, and takes those it does not know for old ones."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return "SkylakeX" if "avx512vl" in flags else "Haswell" if "avx2" in flags and "fma" in flags else None


# OpenBLAS reads it while it is loaded.
if "OPENBLAS_CORETYPE" not in os.environ and core_type():
    os.environ["OPENBLAS_CORETYPE"] = core_type()

# Loaded globally, so that the cblas_sgemm that MLX looks for is this one.
library = ctypes.CDLL("libopenblas.so.0", ctypes.RTLD_GLOBAL)


def set_threads(count):
    library.openblas_set_num_threads(count)
