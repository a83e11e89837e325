# What the CPU backend needs beyond the common settings.
find_package(LLVM 19.1 REQUIRED CONFIG)

target_include_directories(lazuli_backends SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
target_link_libraries(lazuli_backends PRIVATE LLVM-19 ${CMAKE_DL_LIBS})
target_link_directories(lazuli_backends PUBLIC ${LLVM_LIBRARY_DIRS})
# Generated code kept on disk belongs to one build, which this names (jit/build_id.h).
target_link_options(lazuli_backends PUBLIC LINKER:--build-id)

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
