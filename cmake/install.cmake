# What `cmake --install` copies, and the package that find_package(striate CONFIG) reads. Everything
# is found relative to the library, so an installation may be moved.
include(CMakePackageConfigHelpers)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME library)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/striate)

install(TARGETS striate EXPORT striate LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(STRIATE_PRIVATE_DNNL)
  install(PROGRAMS ${STRIATE_PRIVATE_DNNL} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
foreach(folder core kernels layers)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/striate
          FILES_MATCHING PATTERN *.h PATTERN vendor EXCLUDE PATTERN simd EXCLUDE
          PATTERN avx2 EXCLUDE PATTERN avx512 EXCLUDE)
endforeach()
install(FILES ${STRIATE_INCLUDE}/striate/version.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/striate)
if(EXISTS ${PROJECT_SOURCE_DIR}/striate.h)
  install(FILES striate.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/striate)
endif()
install(FILES LICENSE THIRD_PARTY DESTINATION ${CMAKE_INSTALL_DATADIR}/striate)

install(EXPORT striate NAMESPACE striate:: FILE striateTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(cmake/striateConfig.cmake.in striateConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(striateConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/striateConfig.cmake
              ${PROJECT_BINARY_DIR}/striateConfigVersion.cmake DESTINATION ${package_dir})

# The build tree serves as a package too: -Dstriate_DIR=build.
export(EXPORT striate NAMESPACE striate:: FILE ${PROJECT_BINARY_DIR}/striateTargets.cmake)
