# Flags that reach every target of the project. No -march: SIMD is dispatched at run time. No fused
# multiply-add and no fast-math: output bytes must not depend on the compiler's mood.
add_library(tessera_flags INTERFACE)
target_compile_options(tessera_flags INTERFACE
  -Wall -Wextra -Wconversion -ffp-contract=off
  $<$<BOOL:${TESSERA_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # Cries wolf over std::string in g++ 12 (GCC bug 105651).
  target_compile_options(tessera_flags INTERFACE -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND TESSERA_SANITIZE)
  # Its manual advises against -Werror here: instrumented code makes it warn of what cannot happen.
  target_compile_options(tessera_flags INTERFACE -Wno-error)
endif()
if(TESSERA_SANITIZE)
  target_compile_options(tessera_flags INTERFACE
    -fsanitize=${TESSERA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(tessera_flags INTERFACE -fsanitize=${TESSERA_SANITIZE})
else()
  target_compile_options(tessera_flags INTERFACE $<$<CONFIG:Release>:-fstack-protector-strong>)
  # Distributions may define a lower level themselves.
  target_compile_options(tessera_flags INTERFACE
    $<$<CONFIG:Release>:-U_FORTIFY_SOURCE> $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=3>)
  target_compile_definitions(tessera_flags INTERFACE
    $<$<CONFIG:Release>:_GLIBCXX_ASSERTIONS>)
  target_link_options(tessera_flags INTERFACE -Wl,-z,relro,-z,now)
endif()

set(tessera_scheduler TBB::tbb)
if(TESSERA_SANITIZE MATCHES thread)
  # The packaged oneTBB is not instrumented: everything runs on plain threads instead.
  target_compile_definitions(tessera_flags INTERFACE TESSERA_PLAIN_THREADS)
  set(tessera_scheduler)
endif()

if(TESSERA_FUZZ)
  target_compile_options(tessera_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# tessera_precompile(TARGET HEADERS...): also what nearly every source includes. All targets of one
# list of HEADERS share what is compiled.
function(tessera_precompile target)
  if(NOT TESSERA_PRECOMPILE)
    return()
  endif()
  string(MAKE_C_IDENTIFIER "tessera_precompiled${ARGN}" owner)
  get_property(first GLOBAL PROPERTY ${owner})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
    return()
  endif()
  set_property(GLOBAL PROPERTY ${owner} ${target})
  target_precompile_headers(${target} PRIVATE <algorithm> <array> <atomic> <charconv> <cmath>
    <expected> <filesystem> <functional> <map> <memory> <mutex> <numeric> <optional> <set> <span>
    <string> <string_view> <thread> <utility> <variant> <vector> <nlohmann/json.hpp> ${ARGN})
endfunction()

# tessera_layer(NAME PUBLIC deps... PRIVATE deps...): library tessera_NAME from the folder NAME.
function(tessera_layer name)
  cmake_parse_arguments(arg "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${name}/*.cc)
  add_library(tessera_${name} STATIC ${sources})
  add_library(tessera::${name} ALIAS tessera_${name})
  set_target_properties(tessera_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(tessera_${name} PUBLIC cxx_std_23)
  target_include_directories(tessera_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/tessera>)
  target_link_libraries(tessera_${name} PUBLIC ${arg_PUBLIC}
    PRIVATE ${arg_PRIVATE} $<BUILD_INTERFACE:tessera_flags>)
  tessera_precompile(tessera_${name})
endfunction()
