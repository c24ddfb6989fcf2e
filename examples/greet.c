/* SPDX-License-Identifier: MIT */
/* greet.c - the smallest program: one function, one call, one answer. */
#include <faas/faas.h>

#include <stdio.h>

static int greet(faas_context *ctx, faas_bytes input)
{
    return faas_reply_printf(ctx, "hello, %.*s", (int)input.size,
                             (const char *)input.data);
}

int main(void)
{
    faas_runtime *rt = NULL;
    faas_fn fn;
    faas_result *out = NULL;
    faas_bytes text;
    faas_status status;

    status = faas_runtime_open(&rt, NULL);
    if (status == FAAS_OK)
        status = faas_function_register(
            rt, FAAS_FUNCTION(.name = "greet", .handler = greet), &fn);
    if (status == FAAS_OK)
        status = faas_invoke(rt, fn, faas_str("world"), 0, &out);
    if (status == FAAS_OK) {
        text = faas_result_bytes(out);
        printf("%.*s\n", (int)text.size, (const char *)text.data);
    } else {
        fprintf(stderr, "greet: %s: %s\n", faas_status_text(status), faas_error_text());
    }
    faas_result_release(out);
    faas_runtime_close(rt);
    return status == FAAS_OK ? 0 : 1;
}
