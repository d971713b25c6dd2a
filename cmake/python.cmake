# striate._striate. The build in build/ puts it into python/striate/, so that the folder can be
# imported in place; any other build makes a python/striate/ of its own with links to the sources.
set(reason "")
find_package(Python 3.9 QUIET COMPONENTS Interpreter Development.Module)
file(GLOB STRIATE_BINDINGS CONFIGURE_DEPENDS python/bindings/*.cpp)
if(NOT STRIATE_BINDINGS)
  set(reason "python/bindings/ is empty")
elseif(NOT Python_Development.Module_FOUND)
  set(reason "no headers of Python >= 3.9")
else()
  if(NOT EXISTS "${pybind11_DIR}/pybind11Config.cmake")  # or it was in an environment now gone
    execute_process(
      COMMAND ${Python_EXECUTABLE} -c "import pybind11; print(pybind11.get_cmake_dir())"
      OUTPUT_VARIABLE pybind11_hint OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  set(PYBIND11_FINDPYTHON ON)
  find_package(pybind11 3 CONFIG QUIET HINTS "${pybind11_hint}")
  if(NOT pybind11_FOUND)
    set(reason "pybind11 >= 3 not found by ${Python_EXECUTABLE} (pip install pybind11)")
  endif()
endif()
if(reason)
  if(STRIATE_PYTHON STREQUAL "auto")
    message(STATUS "Python module: off, ${reason}")
    return()
  endif()
  message(FATAL_ERROR "STRIATE_PYTHON=ON: ${reason}")
endif()

pybind11_add_module(_striate NO_EXTRAS ${STRIATE_BINDINGS})
target_link_libraries(_striate PRIVATE striate OpenMP::OpenMP_CXX)
target_compile_options(_striate PRIVATE -Wall -Wextra -Wno-restrict $<$<CONFIG:Release>:-O2>)
set(module_folder ${PROJECT_SOURCE_DIR}/python/striate)
if(NOT PROJECT_BINARY_DIR STREQUAL ${PROJECT_SOURCE_DIR}/build)
  set(module_folder ${PROJECT_BINARY_DIR}/python/striate)
  file(MAKE_DIRECTORY ${module_folder})
  file(GLOB parts CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/python/striate
       LIST_DIRECTORIES true python/striate/*)
  list(FILTER parts EXCLUDE REGEX "\\.so$|__pycache__")
  foreach(part ${parts})
    file(CREATE_LINK ${PROJECT_SOURCE_DIR}/python/striate/${part} ${module_folder}/${part} SYMBOLIC)
  endforeach()
endif()
set_target_properties(_striate PROPERTIES
  LIBRARY_OUTPUT_DIRECTORY ${module_folder}
  INSTALL_RPATH "$ORIGIN/lib")
install(TARGETS _striate LIBRARY DESTINATION . COMPONENT python EXCLUDE_FROM_ALL)
message(STATUS "Python module: for ${Python_EXECUTABLE} with pybind11 ${pybind11_VERSION}")
