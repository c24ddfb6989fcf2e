/* SPDX-License-Identifier: MIT */
/* async_end.c - how an asynchronous invocation ends, and who is told. */
#include "async.h"

#include "bus.h"
#include "heap.h"
#include "letters.h"
#include "mem.h"
#include "state.h"

faas_id faasi_job_id(const struct faasi_job *job)
{
    faas_id id = {job->queue->async->rt->gate.id_high,
                  (uint64_t)1 << 62 |
                      (uint64_t)(faasi_job_generation(job) & 0x3fffffff) << 32 |
                      job->index};

    return id;
}

/* ---- records ---- */

static faas_record record_of(const struct faasi_job *job)
{
    const struct faasi_queue *q = job->queue;
    const struct faasi_job_extra *extra = job->extra;
    uint64_t now = faasi_ticks(q->async->clock);
    faas_record record = {
        .size = sizeof record,
        .request_id = faasi_job_id(job),
        .fn = q->fn,
        .function = q->name,
        .version = q->version,
        .attempts = job->attempts,
        .condition = (faas_condition)job->condition,
        .status = job->status,
        .priority = (faas_priority)(job->level + 1),
        .event = job->event,
        .error = "",
        .submitted_ns = faasi_instant_ns(q->async->clock, job->submitted),
        .ended_ns = faasi_instant_ns(q->async->clock, now),
    };

    record.ended_unix_ns = (int64_t)(record.ended_ns + (uint64_t)q->async->unix_ahead_ns);
    if (job->event != NULL)
        record.request = faas_event_data(job->event);
    if (extra != NULL) {
        if (extra->input.data != NULL)
            record.request = extra->input;
        record.group = extra->group;
        record.tenant = extra->tenant;
    }
    if (job->result != NULL) {
        record.response = faas_result_bytes(job->result);
        record.code = faas_result_code(job->result);
        record.error = faas_result_message(job->result);
    }
    return record;
}

/* A text that grows. */
struct text {
    char *data;
    size_t size, room;
    const faas_allocator *allocator;
};

static int text_write(const char *piece, size_t size, void *user)
{
    struct text *text = user;

    if (text->size + size > text->room) {
        size_t room = text->room == 0 ? 512 : text->room;
        char *data;

        while (room < text->size + size)
            room *= 2;
        data = faasi_grow(text->allocator, text->data, text->room, room);
        if (data == NULL)
            return -1;
        text->data = data;
        text->room = room;
    }
    memcpy(text->data + text->size, piece, size);
    text->size += size;
    return 0;
}

/* Publishes a record. False if somebody who asked for it did not get it. */
static bool record_publish(faas_runtime *rt, const faas_record *record, const char *type,
                           faas_bytes json)
{
    faas_delivery delivery;

    return faasi_bus_publish_json(rt, record->request_id, "libfaas", type, json,
                                  &delivery) == FAAS_OK &&
           delivery.refused == 0;
}

/* Sends a record to where it belongs. False if it could not get there. */
static bool destination_send(faas_runtime *rt, const faas_destination *to,
                             const faas_record *record)
{
    struct text json = {.allocator = rt->allocator};
    bool sent = true;

    if (to->ended != NULL)
        to->ended(record, to->user);
    if (to->fn.generation == 0 && to->event_type == NULL)
        return true;
    sent = faas_record_json(record, text_write, &json) == FAAS_OK;
    if (sent && to->fn.generation != 0)
        sent = faas_invoke_async(rt, to->fn, faas_bytes_of(json.data, json.size), NULL,
                                 NULL) == FAAS_OK;
    if (sent && to->event_type != NULL)
        sent = record_publish(rt, record, to->event_type,
                              faas_bytes_of(json.data, json.size));
    faasi_free(rt->allocator, json.data, json.room);
    return sent;
}

/* ---- the end ---- */

/* From here on it has ended for everybody who looks. */
static void end_publish(struct faasi_job *job)
{
    if (!faasi_job_publish(job))
        return;
    if (faasi_async_waits_at_room(job->queue->async))
        faasi_async_wake_room(job->queue->async);
    else
        faasi_futex_wake(&job->state, INT32_MAX);
}

/* Keeps a failure as a dead letter, if the policy wants that. */
static bool letter_keep(struct faasi_async *async, const faas_async *policy,
                        const faas_record *record)
{
    if (record->condition == FAAS_SUCCESS || record->condition == FAAS_CANCELLED ||
        policy->dead_letters == FAAS_OFF)
        return false;
    faasi_letters_put(&async->rt->letters, record);
    return true;
}

/* Ends a job of which somebody is told. */
static void end_loudly(struct faasi_async *async, struct faasi_job *job,
                       struct faasi_ending *followers)
{
    faas_runtime *rt = async->rt;
    struct faasi_async_policy *policy = faasi_queue_policy(job->queue);
    faas_record record = record_of(job);
    /* Before anybody knows, so that who waited for it finds it there. */
    bool kept = letter_keep(async, &policy->of, &record);

    end_publish(job);
    faasi_ending_run(followers);
    if (job->extra != NULL && job->extra->ended != NULL)
        job->extra->ended(&record, job->extra->ended_user);
    if (!destination_send(rt,
                          record.condition == FAAS_SUCCESS ? &policy->of.on_success
                                                           : &policy->of.on_failure,
                          &record) &&
        !kept)
        faasi_letters_put(&rt->letters, &record);
    faasi_async_policy_release(policy);
}

void faasi_async_end(struct faasi_async *async, struct faasi_job *job,
                     faas_condition condition, faas_status status, faas_result *result)
{
    struct faasi_ending followers = {NULL, NULL, NULL};

    job->condition = (uint8_t)condition;
    job->status = status;
    job->result = result;
    if (FAASI_UNLIKELY(job->extra != NULL && job->extra->once != NULL))
        faasi_once_land(async, job, &followers);
    if (FAASI_LIKELY(condition == FAAS_SUCCESS && faasi_job_is_unheard(job))) {
        end_publish(job);
        faasi_ending_run(&followers);
    } else {
        end_loudly(async, job, &followers);
    }
}

/* ---- those that were claimed ---- */

/* What this thread is about to end, the innermost first. */
static _Thread_local struct faasi_ending *ending_here;

static void end_claimed(struct faasi_job *job)
{
    struct faasi_async *async = job->queue->async;

    faasi_async_end(async, job, (faas_condition)job->condition, job->status, job->result);
    faasi_async_unref(async, job);
}

void faasi_ending_run(struct faasi_ending *ending)
{
    struct faasi_job *job;

    if (FAASI_LIKELY(ending->first == NULL))
        return;
    ending->outer = ending_here;
    ending_here = ending;
    while ((job = ending->first) != NULL) {
        ending->first = job->after;
        end_claimed(job);
    }
    ending_here = ending->outer;
}

bool faasi_ending_hasten(struct faasi_job *job)
{
    for (struct faasi_ending *ending = ending_here; ending != NULL;
         ending = ending->outer)
        for (struct faasi_job **at = &ending->first; *at != NULL; at = &(*at)->after)
            if (*at == job) {
                *at = job->after;
                end_claimed(job);
                return true;
            }
    return false;
}
