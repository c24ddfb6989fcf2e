# SPDX-License-Identifier: MIT
# The programs that every consumer project builds: each language with each library.
set(CMAKE_C_STANDARD 11)
foreach(kind IN ITEMS faas faas_static)
  foreach(language IN ITEMS c cpp cpp20)
    string(REGEX REPLACE "20$" "" suffix ${language})
    set(CMAKE_CXX_STANDARD 17)
    if(language STREQUAL "cpp20")
      set(CMAKE_CXX_STANDARD 20)
    endif()
    add_executable(${kind}_${language} ${CMAKE_CURRENT_LIST_DIR}/consumer.${suffix})
    target_link_libraries(${kind}_${language} PRIVATE faas::${kind})
    target_compile_options(${kind}_${language} PRIVATE -Wall -Wextra -Werror)
    target_compile_definitions(${kind}_${language} PRIVATE
      CONSUMER_STANDARD=${CMAKE_CXX_STANDARD})
  endforeach()
endforeach()

add_executable(faas_module ${CMAKE_CURRENT_LIST_DIR}/module.c)
target_link_libraries(faas_module PRIVATE faas::faas_onnx)
target_compile_options(faas_module PRIVATE -Wall -Wextra -Werror)
