# SPDX-License-Identifier: MIT
# Other projects can use lazuli. Each runs a session and a model (consumer/main.cc).
#   cmake -D CONSUMER=<name> -D SOURCE_DIR=<sources> -D BUILD_DIR=<built tree> -D WORK_DIR=<scratch>
#         -P consumer_test.cmake
# Names: static and shared, an installed library that was moved, found by find_package and by pkg-config;
# static_without_codegen, the same, where the code generator is not linked but loaded;
# add_subdirectory; and fetch_content, with a parent that brings its own fmt and nlohmann/json.
cmake_minimum_required(VERSION 3.25)

set(consumers ${CMAKE_CURRENT_LIST_DIR}/consumer)
set(arguments ${SOURCE_DIR}/tests/data/goldens/gemma4-e-gguf-q4_0/model.gguf 2 91 116 166 220 87)
set(expected_output "274 186 116 225 \n")  # as that folder's golden.safetensors
# What a consumer compiles must agree with the built libraries in compiler, sanitizers and so on.
load_cache(${BUILD_DIR} READ_WITH_PREFIX built_
  CMAKE_GENERATOR CMAKE_MAKE_PROGRAM CMAKE_CXX_COMPILER CMAKE_CXX_FLAGS CMAKE_BUILD_TYPE)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(expect_runs program)
  execute_process(COMMAND ${program} ${arguments} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  if(NOT output STREQUAL expected_output)
    message(FATAL_ERROR "${program} printed '${output}', expected '${expected_output}'")
  endif()
endfunction()

function(configure_consumer name)
  run(${CMAKE_COMMAND} -S ${consumers}/${name} -B ${WORK_DIR}/build -G ${built_CMAKE_GENERATOR}
    -D CMAKE_MAKE_PROGRAM=${built_CMAKE_MAKE_PROGRAM} -D CMAKE_CXX_COMPILER=${built_CMAKE_CXX_COMPILER} ${ARGN})
endfunction()

function(build_consumer)
  run(${CMAKE_COMMAND} --build ${WORK_DIR}/build --target consumer)
  expect_runs(${WORK_DIR}/build/consumer)
endfunction()

set(built_flags -D CMAKE_CXX_FLAGS=${built_CMAKE_CXX_FLAGS} -D CMAKE_BUILD_TYPE=${built_CMAKE_BUILD_TYPE})

# Installs the components and moves the tree.
function(install_to prefix)
  foreach(component IN LISTS ARGN)
    run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/installed --component ${component})
  endforeach()
  file(RENAME ${WORK_DIR}/installed ${prefix})
  file(GLOB_RECURSE installed RELATIVE ${prefix}/include/lazuli ${prefix}/include/*)
  include(${SOURCE_DIR}/cmake/public_headers.cmake)
  list(SORT installed)
  list(SORT LAZULI_PUBLIC_HEADERS)
  if(NOT installed STREQUAL LAZULI_PUBLIC_HEADERS)
    message(FATAL_ERROR "installed headers: ${installed}; expected: ${LAZULI_PUBLIC_HEADERS}")
  endif()
endfunction()

function(build_with_pkg_config prefix)
  find_program(pkg_config NAMES pkg-config pkgconf REQUIRED)
  file(GLOB_RECURSE description ${prefix}/lazuli.pc)
  cmake_path(GET description PARENT_PATH folder)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${folder} ${pkg_config} --cflags --libs lazuli
    OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  separate_arguments(build_flags UNIX_COMMAND "${built_CMAKE_CXX_FLAGS}")
  run(${built_CMAKE_CXX_COMPILER} ${build_flags} ${consumers}/main.cc ${flags} -o ${WORK_DIR}/with_pkg_config)
  # Nothing tells the program where shared libraries lie outside the system's folders.
  cmake_path(GET folder PARENT_PATH libraries)
  set(ENV{LD_LIBRARY_PATH} ${libraries})
  expect_runs(${WORK_DIR}/with_pkg_config)
  unset(ENV{LD_LIBRARY_PATH})
endfunction()

function(consume_installed kind)
  set(prefix ${WORK_DIR}/moved)
  install_to(${prefix} ${ARGN})
  configure_consumer(find_package ${built_flags} -D CMAKE_PREFIX_PATH=${prefix} -D LAZULI_KIND=${kind})
  build_consumer()
  build_with_pkg_config(${prefix})
endfunction()

# The program finds the module where the dynamic loader looks, and says what it expected where there is none.
function(consume_without_codegen)
  set(prefix ${WORK_DIR}/moved)
  install_to(${prefix} headers static codegen)
  configure_consumer(find_package ${built_flags} -D CMAKE_PREFIX_PATH=${prefix} -D LAZULI_KIND=static
    -D LAZULI_TARGET=lazuli::static)
  run(${CMAKE_COMMAND} --build ${WORK_DIR}/build --target consumer)
  set(ENV{LAZULI_CACHE} off)
  execute_process(COMMAND ${WORK_DIR}/build/consumer ${arguments} RESULT_VARIABLE result ERROR_VARIABLE error)
  if(result EQUAL 0 OR NOT error MATCHES "code generator: expected liblazuli-codegen.so.0 in ")
    message(FATAL_ERROR "without a code generator the program ended with ${result} and '${error}'")
  endif()
  file(GLOB_RECURSE module ${prefix}/liblazuli-codegen.so.0)
  cmake_path(GET module PARENT_PATH folder)
  set(ENV{LD_LIBRARY_PATH} ${folder})
  expect_runs(${WORK_DIR}/build/consumer)
  unset(ENV{LD_LIBRARY_PATH})
endfunction()

# How a tree compiles the objects of lazuli, apart from where the tree lies, from warnings, and from whose fmt it is.
function(compile_commands tree result)
  file(STRINGS ${tree}/compile_commands.json commands REGEX "\"command\": .*lazuli_(codegen_)?objects\\.dir/")
  string(REGEX REPLACE "([+.])" "\\\\\\1" compiler "${built_CMAKE_CXX_COMPILER}")
  string(REGEX REPLACE "\"command\": \"[^;]*${compiler} " "" commands "${commands}")
  string(REGEX REPLACE " -W[a-z][^ ;]*| -DFMT_SHARED" "" commands "${commands}")
  string(REGEX REPLACE "  +" " " commands "${commands}")
  string(REGEX REPLACE " -I[^ ;]*/include " " " commands "${commands}")
  string(REGEX REPLACE " -o [^ ;]*(lazuli_(codegen_)?objects\\.dir/)" " -o \\1" commands "${commands}")
  list(SORT commands)
  set(${result} "${commands}" PARENT_SCOPE)
endfunction()

# To compile the library once more would take as long as the first time, so its objects are taken from the built tree.
function(consume_as_a_part name)
  set(ENV{CMAKE_CXX_COMPILER_LAUNCHER} "${consumers}/reuse_object.sh;${BUILD_DIR}")
  configure_consumer(${name} ${built_flags} -D LAZULI_SOURCE_DIR=${SOURCE_DIR})
  compile_commands(${BUILD_DIR} in_the_built_tree)
  compile_commands(${WORK_DIR}/build as_a_part)
  if(NOT as_a_part STREQUAL in_the_built_tree)
    message(FATAL_ERROR "as a part of another project lazuli is compiled by\n${as_a_part}\n"
      "and by itself by\n${in_the_built_tree}")
  endif()
  build_consumer()
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
if(CONSUMER STREQUAL static)
  consume_installed(static headers static)
elseif(CONSUMER STREQUAL static_without_codegen)
  consume_without_codegen()
elseif(CONSUMER STREQUAL shared)
  consume_installed(shared headers shared codegen shared-development)
else()
  consume_as_a_part(${CONSUMER})
endif()
file(REMOVE_RECURSE ${WORK_DIR})
