# SPDX-License-Identifier: MIT
# The libraries, the public headers, the CMake package and the pkg-config file. Paths are relative to the prefix: an
# installed tree can be moved.
#
# The components are headers, tool, codegen (the module of the code generator, which the shared library and the tool load),
# and for each kind of library its own: static; shared, and shared-development for what only those need who link it. Those of the kind that BUILD_SHARED_LIBS did not ask for are installed only by
#   cmake --install BUILD --component NAME       after building the target lazuli_static or lazuli_shared
include(CMakePackageConfigHelpers)
include(${CMAKE_CURRENT_LIST_DIR}/public_headers.cmake)

foreach(header IN LISTS LAZULI_PUBLIC_HEADERS)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lazuli/${folder}
    COMPONENT headers)
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lazuli)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/lazuliConfig.cmake.in ${PROJECT_BINARY_DIR}/lazuliConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lazuliConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lazuliConfig.cmake ${PROJECT_BINARY_DIR}/lazuliConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT headers)

file(RELATIVE_PATH LAZULI_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
set(LAZULI_PC_REQUIRES_static "Requires: fmt")
set(LAZULI_PC_LIBS_static "-Wl,-u,lazuli_codegen_1 -llazuli-codegen -llazuli -L@LLVM_LIBRARY_DIR@ -lLLVM-@LLVM_VERSION_MAJOR@ -pthread")
set(LAZULI_PC_REQUIRES_shared "")
set(LAZULI_PC_LIBS_shared "-llazuli")
set(LAZULI_TARGETS_static lazuli_static lazuli_codegen)
set(LAZULI_TARGETS_shared lazuli_shared)

function(lazuli_install kind component)
  if(NOT kind STREQUAL LAZULI_KIND)
    set(optional EXCLUDE_FROM_ALL)
  endif()
  install(TARGETS ${LAZULI_TARGETS_${kind}} EXPORT lazuli-${kind}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${component} ${optional}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${kind} NAMELINK_COMPONENT ${component} ${optional})
  install(EXPORT lazuli-${kind} NAMESPACE lazuli:: DESTINATION ${package_dir} COMPONENT ${component} ${optional})
  set(LAZULI_PC_REQUIRES ${LAZULI_PC_REQUIRES_${kind}})
  string(CONFIGURE "${LAZULI_PC_LIBS_${kind}}" LAZULI_PC_LIBS @ONLY)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/lazuli.pc.in ${PROJECT_BINARY_DIR}/${kind}/lazuli.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${kind}/lazuli.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
    COMPONENT ${component} ${optional})
endfunction()
lazuli_install(static static)
lazuli_install(shared shared-development)
install(TARGETS lazuli_codegen_module LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT codegen)

if(BUILD_SHARED_LIBS)
  include(${CMAKE_CURRENT_LIST_DIR}/package.cmake)
else()
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/THIRD-PARTY.md DESTINATION ${CMAKE_INSTALL_DOCDIR}
    COMPONENT headers)
endif()
