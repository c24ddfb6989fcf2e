# SPDX-License-Identifier: MIT
# What is linked under libfaas, as the target faas::ffi. The build reads this file, and so
# does the installed package: whoever links the static library links it. If it is not found
# there is no target, and a program with the shared library does not miss it.
#
# It is looked for by name, because not every system has its pkg-config file.
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)

function(faas_find target header library)
  string(MAKE_C_IDENTIFIER "FAAS_${library}" variable)
  find_path(${variable}_INCLUDE_DIR ${header})
  find_library(${variable}_LIBRARY ${library})
  mark_as_advanced(${variable}_INCLUDE_DIR ${variable}_LIBRARY)
  if(TARGET ${target} OR NOT ${variable}_INCLUDE_DIR OR NOT ${variable}_LIBRARY)
    return()
  endif()
  add_library(${target} UNKNOWN IMPORTED)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION "${${variable}_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${${variable}_INCLUDE_DIR}")
endfunction()

faas_find(faas::ffi ffi.h ffi)
