/* SPDX-License-Identifier: MIT */
/* consumer.c - somebody's program, built outside the tree. */
#if __has_include(<faas/faas.h>)
#include <faas/faas.h>
#else
#include <faas/base.h>
#endif

#include <stdio.h>

int main(void)
{
    if (faas_version() != FAAS_VERSION) {
        fprintf(stderr, "compiled with %d, running with %d\n", FAAS_VERSION, faas_version());
        return 1;
    }
#if __has_include(<faas/runtime.h>)
    faas_runtime *rt;
    faas_status status = faas_runtime_open(&rt, NULL);

    if (status != FAAS_OK) {
        fprintf(stderr, "%s: %s\n", faas_status_name(status), faas_error_text());
        return 1;
    }
    faas_runtime_close(rt);
#endif
    printf("faas %d\n", faas_version());
    return 0;
}
