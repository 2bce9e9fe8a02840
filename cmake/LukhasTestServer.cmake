# lukhas_test_server: RESTinio, the HTTP server of the examples and of the tests that need a real one.
# RESTinio's own target is not used: it sets Asio macros that the rest of a program would not share.
if(TARGET lukhas_test_server)
  return()
endif()
find_path(LUKHAS_RESTINIO_INCLUDE_DIR restinio/all.hpp REQUIRED)
find_library(LUKHAS_HTTP_PARSER_LIBRARY http_parser REQUIRED)
mark_as_advanced(LUKHAS_RESTINIO_INCLUDE_DIR LUKHAS_HTTP_PARSER_LIBRARY)

add_library(lukhas_test_server INTERFACE)
target_include_directories(lukhas_test_server SYSTEM INTERFACE "${LUKHAS_RESTINIO_INCLUDE_DIR}")
target_link_libraries(lukhas_test_server INTERFACE asio::asio fmt::fmt "${LUKHAS_HTTP_PARSER_LIBRARY}")
