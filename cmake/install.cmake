# `cmake --install` gives the program, the libraries, their headers and a package config, so that
# another project can find_package(tessera) and link tessera::convert.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(layers formats quant convert verify)
list(TRANSFORM layers PREPEND tessera_ OUTPUT_VARIABLE libraries)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tessera)

install(TARGETS tessera RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET tessera-mpi)
  install(TARGETS tessera-mpi RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(TARGETS ${libraries} EXPORT tesseraTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(layer IN LISTS layers)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${layer} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tessera
          FILES_MATCHING PATTERN "*.h" PATTERN "*-inl.h" EXCLUDE PATTERN "kernels" EXCLUDE)
endforeach()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/tesseraConfig.cmake.in
  ${PROJECT_BINARY_DIR}/package/tesseraConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor release may change the interfaces.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/tesseraConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/tesseraConfig.cmake
              ${PROJECT_BINARY_DIR}/package/tesseraConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/pkgconfig-targets.cmake
        DESTINATION ${package_dir})
install(EXPORT tesseraTargets NAMESPACE tessera:: DESTINATION ${package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
