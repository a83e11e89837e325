# SPDX-License-Identifier: MIT
# Tests of what reads foreign bytes and of what runs threads, as programs with a sanitizer each. Only the sources that
# the tests are about are compiled again, with the sanitizer; the rest comes from the static library as it is: a member of
# it is linked only where no symbol of it is there already. So this costs a fifth of a sanitized build of
# everything, which scripts/sanitizers.sh does as well. Built on demand, by the target lazuli_sanitized.
function(lazuli_sanitized name sanitizers)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "TESTS;SOURCES")
  set(tests)
  foreach(test IN LISTS arg_TESTS)
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${test}_test.cc)
      message(FATAL_ERROR "sanitized tests: no file tests/${test}_test.cc")
    endif()
    list(APPEND tests ${test}_test.cc)
  endforeach()
  set(sources)
  foreach(pattern IN LISTS arg_SOURCES)
    file(GLOB found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${pattern})
    if(NOT found)
      message(FATAL_ERROR "sanitized tests: no source is named ${pattern}")
    endif()
    list(APPEND sources ${found})
  endforeach()
  add_executable(${name} EXCLUDE_FROM_ALL ${tests} ${sources} support/paths.cc)
  # -O1 and line tables alone: half the time to compile of the usual -O2 -g. Assertions stay in.
  target_compile_options(${name} PRIVATE -O1 -g1 -UNDEBUG -fno-omit-frame-pointer -fsanitize=${sanitizers}
    -fno-sanitize-recover=all)
  target_link_options(${name} PRIVATE -fsanitize=${sanitizers})
  target_link_libraries(${name} PRIVATE lazuli::static lazuli_flags fmt::fmt nlohmann_json::nlohmann_json GTest::gtest_main)
  # With checks compiled in, gcc warns of uses of uninitialised memory that are none.
  set_target_properties(${name} PROPERTIES COMPILE_WARNING_AS_ERROR OFF)
  add_dependencies(${name} lazuli_codegen_module lazuli_foreign_codegen lazuli_empty_codegen)
  add_dependencies(lazuli_sanitized ${name})
endfunction()

add_custom_target(lazuli_sanitized)
lazuli_sanitized(lazuli_readers_asan address,undefined
  TESTS graph/graph_file graph/graph_text graph/mapped_file graph/quantised models/added_tokens models/chat_text
    models/checkpoint_folder models/conversation models/folder_variants models/gguf
    models/gguf_defaults models/gguf_split models/tokenizer models/weights_errors backends/cpu/disk_cache
    backends/cpu/object_code runtime/choices runtime/tuning
  SOURCES graph/text/*.cc graph/types/*.cc graph/base/*.cc graph/files/*.cc models/checkpoint/*.cc models/text/*.cc
    models/gemma/*_config.cc models/gemma/gemma3.cc models/load.cc models/generation/*.cc runtime/tuning/*.cc
    backends/cpu/host/*.cc backends/cpu/jit/elf_object.cc backends/cpu/jit/object_code.cc)
lazuli_sanitized(lazuli_threads_tsan thread
  TESTS graph/event backends/cpu/disk_cache backends/cpu/work_stealing backends/cpu/threads backends/cpu/chain
    models/conversation models/runner runtime/session runtime/session_lifetime
    runtime/session_threads runtime/session_stress runtime/error_details runtime/run_limits runtime/allocator runtime/operation
  SOURCES graph/*.cc graph/base/*.cc graph/types/*.cc backends/cpu/host/*.cc backends/cpu/program/*.cc backends/cpu/weights/*.cc
    backends/cpu/cpu_backend.cc backends/plan.cc backends/run_observer.cc runtime/*.cc models/generation/*.cc)
