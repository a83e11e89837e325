# SPDX-License-Identifier: MIT
# Objects built for wider instruction sets define no weak symbols. A weak symbol is an inline function that another
# object may hold as well; the linker keeps either copy, and so could put AVX-512 code into the path of every CPU.
#   cmake -D SOURCE_DIR=<sources> -D LIBRARY=<liblazuli.a> -D AR=<ar> -D NM=<nm> -D WORK_DIR=<scratch>
#         -P isa_symbols_test.cmake
cmake_minimum_required(VERSION 3.25)

set(isa_unit "_(avx2|avx512|avx512bf16|amx)\\.cc")

file(GLOB_RECURSE sources ${SOURCE_DIR}/backends/*.cc)
list(FILTER sources INCLUDE REGEX "${isa_unit}$")
execute_process(COMMAND ${AR} t ${LIBRARY} OUTPUT_VARIABLE members COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" members "${members}")
list(FILTER members INCLUDE REGEX "${isa_unit}\\.o$")
list(LENGTH sources source_count)
list(LENGTH members member_count)
if(NOT source_count EQUAL member_count)
  message(FATAL_ERROR "${source_count} sources for wider instruction sets, ${member_count} such objects in ${LIBRARY}")
endif()
if(member_count EQUAL 0)
  message(STATUS "no objects for wider instruction sets")
  return()
endif()

file(REMOVE_RECURSE ${WORK_DIR})
file(MAKE_DIRECTORY ${WORK_DIR})
execute_process(COMMAND ${AR} x ${LIBRARY} ${members} WORKING_DIRECTORY ${WORK_DIR} COMMAND_ERROR_IS_FATAL ANY)
foreach(member IN LISTS members)
  execute_process(COMMAND ${NM} -C --defined-only ${WORK_DIR}/${member}
    OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  # W and V: weak functions and objects; u: unique across the process, which the linker merges as well.
  string(REGEX MATCHALL "[0-9a-f]+ [WVu] [^\n]+" weak "${symbols}")
  # A pointer to the exception personality, in every object that handles exceptions: data, the same everywhere.
  list(FILTER weak EXCLUDE REGEX "DW\\.ref\\.__gxx_personality_v0")
  foreach(symbol IN LISTS weak)
    message(SEND_ERROR "${member}: ${symbol}")
  endforeach()
endforeach()
file(REMOVE_RECURSE ${WORK_DIR})
message(STATUS "${member_count} objects read")
