# SPDX-License-Identifier: MIT
# The names in targets.def, as fuzzers; and what sources every fuzzer shares.
set(fuzz_folder ${CMAKE_CURRENT_LIST_DIR})
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${fuzz_folder}/targets.def)
file(STRINGS ${fuzz_folder}/targets.def fuzzers REGEX "^LAZULI_FUZZER\\([a-z_]+\\)$")
list(TRANSFORM fuzzers REPLACE "^LAZULI_FUZZER\\((.*)\\)$" "\\1")
if(NOT fuzzers)
  message(FATAL_ERROR "fuzzers: found none in ${fuzz_folder}/targets.def")
endif()
set(fuzz_shared_sources ${fuzz_folder}/loaded_model.cc ${fuzz_folder}/tokenizer_properties.cc)
