/* SPDX-License-Identifier: MIT */
/* recall.c - remembered and shared answers. */
#include "recall.h"

#include "batch.h"
#include "hash.h"

/* Calls the function. */
static faas_status run(faas_runtime *rt, struct faasi_desk *desk, struct faasi_call *call,
                       faas_result **result)
{
    if (desk->collects)
        return faasi_batch_invoke(rt, desk, call, result);
    return faasi_invoke_one(rt, desk->function, call, result);
}

/* Whether the caller wants it run now. */
static bool fresh(const struct faasi_call *call)
{
    return call->request->options != NULL && call->request->options->fresh != 0;
}

/* Hands a response over as the result of this call. Returns false without memory: then
 * it was a miss. */
static bool answer(faas_runtime *rt, struct faasi_desk *desk, struct faasi_call *call,
                   const struct faasi_response *response, faas_result **result)
{
    struct faasi_place *place;

    if (result == NULL)
        return true;
    place = faasi_desk_place(desk, &call->place);
    if (place == NULL)
        return false;
    *result = faasi_response_lend(response, place->heap);
    if (*result == NULL)
        return false;
    (*result)->meter.request_id = call->id != NULL ? *call->id : faasi_unseated_id(rt);
    return true;
}

/* ---- flights. Hold: the desk's lock ---- */

static void flight_begin(struct faasi_desk *desk, struct faasi_flight *flight)
{
    flight->epoch = desk->epoch;
    flight->next = desk->flights;
    flight->link = &desk->flights;
    if (flight->next != NULL)
        flight->next->link = &flight->next;
    desk->flights = flight;
}

static void flight_end(struct faasi_flight *flight)
{
    *flight->link = flight->next;
    if (flight->next != NULL)
        flight->next->link = flight->link;
}

static struct faasi_flight *flight_find(struct faasi_desk *desk, uint64_t hash,
                                        faas_bytes key)
{
    struct faasi_flight *f = desk->flights;

    while (f != NULL &&
           (f->hash != hash || f->epoch != desk->epoch || f->key.size != key.size ||
            (key.size != 0 && memcmp(f->key.data, key.data, key.size) != 0)))
        f = f->next;
    return f;
}

static void fellow_join(struct faasi_desk *desk, struct faasi_flight *flight,
                        struct faasi_fellow *fellow)
{
    fellow->next = flight->fellows;
    fellow->link = &flight->fellows;
    if (fellow->next != NULL)
        fellow->next->link = &fellow->next;
    flight->fellows = fellow;
    faasi_bell_list(desk, &fellow->bell);
}

static void fellow_part(struct faasi_fellow *fellow)
{
    *fellow->link = fellow->next;
    if (fellow->next != NULL)
        fellow->next->link = fellow->link;
    fellow->link = NULL;
    faasi_bell_unlist(&fellow->bell);
}

/* ---- running for oneself and others ---- */

/* Ends a flight: `response`, if any, is remembered and given to all who wait. */
static void flight_land(struct faasi_desk *desk, struct faasi_flight *flight,
                        struct faasi_response *response, bool remember)
{
    struct faasi_fellow *fellow, *list = NULL;

    faasi_lock(&desk->lock);
    if (response != NULL && remember && flight->epoch == desk->epoch)
        faasi_responses_put(&desk->responses, response, faasi_ticks(desk->gate->clock));
    flight_end(flight);
    while ((fellow = flight->fellows) != NULL) {
        fellow_part(fellow);
        fellow->response = response == NULL ? NULL : faasi_response_share(response);
        fellow->next = list;
        list = fellow;
    }
    faasi_unlock(&desk->lock);
    while ((fellow = list) != NULL) {
        list = fellow->next;
        faasi_bell_ring(&fellow->bell);
    }
    faasi_response_release(response);
}

/* Whether anybody waits for this flight. */
static bool flight_has_fellows(struct faasi_desk *desk, const struct faasi_flight *flight)
{
    bool has;

    faasi_lock(&desk->lock);
    has = flight->fellows != NULL;
    faasi_unlock(&desk->lock);
    return has;
}

/* Runs the call, the flight having begun, and tells the cache and who waits. */
static faas_status flight_run(faas_runtime *rt, struct faasi_desk *desk,
                              struct faasi_call *call, struct faasi_flight *flight,
                              faas_result **result)
{
    const struct faasi_request *request = call->request;
    struct faasi_request whole = *request;
    struct faasi_response *response = NULL;
    faas_result *out = NULL;
    faas_status status;
    bool answered, remember;

    whole.failures_only = false; // others may want what this caller does not
    call->request = &whole;
    status = run(rt, desk, call, &out);
    call->request = request;
    answered = status == FAAS_OK || status == FAAS_EHANDLER;
    remember = desk->remembers && (status == FAAS_OK ||
                                   (status == FAAS_EHANDLER && desk->remembers_failures));
    if (answered && (remember || flight_has_fellows(desk, flight)))
        response = faasi_response_make(rt->allocator, flight->hash, flight->key,
                                       out->output, out->message, out->code);
    flight_land(desk, flight, response, remember);
    if (result != NULL)
        *result = out;
    else
        faas_result_release(out);
    return status;
}

/* ---- waiting for another call's answer ---- */

/* Sleeps until the flight has landed, or this call may wait no longer. */
static faas_status fellow_wait(struct faasi_desk *desk, struct faasi_fellow *fellow,
                               uint64_t until)
{
    bool late = false;

    if (!faasi_bell_wait(desk, &fellow->bell, until)) {
        faasi_lock(&desk->lock);
        late = fellow->link != NULL;
        if (late)
            fellow_part(fellow);
        faasi_unlock(&desk->lock);
        if (!late)
            (void)faasi_bell_wait(desk, &fellow->bell, UINT64_MAX);
    }
    faasi_bell_fini(&fellow->bell);
    return late ? FAAS_EEXPIRED : FAAS_OK;
}

/* Until when a call may wait. */
static uint64_t deadline_of(const faas_runtime *rt, const struct faasi_desk *desk,
                            struct faasi_call *call)
{
    const faas_clock *clock = rt->gate.clock;

    return faasi_call_deadline(clock, call->request, desk->function, faasi_ticks(clock),
                               call->deadline);
}

/* What a call finds. */
enum finding { REMEMBERED, IN_FLIGHT, MISSING };

/* Looks for an answer, remembered or, if it may be shared, on its way; the call joins the
 * latter. Or its own flight begins. */
static enum finding look(struct faasi_desk *desk, struct faasi_flight *own, bool anew,
                         bool share, struct faasi_response **response,
                         struct faasi_fellow *fellow)
{
    struct faasi_flight *other = NULL;
    enum finding finding = MISSING;

    faasi_lock(&desk->lock);
    *response = NULL;
    if (desk->remembers && !anew)
        *response = faasi_responses_find(&desk->responses, own->hash, own->key,
                                         faasi_ticks(desk->gate->clock));
    if (*response != NULL)
        finding = REMEMBERED;
    else if (share && !anew)
        other = flight_find(desk, own->hash, own->key);
    if (other != NULL && faasi_bell_init(&fellow->bell) == FAAS_OK) {
        fellow->response = NULL;
        fellow_join(desk, other, fellow);
        finding = IN_FLIGHT;
    }
    if (finding == MISSING)
        flight_begin(desk, own);
    faasi_unlock(&desk->lock);
    return finding;
}

static void tell(_Atomic uint64_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

faas_status faasi_recall_invoke(faas_runtime *rt, struct faasi_desk *desk,
                                struct faasi_call *call, faas_result **result)
{
    struct faasi_flight own = {.key = call->request->input};
    bool anew = fresh(call);
    /* On this stack, its answer may be what we are asked for: we must not wait for it. */
    bool share = desk->shares && faasi_context_count(call->parent, desk->function) == 0;
    uint64_t until = 0;

    if ((!desk->remembers && !desk->shares) || call->request->typed)
        return run(rt, desk, call, result);
    own.hash = faasi_hash(own.key.data, own.key.size);
    for (;;) {
        struct faasi_fellow fellow;
        struct faasi_response *response;
        enum finding finding = look(desk, &own, anew, share, &response, &fellow);

        if (finding == MISSING) {
            if (desk->remembers)
                tell(&desk->tally->misses);
            return flight_run(rt, desk, call, &own, result);
        }
        if (finding == IN_FLIGHT) {
            faas_status status;

            if (until == 0)
                until = deadline_of(rt, desk, call);
            status = fellow_wait(desk, &fellow, until);
            if (status != FAAS_OK)
                return status;
            response = fellow.response;
        }
        if (response != NULL) {
            int code = response->code;
            bool told = answer(rt, desk, call, response, result);

            faasi_response_release(response);
            if (told) {
                tell(finding == REMEMBERED ? &desk->tally->hits : &desk->tally->shared);
                return code == 0 ? FAAS_OK : FAAS_EHANDLER;
            }
            anew = true; // no memory for the answer: as if there were none
        }
    }
}
