# libstriate_cuda.so, the CUDA plug-in: kernels/*.cu and kernels/cuda/. Loaded by core/plugin.cpp
# when a CUDA device is asked for; nothing links to it, and it links to no CUDA runtime.
if(cuda STREQUAL "off")
  message(STATUS "CUDA plug-in: off")
  return()
endif()

# The first nvcc of CUDA 13 or newer. CMake would take the first of any version, and trip over
# an old one that does not know the host's compiler.
set(reason "no CUDA compiler found")
set(candidates ${CMAKE_CUDA_COMPILER})
if(NOT candidates)
  find_program(nvcc nvcc NO_CACHE)
  set(candidates $ENV{CUDACXX} ${nvcc} /usr/local/cuda/bin/nvcc)
endif()
unset(cuda_compiler)
foreach(candidate ${candidates})
  execute_process(COMMAND ${candidate} --version OUTPUT_VARIABLE said RESULT_VARIABLE failed
                  ERROR_QUIET)
  if(failed OR NOT said MATCHES "release ([0-9]+\\.[0-9]+)")
    continue()
  endif()
  if(CMAKE_MATCH_1 VERSION_GREATER_EQUAL 13.0)
    set(cuda_compiler ${candidate})
    break()
  endif()
  set(reason "needs CUDA 13, ${candidate} is ${CMAKE_MATCH_1}")
endforeach()
if(NOT cuda_compiler)
  if(cuda STREQUAL "on")
    message(FATAL_ERROR "STRIATE_CUDA=on: ${reason}; install CUDA 13, or let ./tools/test fetch "
                        "NVIDIA's compiler packages from PyPI")
  endif()
  message(STATUS "CUDA plug-in: off, ${reason}")
  return()
endif()
if(NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${cuda_compiler})
endif()
set(CMAKE_CUDA_ARCHITECTURES OFF)  # the options below say it, PTX included
set(CMAKE_CUDA_RUNTIME_LIBRARY None)
enable_language(CUDA)
# CMake 3.25 does not know that nvcc 12 and newer can.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)

# Machine code for each architecture, and PTX of the first one for all newer devices.
set(code_options "")
list(GET STRIATE_CUDA_ARCHITECTURES 0 first_architecture)
foreach(number ${STRIATE_CUDA_ARCHITECTURES})
  set(targets sm_${number})
  if(number STREQUAL first_architecture OR number STREQUAL "90")
    string(APPEND targets ",compute_${number}")
  endif()
  list(APPEND code_options "SHELL:-gencode arch=compute_${number},code=[${targets}]")
endforeach()

file(GLOB cuda_sources CONFIGURE_DEPENDS kernels/*.cu kernels/cuda/*.cu kernels/cuda/*.cpp)
add_library(striate_cuda MODULE ${cuda_sources})
target_include_directories(striate_cuda SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
target_compile_options(striate_cuda PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra>
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wno-restrict>
  # The emulator of the tests reads the PTX, and errors name their lines.
  $<$<COMPILE_LANGUAGE:CUDA>:--no-compress> $<$<COMPILE_LANGUAGE:CUDA>:-lineinfo>
  # The functions of one and two values are constexpr lambdas that both devices compile.
  $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)
foreach(option ${code_options})
  target_compile_options(striate_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${option}>")
endforeach()
target_link_libraries(striate_cuda PRIVATE striate ${CMAKE_DL_LIBS})
set_target_properties(striate_cuda PROPERTIES
  PREFIX lib LINKER_LANGUAGE CXX
  POSITION_INDEPENDENT_CODE ON INSTALL_RPATH "$ORIGIN"
  CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden)
target_link_options(striate_cuda PRIVATE -Wl,--no-undefined)
# Optional: `striate` alone may be built and installed where nvcc was found.
install(TARGETS striate_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} OPTIONAL)

# The runtime that executes the plug-in where there is no GPU; for tests, never installed.
function(striate_add_emulator)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/emulator)
  add_subdirectory(tests/emulator emulator)
endfunction()
if(STRIATE_EMULATOR)
  striate_add_emulator()
endif()
