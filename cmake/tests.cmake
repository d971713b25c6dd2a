# One binary, striate_tests, of all tests/*.cpp.
file(GLOB STRIATE_TEST_SOURCES CONFIGURE_DEPENDS tests/*.cpp)
find_package(GTest QUIET)
if(NOT GTest_FOUND OR NOT STRIATE_TEST_SOURCES)
  set(reason "GoogleTest not found (Debian: libgtest-dev)")
  if(GTest_FOUND)
    set(reason "tests/*.cpp is empty")
  endif()
  if(STRIATE_TESTS STREQUAL "auto")
    message(STATUS "C++ tests: off, ${reason}")
    return()
  endif()
  message(FATAL_ERROR "STRIATE_TESTS=ON: ${reason}")
endif()

enable_testing()
add_executable(striate_tests ${STRIATE_TEST_SOURCES})
target_link_libraries(striate_tests PRIVATE striate OpenMP::OpenMP_CXX GTest::gtest
                      GTest::gtest_main)
target_compile_options(striate_tests PRIVATE -Wall -Wextra -Wno-restrict -ffp-contract=off
                       $<$<CONFIG:Release>:-O2>)
add_test(NAME striate_tests COMMAND striate_tests)
