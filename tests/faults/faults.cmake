# SPDX-License-Identifier: MIT
# A test program of its own: memory and system calls fail in it where a test says (README.md).
file(GLOB fault_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cc)
add_executable(lazuli_faults ${fault_sources} support/paths.cc)
target_link_libraries(lazuli_faults PRIVATE lazuli::static lazuli_flags fmt::fmt nlohmann_json::nlohmann_json
  GTest::gtest ${CMAKE_DL_LIBS})
target_compile_options(lazuli_faults PRIVATE $<$<CONFIG:Release>:-O1>)
set_source_files_properties(faults/code_generator.cc PROPERTIES COMPILE_DEFINITIONS
  "LAZULI_TEST_LIBRARIES=\"${PROJECT_BINARY_DIR}/lib\"")
foreach(call IN ITEMS open openat pread write pwrite mmap mprotect ftruncate posix_fallocate rename renameat fstat mkdirat)
  target_link_options(lazuli_faults PRIVATE LINKER:--wrap=${call})
endforeach()
add_dependencies(lazuli_faults lazuli_tool lazuli_codegen_module)
