# lukhas_add_component(<name> NEEDS <package> LINKS <target…> SOURCES <pattern…> HEADERS <pattern…>)
# A component of the package: the static library lukhas::<name>, on top of lukhas::lukhas and one system
# library.
function(lukhas_add_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "NEEDS" "LINKS;SOURCES;HEADERS")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${arg_SOURCES})
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${arg_HEADERS})
  if(NOT sources)
    message(STATUS "lukhas::${name} has no sources")
    return()
  endif()

  find_package(${arg_NEEDS} QUIET)
  if(NOT ${arg_NEEDS}_FOUND)
    string(TOUPPER "LUKHAS_${name}" option)
    message(FATAL_ERROR "lukhas::${name} needs ${arg_NEEDS}, which was not found. Install it "
      "(cmake/install-dependencies does, on Debian), or set ${option}=OFF to build without lukhas::${name}.")
  endif()

  add_library(lukhas_${name} STATIC ${sources})
  add_library(lukhas::${name} ALIAS lukhas_${name})
  target_sources(lukhas_${name}
    PUBLIC FILE_SET HEADERS BASE_DIRS "${CMAKE_CURRENT_SOURCE_DIR}/include" FILES ${headers})
  target_link_libraries(lukhas_${name} PUBLIC lukhas PRIVATE ${arg_LINKS})
  set_target_properties(lukhas_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  set_property(GLOBAL APPEND PROPERTY LUKHAS_COMPONENTS ${name})
endfunction()
