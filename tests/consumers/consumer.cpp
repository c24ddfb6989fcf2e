// SPDX-License-Identifier: MIT
// consumer.cpp - somebody's C++17 program, built outside the tree.
#if __has_include(<faas/faas.h>)
#include <faas/faas.h>
#else
#include <faas/base.h>
#endif

#include <iostream>
#include <string_view>

int main()
{
    const faas_bytes bytes = faas_str("C++");

    if (faas_version() != FAAS_VERSION || bytes.size != 3)
        return 1;
#if __has_include(<faas/runtime.h>)
    faas_runtime *rt = nullptr;

    if (faas_runtime_open(&rt, nullptr) != FAAS_OK) {
        std::cerr << faas_error_text() << '\n';
        return 1;
    }
    faas_runtime_close(rt);
#endif
    std::cout << "faas " << faas_version() << " from "
              << std::string_view(static_cast<const char *>(bytes.data), bytes.size) << '\n';
    return 0;
}
