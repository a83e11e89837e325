# Other projects can use lazuli: installed (by find_package and by pkg-config, after the tree has been moved) and as a
# subdirectory.
#   cmake -D SOURCE_DIR=<sources> -D BUILD_DIR=<built tree> -D WORK_DIR=<scratch> -P consumer_test.cmake
cmake_minimum_required(VERSION 3.25)

set(consumers ${CMAKE_CURRENT_LIST_DIR}/consumer)
set(prefix ${WORK_DIR}/moved)
set(expected_output "f32[4,2048]\n")
# The consumer must agree with the built libraries in compiler, sanitizers and so on.
load_cache(${BUILD_DIR} READ_WITH_PREFIX built_
  CMAKE_GENERATOR CMAKE_MAKE_PROGRAM CMAKE_CXX_COMPILER CMAKE_CXX_FLAGS CMAKE_BUILD_TYPE)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(expect_runs program)
  execute_process(COMMAND ${program} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  if(NOT output STREQUAL expected_output)
    message(FATAL_ERROR "${program} printed '${output}', expected '${expected_output}'")
  endif()
endfunction()

function(build_consumer name)
  run(${CMAKE_COMMAND} -S ${consumers}/${name} -B ${WORK_DIR}/${name} -G ${built_CMAKE_GENERATOR}
    -D CMAKE_MAKE_PROGRAM=${built_CMAKE_MAKE_PROGRAM} -D CMAKE_CXX_COMPILER=${built_CMAKE_CXX_COMPILER}
    -D CMAKE_CXX_FLAGS=${built_CMAKE_CXX_FLAGS} -D CMAKE_BUILD_TYPE=${built_CMAKE_BUILD_TYPE} ${ARGN})
  run(${CMAKE_COMMAND} --build ${WORK_DIR}/${name} --target consumer)
  expect_runs(${WORK_DIR}/${name}/consumer)
endfunction()

# Whatever an installed header includes of ours is installed too.
function(expect_headers_complete include_dir)
  file(GLOB_RECURSE headers ${include_dir}/*.h)
  if(NOT headers)
    message(FATAL_ERROR "no headers in ${include_dir}")
  endif()
  foreach(header IN LISTS headers)
    file(STRINGS ${header} includes REGEX "^#include <lazuli/")
    foreach(line IN LISTS includes)
      string(REGEX REPLACE "^#include <([^>]+)>.*" "\\1" included "${line}")
      if(NOT EXISTS ${include_dir}/${included})
        message(SEND_ERROR "${header} includes <${included}>, which is not installed")
      endif()
    endforeach()
  endforeach()
endfunction()

function(build_with_pkg_config)
  find_program(pkg_config NAMES pkg-config pkgconf)
  file(GLOB_RECURSE description ${prefix}/lazuli.pc)
  if(NOT pkg_config)
    message(STATUS "no pkg-config here: lazuli.pc is not tried")
    return()
  endif()
  cmake_path(GET description PARENT_PATH folder)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${folder} ${pkg_config} --cflags --libs lazuli
    OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  separate_arguments(build_flags UNIX_COMMAND "${built_CMAKE_CXX_FLAGS}")
  run(${built_CMAKE_CXX_COMPILER} -std=c++20 ${build_flags} ${consumers}/main.cc ${flags}
    -o ${WORK_DIR}/with_pkg_config)
  # Nothing tells the program where shared libraries lie outside the system's folders.
  cmake_path(GET folder PARENT_PATH libraries)
  set(ENV{LD_LIBRARY_PATH} ${libraries})
  expect_runs(${WORK_DIR}/with_pkg_config)
  unset(ENV{LD_LIBRARY_PATH})
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/installed)
file(RENAME ${WORK_DIR}/installed ${prefix})
expect_headers_complete(${prefix}/include)
build_consumer(find_package -D CMAKE_PREFIX_PATH=${prefix})
build_with_pkg_config()
build_consumer(add_subdirectory -D LAZULI_SOURCE_DIR=${SOURCE_DIR})
file(REMOVE_RECURSE ${WORK_DIR})
