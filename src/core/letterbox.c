/* SPDX-License-Identifier: MIT */
/* letterbox.c - dead letters looked at, sent again, thrown away.
 *
 * Layer: 3 path. */
#include "grace.h"
#include "mem.h"
#include "state.h"

/* Begins a call: reads the filter, and keeps the runtime. */
static faas_status letters_visit(faas_runtime *rt, const faas_letter_filter *filter,
                                 faas_letter_filter *known)
{
    static const faas_letter_filter none = {.size = sizeof none};
    faas_status status;
    bool visitor;

    *known = none;
    status = faasi_options_import(known, sizeof *known, filter, "letter filter");
    if (status != FAAS_OK)
        return status;
    if (known->most == 0)
        known->most = UINT64_MAX;
    faasi_read_enter();
    visitor = faasi_async_visit(&rt->async);
    faasi_read_leave();
    return visitor ? FAAS_OK : FAAS_ECLOSED;
}

/* The next letter, instead of the one before, which is released. */
static struct faasi_letter *letters_step(faas_runtime *rt,
                                         const faas_letter_filter *filter,
                                         struct faasi_letter *before)
{
    struct faasi_letter *letter = faasi_letters_next(&rt->letters, filter, before);

    if (before != NULL)
        faasi_letter_release(&rt->letters, before);
    return letter;
}

faas_status faas_letters_list(faas_runtime *rt, const faas_letter_filter *filter,
                              faas_letter_visit *visit, void *user, uint64_t *count)
{
    struct faasi_letter *letter = NULL;
    faas_letter_filter known;
    faas_status status = letters_visit(rt, filter, &known);
    uint64_t shown = 0;
    int end = 0;

    if (count != NULL)
        *count = 0;
    if (status != FAAS_OK)
        return status;
    while (end == 0 && shown < known.most &&
           (letter = letters_step(rt, &known, letter)) != NULL) {
        shown++;
        if (visit != NULL)
            end = visit(&letter->record, user);
    }
    if (letter != NULL)
        faasi_letter_release(&rt->letters, letter);
    faasi_async_unvisit(&rt->async);
    if (count != NULL)
        *count = shown;
    return FAAS_OK;
}

faas_status faas_letters_redrive(faas_runtime *rt, const faas_letter_filter *filter,
                                 faas_fn to, uint64_t *count)
{
    struct faasi_letter *letter = NULL;
    faas_letter_filter known;
    faas_status status = letters_visit(rt, filter, &known);
    uint64_t sent = 0, last;

    if (count != NULL)
        *count = 0;
    if (status != FAAS_OK)
        return status;
    /* What fails again while we are at it comes behind, and is not sent in a circle. */
    faasi_lock(&rt->letters.lock);
    last = rt->letters.number;
    faasi_unlock(&rt->letters.lock);
    while (status == FAAS_OK && sent < known.most &&
           (letter = letters_step(rt, &known, letter)) != NULL &&
           letter->number <= last) {
        /* Out first, so that two who redrive do not send it twice. */
        if (!faasi_letters_remove(&rt->letters, letter))
            continue;
        status = faasi_async_submit_again(
            &rt->async, to.generation == 0 ? letter->record.fn : to, &letter->record);
        if (status == FAAS_OK)
            sent++;
        else
            faasi_letters_restore(&rt->letters, letter);
    }
    if (letter != NULL)
        faasi_letter_release(&rt->letters, letter);
    faasi_async_unvisit(&rt->async);
    if (count != NULL)
        *count = sent;
    return status;
}

faas_status faas_letters_purge(faas_runtime *rt, const faas_letter_filter *filter,
                               uint64_t *count)
{
    struct faasi_letter *letter = NULL;
    faas_letter_filter known;
    faas_status status = letters_visit(rt, filter, &known);
    uint64_t purged = 0;

    if (count != NULL)
        *count = 0;
    if (status != FAAS_OK)
        return status;
    while (purged < known.most && (letter = letters_step(rt, &known, letter)) != NULL)
        purged += faasi_letters_remove(&rt->letters, letter);
    if (letter != NULL)
        faasi_letter_release(&rt->letters, letter);
    faasi_async_unvisit(&rt->async);
    if (count != NULL)
        *count = purged;
    return FAAS_OK;
}
