# libstriate.so. Operations and kernels register themselves from static objects in their own files,
# so this stays one shared library made of all objects: a static one would drop them.
file(GLOB STRIATE_SOURCES CONFIGURE_DEPENDS
     core/*.cpp kernels/*.cpp layers/*.cpp layers/graph/*.cpp)

set(x86_64 FALSE)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(x86_64 TRUE)
endif()

# Only these folders may use more than the base instruction set; they are entered after a check of
# the processor. Their formulas are written for fused multiply-add.
function(striate_sources_for folder)
  file(GLOB sources CONFIGURE_DEPENDS kernels/${folder}/*.cpp)
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${ARGN}")
  target_sources(striate PRIVATE ${sources})
endfunction()

add_library(striate SHARED ${STRIATE_SOURCES})
add_library(striate::striate ALIAS striate)
if(x86_64)
  striate_sources_for(avx2 -mavx2 -mfma -ffp-contract=fast)
  striate_sources_for(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma
                      -mprefer-vector-width=512 -ffp-contract=fast)
endif()

# Neither the graph nor the oracles gain from -O3, which takes half as long again to compile.
file(GLOB plain CONFIGURE_DEPENDS layers/*.cpp layers/graph/*.cpp kernels/*_reference.cpp)
set_source_files_properties(${plain} PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Release>:-O2>)

target_compile_features(striate PUBLIC cxx_std_20)
target_compile_options(striate PRIVATE
  -Wall -Wextra -Wno-restrict  # gcc 12 warns wrongly of std::string +
  -ffp-contract=off            # the same numbers whatever the compiler would fuse
  -fno-math-errno -fno-trapping-math  # neither is read; both hinder vectors, no value changes
  -fno-semantic-interposition)
target_link_libraries(striate PRIVATE OpenMP::OpenMP_CXX Threads::Threads ${CMAKE_DL_LIBS})
target_link_options(striate PRIVATE -Wl,--no-undefined)
set_target_properties(striate PROPERTIES LINKER_LANGUAGE CXX INSTALL_RPATH "$ORIGIN")

if(STRIATE_SANITIZE)
  target_compile_options(striate PUBLIC $<BUILD_INTERFACE:-fsanitize=${STRIATE_SANITIZE}>
    $<BUILD_INTERFACE:-fno-omit-frame-pointer> $<BUILD_INTERFACE:-fno-sanitize-recover=all>)
  target_link_options(striate PUBLIC $<BUILD_INTERFACE:-fsanitize=${STRIATE_SANITIZE}>)
endif()

if(TARGET striate_onednn)
  file(GLOB onednn_sources CONFIGURE_DEPENDS kernels/vendor/onednn/*.cpp)
  set_source_files_properties(${onednn_sources} PROPERTIES COMPILE_DEFINITIONS STRIATE_ONEDNN=1)
  target_sources(striate PRIVATE ${onednn_sources})
  target_link_libraries(striate PRIVATE striate_onednn)
endif()

# Includes read <striate/core/tensor.h> in the tree as they do after an installation.
set(STRIATE_INCLUDE ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${STRIATE_INCLUDE}/striate)
foreach(name core kernels layers tests)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${name} ${STRIATE_INCLUDE}/striate/${name} SYMBOLIC)
endforeach()
if(EXISTS ${PROJECT_SOURCE_DIR}/striate.h)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/striate.h ${STRIATE_INCLUDE}/striate/striate.h SYMBOLIC)
endif()
configure_file(cmake/version.h.in ${STRIATE_INCLUDE}/striate/version.h @ONLY)
target_include_directories(striate PUBLIC
  $<BUILD_INTERFACE:${STRIATE_INCLUDE}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
