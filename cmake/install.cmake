# Libraries, headers, the CMake package and the pkg-config file. Paths are relative to the prefix: an installed tree can
# be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS lazuli_graph lazuli_passes lazuli_backends lazuli_runtime lazuli_models lazuli
  EXPORT lazuliTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

include(${CMAKE_CURRENT_LIST_DIR}/public_headers.cmake)
foreach(header IN LISTS LAZULI_PUBLIC_HEADERS)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lazuli/${folder})
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lazuli)
install(EXPORT lazuliTargets NAMESPACE lazuli:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/lazuliConfig.cmake.in ${PROJECT_BINARY_DIR}/lazuliConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lazuliConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lazuliConfig.cmake ${PROJECT_BINARY_DIR}/lazuliConfigVersion.cmake
  DESTINATION ${package_dir})

# Who links static libraries needs what they need; shared ones bring it along.
get_target_property(library_type lazuli_backends TYPE)
if(library_type STREQUAL "STATIC_LIBRARY")
  set(LAZULI_PC_PRIVATE "")
  set(LAZULI_PC_LIBRARIES "\${their_libraries}")
else()
  set(LAZULI_PC_PRIVATE ".private")
  set(LAZULI_PC_LIBRARIES "")
endif()
file(RELATIVE_PATH LAZULI_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/lazuli.pc.in ${PROJECT_BINARY_DIR}/lazuli.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/lazuli.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
