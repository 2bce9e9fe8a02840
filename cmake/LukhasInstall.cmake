# The installed package: headers, component libraries and lib/cmake/lukhas. Nothing in it names a build
# machine.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(lukhas_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/lukhas")

install(TARGETS lukhas EXPORT lukhas-targets FILE_SET HEADERS)
install(EXPORT lukhas-targets NAMESPACE lukhas:: DESTINATION "${lukhas_package_dir}")

get_property(lukhas_components GLOBAL PROPERTY LUKHAS_COMPONENTS)
foreach(component IN LISTS lukhas_components)
  install(TARGETS lukhas_${component} EXPORT lukhas-component-${component}-targets FILE_SET HEADERS)
  install(EXPORT lukhas-component-${component}-targets NAMESPACE lukhas:: DESTINATION "${lukhas_package_dir}")
endforeach()

if(TARGET lukhas-journal)
  install(TARGETS lukhas-journal)
endif()

configure_package_config_file(cmake/lukhas-config.cmake.in "${PROJECT_BINARY_DIR}/lukhas-config.cmake"
  INSTALL_DESTINATION "${lukhas_package_dir}" NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/lukhas-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/lukhas-config.cmake" "${PROJECT_BINARY_DIR}/lukhas-config-version.cmake"
  cmake/FindAsio.cmake cmake/FindxxHash.cmake
  DESTINATION "${lukhas_package_dir}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/lukhas")
