// SPDX-License-Identifier: MIT
// consumer.cpp - somebody's C++17 or C++20 program, built outside the tree. CONSUMER_STANDARD is
// what it is meant to be compiled as.
#include <faas/faas.h>

#include <iostream>
#include <string_view>

static_assert(CONSUMER_STANDARD == 17 ? __cplusplus == 201703L : __cplusplus > 201703L);

static int greet(faas_context *ctx, faas_bytes input)
{
    return faas_reply_printf(ctx, "hello, %.*s", static_cast<int>(input.size),
                             static_cast<const char *>(input.data));
}

static std::string_view view(faas_bytes bytes)
{
    return {static_cast<const char *>(bytes.data), bytes.size};
}

int main()
{
    faas_runtime *rt = nullptr;
    faas_result *out = nullptr;
    faas_function function = {};
    faas_fn fn;

    if (faas_version() != FAAS_VERSION)
        return 1;
    function.size = sizeof function;
    function.name = "greet";
    function.handler = greet;
    function.concurrency = 1;
    if (faas_runtime_open(&rt, nullptr) != FAAS_OK ||
        faas_function_register(rt, &function, &fn) != FAAS_OK ||
        faas_invoke(rt, fn, faas_str("C++"), 0, &out) != FAAS_OK) {
        std::cerr << faas_error_text() << '\n';
        return 1;
    }
    const bool right = view(faas_result_bytes(out)) == "hello, C++";

    faas_result_release(out);
    faas_runtime_close(rt);
    std::cout << "faas " << faas_version() << " from C++" << CONSUMER_STANDARD << '\n';
    return right ? 0 : 1;
}
