# Targets for what ships a pkg-config file everywhere and a CMake package only in places. Installed
# too: the exported libraries name these targets.
foreach(pair IN ITEMS tessera_xxhash=libxxhash tessera_highway=libhwy tessera_openblas=openblas
                      tessera_pcre2=libpcre2-8>=10.40 tessera_zstd=libzstd)
  string(REGEX MATCH "^([^=]+)=(.+)$" pair ${pair})
  set(target ${CMAKE_MATCH_1})
  set(module ${CMAKE_MATCH_2})
  if(NOT TARGET ${target})
    pkg_check_modules(${target}_pc REQUIRED IMPORTED_TARGET GLOBAL ${module})
    add_library(${target} INTERFACE IMPORTED GLOBAL)
    target_link_libraries(${target} INTERFACE PkgConfig::${target}_pc)
  endif()
endforeach()
