# Finds xxhash.h, which is used header-only (XXH_INLINE_ALL): nothing is linked.
#   xxHash_FOUND, xxHash_VERSION, xxHash_INCLUDE_DIR (a hint that can be set)
#   xxHash::headers  the include directory
include(FindPackageHandleStandardArgs)

if(TARGET xxHash::headers)
  set(xxHash_FOUND TRUE)
  return()
endif()

find_path(xxHash_INCLUDE_DIR xxhash.h)
mark_as_advanced(xxHash_INCLUDE_DIR)
if(xxHash_INCLUDE_DIR)
  set(xxHash_VERSION "")
  foreach(_xxhash_part IN ITEMS MAJOR MINOR RELEASE)
    file(STRINGS "${xxHash_INCLUDE_DIR}/xxhash.h" _xxhash_line REGEX "#define XXH_VERSION_${_xxhash_part} ")
    string(REGEX MATCH "[0-9]+" _xxhash_number "${_xxhash_line}")
    string(APPEND xxHash_VERSION ".${_xxhash_number}")
  endforeach()
  string(SUBSTRING "${xxHash_VERSION}" 1 -1 xxHash_VERSION)
endif()
find_package_handle_standard_args(xxHash REQUIRED_VARS xxHash_INCLUDE_DIR VERSION_VAR xxHash_VERSION)

if(xxHash_FOUND)
  add_library(xxHash::headers INTERFACE IMPORTED)
  set_target_properties(xxHash::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${xxHash_INCLUDE_DIR}")
endif()
