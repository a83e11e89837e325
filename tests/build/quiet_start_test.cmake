# SPDX-License-Identifier: MIT
# Starting lazuli brings none of the large libraries that it uses into the process: they are loaded when they are needed.
#   cmake -D BINARIES=<libraries and programs> -D READELF=<readelf> -P quiet_start_test.cmake
cmake_minimum_required(VERSION 3.25)

foreach(binary IN LISTS BINARIES)
  execute_process(COMMAND ${READELF} -d ${binary} OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "NEEDED[^\n]*" needed "${dynamic}")
  if(NOT needed MATCHES "libstdc|libc\\.so|libc\\+\\+")
    message(FATAL_ERROR "${binary}: no list of libraries: '${needed}'")
  endif()
  if(needed MATCHES "LLVM|blas")
    message(FATAL_ERROR "${binary} is linked with ${needed}")
  endif()
endforeach()
