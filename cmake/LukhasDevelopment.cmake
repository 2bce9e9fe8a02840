# How this repository itself is compiled. Nothing here reaches a user of the package or of add_subdirectory.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
# The target all_verify_interface_header_sets compiles every header alone.
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)

# Warnings. The presets make them errors (CMAKE_COMPILE_WARNING_AS_ERROR).
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Lets ccache treat equal precompiled headers as equal.
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
endif()

find_program(LUKHAS_CCACHE ccache DOC "Compiler cache, used when found")
mark_as_advanced(LUKHAS_CCACHE)
if(LUKHAS_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  # Without this sloppiness ccache does not cache what uses a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros "${LUKHAS_CCACHE}")
endif()
