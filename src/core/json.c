/* SPDX-License-Identifier: MIT */
/* json.c - which kernel this CPU gets, and the scanner's entrance. */
#include "json_impl.h"

#include <stdatomic.h>

/* NULL until the first call. Any thread may find out; all find the same. */
static _Atomic(const struct faasi_json_kernel *) best;

const struct faasi_json_kernel *faasi_json_kernel(enum faasi_json_isa isa)
{
    switch (isa) {
    case FAASI_JSON_PLAIN:
        return &faasi_json_plain;
#if JSON_X86
    case FAASI_JSON_SSE:
        if (__builtin_cpu_supports("ssse3") && __builtin_cpu_supports("pclmul"))
            return &faasi_json_sse;
        return NULL;
    case FAASI_JSON_AVX2:
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
            __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
            __builtin_cpu_supports("pclmul"))
            return &faasi_json_avx2;
        return NULL;
    case FAASI_JSON_AVX512:
        if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
            __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("gfni") &&
            __builtin_cpu_supports("vpclmulqdq") &&
            faasi_json_kernel(FAASI_JSON_AVX2) != NULL)
            return &faasi_json_avx512;
        return NULL;
#endif
    default:
        return NULL;
    }
}

static const struct faasi_json_kernel *kernel_choose(void)
{
    int isa = FAASI_JSON_AVX512;

#if JSON_X86
    /* The first two Zens have pext and pdep in microcode only: hundreds of cycles. */
    if (__builtin_cpu_is("znver1") || __builtin_cpu_is("znver2"))
        isa = FAASI_JSON_SSE;
#endif
    while (faasi_json_kernel((enum faasi_json_isa)isa) == NULL)
        isa--;
    return faasi_json_kernel((enum faasi_json_isa)isa);
}

const struct faasi_json_kernel *faasi_json_kernel_best(void)
{
    const struct faasi_json_kernel *kernel =
        atomic_load_explicit(&best, memory_order_relaxed);

    if (FAASI_UNLIKELY(kernel == NULL)) {
        kernel = kernel_choose();
        /* What it points to is constant: there is nothing to order. */
        atomic_store_explicit(&best, kernel, memory_order_relaxed);
    }
    return kernel;
}

faas_status faasi_json_check(faas_bytes text, uint64_t *index,
                             struct faasi_json_fault *fault)
{
    if (FAASI_LIKELY(text.size <= FAASI_JSON_SIZE_MAX &&
                     faasi_json_kernel_best()->check(text.data, text.size, index)))
        return FAAS_OK;
    return faasi_json_fault_find(text, fault);
}

void faasi_json_walk_start(struct faasi_json_walk *walk,
                           const struct faasi_json_paths *paths, faas_bytes text,
                           const uint64_t *index)
{
    walk->value_count = 0;
    walk->place_count = 0;
    walk->paths = paths;
    walk->text = text.data;
    walk->index = index;
    walk->size = text.size > FAASI_JSON_SIZE_MAX ? 0 : (uint32_t)text.size;
    walk->at = 0;
    walk->depth = 0;
    walk->escapes = 0;
}

enum faasi_json_walked faasi_json_walk(struct faasi_json_walk *walk)
{
    return faasi_json_kernel_best()->walk(walk);
}
