# Finds standalone Asio: a package that brings its own configuration, or else the bare headers (as on Debian).
#   Asio_FOUND, Asio_VERSION, Asio_INCLUDE_DIR (a hint that can be set)
#   asio::asio  the headers, ASIO_STANDALONE, and what an old Asio needs to be told about clang's coroutines
include(FindPackageHandleStandardArgs)

if(TARGET asio::asio)
  set(Asio_FOUND TRUE)
  return()
endif()

find_package(asio CONFIG QUIET)
if(TARGET asio::asio)
  set(Asio_VERSION "${asio_VERSION}")
  find_package_handle_standard_args(Asio REQUIRED_VARS asio_DIR VERSION_VAR Asio_VERSION)
  return()
endif()

find_path(Asio_INCLUDE_DIR asio/version.hpp)
mark_as_advanced(Asio_INCLUDE_DIR)
if(Asio_INCLUDE_DIR)
  file(STRINGS "${Asio_INCLUDE_DIR}/asio/version.hpp" _asio_line REGEX "^#define ASIO_VERSION [0-9]+")
  string(REGEX MATCH "[0-9]+" _asio_number "${_asio_line}")
  math(EXPR _asio_major "${_asio_number} / 100000")
  math(EXPR _asio_minor "${_asio_number} / 100 % 1000")
  math(EXPR _asio_patch "${_asio_number} % 100")
  set(Asio_VERSION "${_asio_major}.${_asio_minor}.${_asio_patch}")
endif()
find_package_handle_standard_args(Asio REQUIRED_VARS Asio_INCLUDE_DIR VERSION_VAR Asio_VERSION)

if(Asio_FOUND)
  if(NOT TARGET Threads::Threads)
    find_package(Threads REQUIRED)
  endif()
  add_library(asio::asio INTERFACE IMPORTED)
  set_target_properties(asio::asio PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${Asio_INCLUDE_DIR}"
    INTERFACE_COMPILE_DEFINITIONS ASIO_STANDALONE
    INTERFACE_LINK_LIBRARIES Threads::Threads)
  if(Asio_VERSION VERSION_LESS 1.24 AND CMAKE_CXX_COMPILER_ID MATCHES Clang)
    # These versions look for the coroutines of clang only in libc++; with libstdc++ they must be told.
    set_property(TARGET asio::asio APPEND PROPERTY INTERFACE_COMPILE_DEFINITIONS
      ASIO_HAS_CO_AWAIT=1 ASIO_HAS_STD_COROUTINE=1)
  endif()
endif()
