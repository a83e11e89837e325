# SPDX-License-Identifier: MIT
# What the CPU backend needs beyond the common settings.
# LLVM's own version file accepts one minor version alone, so the version is checked here. Of several the newest is
# taken; -D LLVM_DIR=<folder of LLVMConfig.cmake> names another.
set(CMAKE_FIND_PACKAGE_SORT_ORDER NATURAL)
set(CMAKE_FIND_PACKAGE_SORT_DIRECTION DEC)
find_package(LLVM REQUIRED CONFIG)
unset(CMAKE_FIND_PACKAGE_SORT_ORDER)
unset(CMAKE_FIND_PACKAGE_SORT_DIRECTION)
if(LLVM_PACKAGE_VERSION VERSION_LESS 19.1)
  message(FATAL_ERROR "lazuli: found LLVM ${LLVM_PACKAGE_VERSION} in ${LLVM_DIR}, expected 19.1 or newer")
endif()

# Of jit/, these need no LLVM; all others are the code generator's.
file(GLOB codegen_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/backends/cpu/jit/*.cc)
list(FILTER codegen_sources EXCLUDE REGEX
  "/(code_listing|elf_object|find_generator|library_functions|loop_body|loop_kernel|object_code|perf_dump)\\.cc$")
# What lazuliConfig.cmake defines for those who link the installed static library.
add_library(lazuli::llvm INTERFACE IMPORTED GLOBAL)
target_link_libraries(lazuli::llvm INTERFACE LLVM-${LLVM_VERSION_MAJOR})
target_link_directories(lazuli::llvm INTERFACE ${LLVM_LIBRARY_DIRS})

# One translation unit per instruction set: only these get wider flags, and they share no inline code with the rest
# (a test looks for weak symbols), so the linker can never put their code into a baseline path.
file(GLOB_RECURSE avx2_units CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/backends/cpu/kernels/*_avx2.cc)
file(GLOB_RECURSE avx512_units CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/backends/cpu/kernels/*_avx512.cc)
set_source_files_properties(${avx2_units} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
set_source_files_properties(${avx512_units} PROPERTIES COMPILE_OPTIONS
  "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mfma;-mf16c;-mprefer-vector-width=512")
file(GLOB_RECURSE amx_units CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/backends/cpu/kernels/*_amx.cc)
set_source_files_properties(${amx_units} PROPERTIES COMPILE_OPTIONS
  "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mavx512bf16;-mamx-tile;-mamx-int8;-mamx-bf16;-mfma;-mf16c;-mprefer-vector-width=512")
