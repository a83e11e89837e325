# SPDX-License-Identifier: MIT
# The graph generator: a program that runs as long as one likes, and what its tests call of it.
find_package(CLI11 REQUIRED)
set(folder ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/graphs)
file(GLOB graph_fuzz_sources CONFIGURE_DEPENDS ${folder}/*.cc)
list(FILTER graph_fuzz_sources EXCLUDE REGEX "(main|shared_code|_test)\\.cc$")
add_library(lazuli_graph_fuzz_parts STATIC ${graph_fuzz_sources})
target_link_libraries(lazuli_graph_fuzz_parts PUBLIC lazuli::static fmt::fmt PRIVATE lazuli_flags)
target_compile_options(lazuli_graph_fuzz_parts PRIVATE $<$<CONFIG:Release>:-O1>)

add_executable(lazuli_graph_fuzz ${folder}/main.cc ${folder}/shared_code.cc)
target_link_libraries(lazuli_graph_fuzz PRIVATE lazuli_graph_fuzz_parts lazuli_flags CLI11::CLI11)
target_compile_options(lazuli_graph_fuzz PRIVATE $<$<CONFIG:Release>:-O1>)
add_dependencies(lazuli_graph_fuzz lazuli_codegen_module)
target_link_libraries(lazuli_tests PRIVATE lazuli_graph_fuzz_parts)

add_test(NAME graph_fuzz COMMAND lazuli_graph_fuzz --seed 1 --graphs 1500 --threads 2)
add_test(NAME graph_fuzz_plants COMMAND lazuli_graph_fuzz --seed 2 --plant all --graphs 6000 --threads 2 --no-shrink)
add_test(NAME graph_fuzz_one_again COMMAND lazuli_graph_fuzz --seed 1 --first 7 --graphs 1)
set_tests_properties(graph_fuzz_one_again PROPERTIES PASS_REGULAR_EXPRESSION "seed 1: 1 graphs .* 0 findings")
set_tests_properties(graph_fuzz graph_fuzz_plants graph_fuzz_one_again PROPERTIES TIMEOUT 900)
set_tests_properties(graph_fuzz_plants PROPERTIES LABELS plants)
