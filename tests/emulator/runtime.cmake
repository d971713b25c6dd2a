# The runtime half of the emulator: the library that programs load, and the tests of its calls.
# Both need the toolkit's headers; the tests need nvcc for their kernels.

if(CMAKE_CUDA_COMPILER)
  set(EMULATOR_NVCC ${CMAKE_CUDA_COMPILER})
else()
  find_program(EMULATOR_NVCC nvcc HINTS $ENV{CUDACXX} /usr/local/cuda/bin REQUIRED)
endif()
get_filename_component(emulator_toolkit ${EMULATOR_NVCC} REALPATH)
get_filename_component(emulator_toolkit ${emulator_toolkit}/../.. ABSOLUTE)

file(GLOB runtime_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/runtime*.cpp)
set(runtime_test_sources ${runtime_sources})
list(FILTER runtime_sources EXCLUDE REGEX "_test\\.cpp$")
list(FILTER runtime_test_sources INCLUDE REGEX "_test\\.cpp$")

add_library(emulator_calls OBJECT ${runtime_sources})
target_compile_options(emulator_calls PRIVATE -O2 -Wall -Wextra)
target_include_directories(emulator_calls SYSTEM PUBLIC ${emulator_toolkit}/include)
target_link_libraries(emulator_calls PUBLIC emulator_core)
set_target_properties(emulator_calls PROPERTIES POSITION_INDEPENDENT_CODE ON)

add_library(emulator_runtime SHARED $<TARGET_OBJECTS:emulator_calls>)
target_link_libraries(emulator_runtime PRIVATE emulator_core)
target_link_options(emulator_runtime PRIVATE
  -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/libcudart.map -Wl,-soname,libcudart.so.13
  -Wl,--no-undefined)
set_target_properties(emulator_runtime PROPERTIES
  OUTPUT_NAME cudart SUFFIX .so.13 NO_SONAME ON
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}
  LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/libcudart.map)

# The tests hold the runtime themselves, so that they see inside it.
function(emulator_add_runtime_tests target)
  set(objects "")
  foreach(name runtime_kernels runtime_cub_kernels)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
    set(code compute_80)
    if(name STREQUAL "runtime_kernels")
      set(code [sm_80,compute_80])  # the counts of registers are read from machine code
    endif()
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${EMULATOR_NVCC} -std=c++17 -cudart shared --no-compress -lineinfo
              -gencode arch=compute_80,code=${code} -Xcompiler -fPIC
              -ccbin ${CMAKE_CXX_COMPILER}
              -c ${CMAKE_CURRENT_SOURCE_DIR}/${name}.cu -o ${object}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}.cu ${CMAKE_CURRENT_SOURCE_DIR}/${name}.h
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  target_sources(${target} PRIVATE ${runtime_test_sources} $<TARGET_OBJECTS:emulator_calls>
                 ${objects})
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  target_include_directories(${target} SYSTEM PRIVATE ${emulator_toolkit}/include)

  # A program that loads the library, as programs of others do.
  set(program ${CMAKE_CURRENT_BINARY_DIR}/runtime_program)
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/runtime_program.cu)
  add_custom_command(
    OUTPUT ${program}
    COMMAND ${EMULATOR_NVCC} -std=c++17 -cudart none --no-compress -default-stream per-thread
            -gencode arch=compute_80,code=compute_80 -ccbin ${CMAKE_CXX_COMPILER}
            ${source} -Xlinker $<TARGET_FILE:emulator_runtime> -o ${program}
    DEPENDS ${source} emulator_runtime VERBATIM)
  target_sources(${target} PRIVATE ${program})
  set_source_files_properties(${program} PROPERTIES GENERATED ON)
  target_compile_definitions(${target} PRIVATE
    EMULATOR_PROGRAM="${program}" EMULATOR_FOLDER="$<TARGET_FILE_DIR:emulator_runtime>")
endfunction()

# PTX of kernels with mistakes, for checks_test.cpp.
function(emulator_add_check_kernels target)
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/check_kernels.cu)
  set(ptx ${CMAKE_CURRENT_BINARY_DIR}/check_kernels.ptx)
  add_custom_command(
    OUTPUT ${ptx}
    COMMAND ${EMULATOR_NVCC} -std=c++17 -ptx -arch=compute_80 -lineinfo
            -ccbin ${CMAKE_CXX_COMPILER} ${source} -o ${ptx}
    DEPENDS ${source} VERBATIM)
  target_sources(${target} PRIVATE ${ptx})
  target_compile_definitions(${target} PRIVATE EMULATOR_CHECK_KERNELS="${ptx}"
                                               EMULATOR_CHECK_SOURCE="${source}")
endfunction()
