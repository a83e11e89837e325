# SPDX-License-Identifier: MIT
# Every stored input, given to its fuzzer by a plain program: a test each, with any compiler and without libFuzzer.
include(${CMAKE_CURRENT_LIST_DIR}/list.cmake)
add_executable(lazuli_fuzz_inputs ${fuzz_folder}/replay.cc ${fuzz_shared_sources})
target_link_libraries(lazuli_fuzz_inputs PRIVATE lazuli::static lazuli_flags fmt::fmt nlohmann_json::nlohmann_json)
target_compile_options(lazuli_fuzz_inputs PRIVATE $<$<CONFIG:Release>:-O1>)
foreach(fuzzer IN LISTS fuzzers)
  target_sources(lazuli_fuzz_inputs PRIVATE ${fuzz_folder}/${fuzzer}.cc)
  # All define the function that libFuzzer calls; here each has a name of its own.
  set_source_files_properties(${fuzz_folder}/${fuzzer}.cc PROPERTIES COMPILE_DEFINITIONS
    LLVMFuzzerTestOneInput=fuzz_${fuzzer})
  add_test(NAME fuzz_inputs.${fuzzer} COMMAND lazuli_fuzz_inputs ${fuzzer} ${fuzz_folder}/corpus/${fuzzer}
    ${fuzz_folder}/regressions/${fuzzer})
  set_tests_properties(fuzz_inputs.${fuzzer} PROPERTIES TIMEOUT 300)
endforeach()
# The command that made the corpus, from the tests' data and by small writers.
add_executable(lazuli_fuzz_corpus EXCLUDE_FROM_ALL ${fuzz_folder}/make_corpus.cc support/paths.cc)
target_link_libraries(lazuli_fuzz_corpus PRIVATE lazuli::static lazuli_flags fmt::fmt nlohmann_json::nlohmann_json)
add_dependencies(lazuli_fuzz_corpus lazuli_codegen_module)
