/* SPDX-License-Identifier: MIT */
/* limit.c - limiters in front of live calls. */
#include "limit.h"

#include "mem.h"

/* The default one. */
static const faas_limiter usual = {.size = sizeof usual,
                                   .kind = FAAS_LIMITER_PREDICTED,
                                   .limit = FAASI_ADMISSION_MAX,
                                   .shed_ns = FAAS_FOREVER};

faas_status faasi_limit_open(const faas_allocator *allocator, const faas_limiter *how,
                             uint32_t width, uint64_t limit_ns, uint64_t now,
                             struct faasi_limit **out)
{
    struct faasi_limit *limit = faasi_alloc_zeroed(allocator, sizeof *limit);
    faas_status status;

    *out = NULL;
    if (limit == NULL)
        return faasi_fail(FAAS_ENOMEM, "limiter: no memory");
    status = faasi_admission_init(&limit->admission, how == NULL ? &usual : how, width,
                                  limit_ns, now);
    if (status == FAAS_OK && how != NULL)
        status = faasi_options_import(&limit->given, sizeof limit->given, how, "limiter");
    if (status != FAAS_OK) {
        faasi_limit_close(allocator, limit);
        return status;
    }
    *out = limit;
    return FAAS_OK;
}

void faasi_limit_close(const faas_allocator *allocator, struct faasi_limit *limit)
{
    if (limit != NULL)
        faasi_free(allocator, limit, sizeof *limit);
}

void faasi_limit_retime(struct faasi_limit *limit, uint32_t width, uint64_t limit_ns,
                        uint64_t now)
{
    struct faasi_admission fresh;

    /* It was right once, and the times do not make it wrong. */
    (void)faasi_admission_init(&fresh,
                               faasi_limit_is_given(limit) ? &limit->given : &usual,
                               width, limit_ns, now);
    limit->admission.how = fresh.how;
    faasi_admission_width(&limit->admission, width);
}

bool faasi_limit_is_given(const struct faasi_limit *limit)
{
    return limit != NULL && limit->given.size != 0;
}

bool faasi_limit_counts(const struct faasi_limit *limit)
{
    const faas_limiter *how;

    if (!faasi_limit_is_given(limit))
        return false;
    how = &limit->admission.how;
    switch (how->kind) {
    case FAAS_LIMITER_PREDICTED:
    case FAAS_LIMITER_NONE:
    case FAAS_LIMITER_CODEL_LIFO:
        return how->rate != 0 || how->limit_max < FAASI_ADMISSION_MAX;
    default:
        return true;
    }
}

bool faasi_limit_look(struct faasi_limit *limit, struct faasi_function *f,
                      const faas_clock *clock, struct faasi_admission_sample *sample)
{
    uint64_t calls = 0, ticks = 0;

    for (struct faasi_cell *cell = faasi_cell_first(f); cell != NULL;
         cell = faasi_cell_after(cell)) {
        const struct faasi_counters *c = &cell->counters;

        calls += faasi_read(&c->calls);
        ticks += faasi_read(&c->run_ticks);
    }
    *sample = (struct faasi_admission_sample){.calls = calls - limit->looked_calls};
    if (sample->calls != 0)
        sample->service_ns =
            faasi_ticks_to_ns(clock, (ticks - limit->looked_ticks) / sample->calls);
    limit->looked_calls = calls;
    limit->looked_ticks = ticks;
    return sample->calls != 0;
}
