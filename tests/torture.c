/* SPDX-License-Identifier: MIT */
/* torture.c - every public scenario, with every fault that it can meet.
 *
 *     torture [--system-clock] [scenario [kind [n [once | on]]]]
 *
 * A scenario is run once to count what it asks for, of each kind in faults.h. Then the n-th
 * of these fails, for every n, once and from then on. What must hold each time:
 *
 *     every status is one that the header lists, and that this fault may lead to;
 *     nothing crashes or hangs, no lock stays taken, and a sanitizer has nothing to say;
 *     with the fault gone the same runtime serves plain calls, and the same scenario to its
 *     end; and when it is closed every byte, thread, file, object and lock has come back.
 *
 * Of more than a few hundred indices the first are run, and every k-th after them. With
 * --system-clock only what is on the machine's clock is run, without the processor's
 * counter. */
#include "torture.h"

#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
enum { ALL = 10, SOME = 10, PATIENCE_S = 300 };
#elif defined(FAASI_SANITIZED)
enum { ALL = 200, SOME = 40, PATIENCE_S = 120 };
#else
enum { ALL = 200, SOME = 100, PATIENCE_S = 60 };
#endif

enum { KEPT_MAX = 512, STATUSES_MAX = 4 };

/* What may come of a fault, by its kind, in the order of enum fault_kind. Where the library
 * rides it out it is FAAS_OK. */
static const faas_status consequences[FAULT_KINDS][STATUSES_MAX] = {
    {FAAS_ENOMEM, FAAS_EINIT},              // memory
    {FAAS_ENOMEM, FAAS_EINIT},              // malloc
    {FAAS_ESYSTEM},                         // thread
    {FAAS_ELOAD},                           // load
    {FAAS_ESYSTEM, FAAS_ELOAD, FAAS_EINIT}, // system
    {FAAS_ESYSTEM, FAAS_EINIT},             // sync
    {FAAS_OK},                              // clock
};

/* Which failures of the machine the headers list, by call. A call that is not here never
 * fails for one. */
static const struct contract {
    const char *call;
    faas_status statuses[STATUSES_MAX];
} contracts[] = {
    {"faas_runtime_open", {FAAS_ENOMEM, FAAS_ESYSTEM}},
    {"faas_runtime_keepalive", {FAAS_ENOMEM}},
    {"faas_clock_open_virtual", {FAAS_ENOMEM, FAAS_ESYSTEM}},
    {"faas_clock_open_running", {FAAS_ENOMEM, FAAS_ESYSTEM}},
    {"add", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"add_symbol", {FAAS_ENOMEM, FAAS_ESYSTEM}},
    {"faas_function_register", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"faas_function_replace", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"faas_function_update", {FAAS_ENOMEM, FAAS_EINIT}},
    {"faas_function_publish", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"faas_alias_put", {FAAS_ENOMEM}},
    {"faas_symbol_load", {FAAS_ENOMEM, FAAS_ELOAD, FAAS_ESYSTEM}},
    {"invoke", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"invoke_with", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"invoke_failing", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"invoke_bytes", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"waited", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"submitted", {FAAS_ENOMEM}},
    {"faas_invoke_with", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"faas_invoke", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"faas_call", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"event_of", {FAAS_ENOMEM}},
    {"faas_event_create", {FAAS_ENOMEM}},
    {"faas_subscribe", {FAAS_ENOMEM}},
    {"faas_publish", {FAAS_ENOMEM}},
    {"faas_publish_json", {FAAS_ENOMEM}},
    {"faas_rule_put", {FAAS_ENOMEM, FAAS_ESYSTEM}},
    {"faas_rule_put_with", {FAAS_ENOMEM, FAAS_ESYSTEM}},
    {"faas_ruleset_open", {FAAS_ENOMEM, FAAS_ESYSTEM}},
    {"faas_ruleset_put", {FAAS_ENOMEM}},
    {"faas_ruleset_match", {FAAS_ENOMEM}},
    {"faas_pattern_check", {FAAS_ENOMEM}},
    {"faas_pattern_explain", {FAAS_ENOMEM, FAAS_ESYSTEM}},
    {"submit", {FAAS_ENOMEM}},
    {"faas_invoke_async", {FAAS_ENOMEM}},
    {"faas_invoke_async_many", {FAAS_ENOMEM}},
    {"faas_invocation_wait", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"faas_poll_fd", {FAAS_ENOMEM, FAAS_ESYSTEM}},
    {"faas_letters_list", {FAAS_ENOMEM}},
    {"faas_letters_redrive", {FAAS_ENOMEM}},
    {"faas_describe_json", {FAAS_ENOMEM}},
    {"faas_prometheus", {FAAS_ENOMEM}},
    {"faas_replay_open", {FAAS_ENOMEM}},
    {"faas_replay_run", {FAAS_ENOMEM}},
    {"faas_replay_limits", {FAAS_ENOMEM}},
    {"faas_overload_run", {FAAS_ENOMEM}},
    {"faas_model_register", {FAAS_ENOMEM, FAAS_EINIT, FAAS_ESYSTEM}},
    {"faas_model_describe", {FAAS_ENOMEM, FAAS_ELOAD}},
};

struct torture w;

static const struct scenario *const rooms[] = {torture_calls, torture_events,
                                               torture_async, torture_around};

/* The run that is under way. */
static struct run {
    const struct scenario *scenario;
    enum fault_kind kind;
    unsigned fail_at; /* 0: it is clean */
    bool from_then_on;
    bool over; /* nothing fails any more, and what has failed excuses nothing */
    faas_fn fns[KEPT_MAX];
    faas_event *events[KEPT_MAX];
    faas_invocation jobs[KEPT_MAX];
    size_t fn_count, event_count, job_count;
} now;

/* ---- what a scenario says ---- */

bool torture_struck(void)
{
    return now.fail_at != 0 && !now.over && atomic_load(&faults[now.kind].failures) != 0;
}

static bool is_among(faas_status status, const faas_status statuses[STATUSES_MAX])
{
    for (int i = 0; i < STATUSES_MAX; i++)
        if (statuses[i] != FAAS_OK && statuses[i] == status)
            return true;
    return false;
}

static bool is_listed(faas_status status, const char *call)
{
    size_t size = strcspn(call, "(");

    for (size_t i = 0; i < sizeof contracts / sizeof contracts[0]; i++)
        if (strlen(contracts[i].call) == size &&
            memcmp(contracts[i].call, call, size) == 0)
            return is_among(status, contracts[i].statuses);
    return false;
}

bool torture_tried(faas_status status, const char *call, const char *file, int line)
{
    bool fine = status == FAAS_OK || (torture_struck() && is_listed(status, call) &&
                                      is_among(status, consequences[now.kind]));

    REQUIRE(fine, "%s:%d: %s is %s: %s", file, line, call, faas_status_name(status),
            faas_error_text());
    return status == FAAS_OK;
}

void keep_fn(faas_fn fn)
{
    if (fn.generation != 0) {
        REQUIRE_THAT(now.fn_count < KEPT_MAX);
        now.fns[now.fn_count++] = fn;
    }
}

faas_status add(const faas_function *function, faas_fn *fn)
{
    faas_status status = faas_function_register(w.rt, function, fn);

    REQUIRE_THAT((status == FAAS_OK) == (fn->generation != 0));
    keep_fn(*fn);
    return status;
}

faas_status add_symbol(const char *name, const char *signature, void (*symbol)(void),
                       faas_fn *fn)
{
    faas_status status = faas_symbol_register(w.rt, name, signature, symbol, NULL, fn);

    REQUIRE_THAT((status == FAAS_OK) == (fn->generation != 0));
    keep_fn(*fn);
    return status;
}

faas_status event_of(const faas_event_options *options, faas_event **event)
{
    faas_event_options mine = *options;
    faas_status status;

    if (mine.allocator == NULL)
        mine.allocator = &w.alloc;
    status = faas_event_create(&mine, event);
    REQUIRE_THAT((status == FAAS_OK) == (*event != NULL));
    if (status == FAAS_OK) {
        REQUIRE_THAT(now.event_count < KEPT_MAX);
        now.events[now.event_count++] = *event;
    }
    return status;
}

void keep_job(faas_invocation job)
{
    if (job.generation != 0) {
        REQUIRE_THAT(now.job_count < KEPT_MAX);
        now.jobs[now.job_count++] = job;
    }
}

faas_status submit(faas_fn fn, const char *input, const faas_submit_options *options,
                   faas_invocation *job)
{
    faas_invocation mine;
    faas_status status = faas_invoke_async(w.rt, fn, faas_str(input), options, &mine);

    REQUIRE_THAT((status == FAAS_OK) == (mine.generation != 0));
    keep_job(mine);
    if (job != NULL)
        *job = mine;
    return status;
}

static faas_status called(faas_status status, faas_result *result, int code)
{
    REQUIRE_THAT((result != NULL) == (status == FAAS_OK || status == FAAS_EHANDLER ||
                                      status == FAAS_ETIMEDOUT));
    if (status == FAAS_EHANDLER) {
        int came = faas_result_code(result);

        REQUIRE(came == FAAS_ENOMEM || (code != 0 && came == code),
                "the handler failed with %d: %s", came, faas_result_message(result));
        status = came == code ? FAAS_OK : FAAS_ENOMEM;
    }
    if (result != NULL)
        (void)faas_result_bytes(result);
    faas_result_release(result);
    return status;
}

faas_status invoke(faas_fn fn, const char *input)
{
    return invoke_failing(fn, input, 0);
}

faas_status invoke_with(faas_fn fn, const char *input, const faas_invoke_options *options)
{
    faas_result *result;
    faas_status status = faas_invoke_with(w.rt, fn, faas_str(input), options, &result);

    return called(status, result, 0);
}

faas_status invoke_bytes(faas_fn fn, faas_bytes input)
{
    faas_result *result;
    faas_status status = faas_invoke(w.rt, fn, input, 0, &result);

    return called(status, result, 0);
}

faas_status waited(faas_invocation job)
{
    faas_result *result;
    faas_status status = faas_invocation_wait(w.rt, job, FAAS_FOREVER, &result);

    return called(status, result, 0);
}

faas_status invoke_failing(faas_fn fn, const char *input, int code)
{
    faas_result *result;
    faas_status status = faas_invoke(w.rt, fn, faas_str(input), 0, &result);

    return called(status, result, code);
}

faas_function_stats stats_of(faas_fn fn)
{
    faas_function_stats stats = {.size = sizeof stats};

    (void)TRIED(faas_function_stats_get(w.rt, fn, &stats, NULL));
    return stats;
}

faas_async_stats async_stats(void)
{
    static const faas_fn all;
    faas_async_stats stats = {.size = sizeof stats};

    (void)TRIED(faas_async_stats_get(w.rt, all, &stats));
    return stats;
}

faas_status run_for(uint64_t ns)
{
    return faas_run_until(w.rt, faas_clock_now(w.clock) + ns, NULL);
}

/* ---- handlers ---- */

int answers(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 0;
}

int echoes(faas_context *ctx, faas_bytes input)
{
    return faas_reply(ctx, input);
}

int wants(faas_context *ctx, faas_bytes input)
{
    if (faas_alloc(ctx, 100) == NULL || faas_alloc(ctx, 30000) == NULL ||
        faas_alloc(ctx, (1 << 20) + 1) == NULL || faas_instance_alloc(ctx, 20000) == NULL)
        return FAAS_ENOMEM;
    if (faas_reply(ctx, input) != 0 || faas_reply_printf(ctx, "%20000d", 7) != 0)
        return FAAS_ENOMEM;
    return 0;
}

int fails(faas_context *ctx, faas_bytes input)
{
    return faas_fail(ctx, 7, "no: %.*s", (int)input.size,
                     input.size == 0 ? "" : (const char *)input.data);
}

int init_wants(faas_context *ctx, void **state)
{
    unsigned char *mine = faas_instance_alloc(ctx, 50000);

    *state = mine;
    if (mine == NULL || faas_alloc(ctx, 50000) == NULL)
        return FAAS_ENOMEM;
    mine[49999] = 7;
    return 0;
}

void init_wants_close(void *state, void *user)
{
    (void)user;
    REQUIRE_THAT(state != NULL && ((unsigned char *)state)[49999] == 7);
}

int drops(const char *text, size_t size, void *user)
{
    (void)user;
    REQUIRE_THAT(size > 0 && text[0] != '\0');
    return 0;
}

/* ---- a run ---- */

/* Names it, with what can be called while the program dies. */
static void name_run(void)
{
    static const char first[] = "run it again by: torture ";
    char number[16];
    size_t at = sizeof number;
    unsigned left = now.fail_at;

    if (now.scenario == NULL)
        return;
    (void)!write(STDERR_FILENO, first, sizeof first - 1);
    (void)!write(STDERR_FILENO, now.scenario->name, strlen(now.scenario->name));
    if (now.fail_at != 0) {
        number[--at] = ' ';
        for (; left != 0; left /= 10)
            number[--at] = (char)('0' + left % 10);
        number[--at] = ' ';
        (void)!write(STDERR_FILENO, " ", 1);
        (void)!write(STDERR_FILENO, fault_names[now.kind], strlen(fault_names[now.kind]));
        (void)!write(STDERR_FILENO, number + at, sizeof number - at);
        (void)!write(STDERR_FILENO, now.from_then_on ? "on" : "once",
                     now.from_then_on ? 2 : 4);
    }
    (void)!write(STDERR_FILENO, "\n", 1);
}

static void on_signal(int signal)
{
    static const char hangs[] = "it hangs\n";

    if (signal == SIGALRM)
        (void)!write(STDERR_FILENO, hangs, sizeof hangs - 1);
    name_run();
    (void)raise(signal); // as it would have ended: the handler was for once
}

static void world_open(const struct scenario *s)
{
    w = (struct torture){.alloc = faulty_allocator(&faults[FAULT_MEMORY])};
    w.as = s->options;
    w.as.size = sizeof w.as;
    w.as.allocator = &w.alloc;
    if (w.as.seed == 0)
        w.as.seed = 1;
    if (s->alone)
        return;
    if (!s->real) {
        REQUIRE_THAT(faas_clock_open_virtual(1000 * SEC, &w.alloc, &w.clock) == FAAS_OK);
        w.as.clock = w.clock;
    }
    REQUIRE_THAT(faas_runtime_open(&w.rt, &w.as) == FAAS_OK);
}

/* Ends what a scenario made, and undoes what it changed. Of functions the last ones first:
 * an alias before what it points to. */
static void tidy(void)
{
    while (now.job_count > 0)
        faas_invocation_release(w.rt, now.jobs[--now.job_count]);
    while (now.fn_count > 0) {
        faas_status status = faas_function_unregister(w.rt, now.fns[--now.fn_count]);

        REQUIRE(status == FAAS_OK || status == FAAS_ENOENT, "%s", faas_error_text());
    }
    while (now.event_count > 0)
        faas_event_release(now.events[--now.event_count]);
    if (w.rt == NULL)
        return;
    faas_runtime_budget(w.rt, w.as.memory_bytes);
    REQUIRE_THAT(faas_runtime_limit(w.rt, FAAS_UNLIMITED) == FAAS_OK);
    REQUIRE_THAT(faas_letters_purge(w.rt, NULL, NULL) == FAAS_OK);
}

static void world_close(void)
{
    faults_arm(FAULT_MEMORY, 1, true); // it needs none, but for what workers still do
    if (w.rt != NULL)
        REQUIRE_THAT(faas_runtime_close(w.rt) == FAAS_OK);
    faas_clock_close(w.clock);
    REQUIRE_THAT(now.scenario->real || atomic_load(&faults[FAULT_MEMORY].failures) == 0);
    faults_disarm(NULL);
    for (int i = 0; i < FAULT_KINDS; i++) {
        size_t left = atomic_load(&faults[i].live_blocks);

        REQUIRE(i == FAULT_MALLOC || left == 0, "%zu of %s are left", left,
                fault_names[i]);
    }
    REQUIRE_THAT(atomic_load(&faults[FAULT_MEMORY].live_bytes) == 0);
}

/* The runtime does plain things, whatever happened to it: with one seat, which nobody may
 * have kept. Nothing is counted that is not there. */
static void must_be_usable(void)
{
    faas_keepalive_stats held = {.size = sizeof held};
    faas_async_stats queued;
    faas_delivery delivery;
    faas_result *result;
    faas_invocation job;
    uint64_t on;
    faas_fn fn;

    if (w.rt == NULL)
        return;
#define USABLE(x) REQUIRE(x, "the runtime is not usable: %s", faas_error_text())
    USABLE(faas_runtime_limit(w.rt, 1) == FAAS_OK);
    USABLE(faas_function_register(
               w.rt, FAAS_FUNCTION(.name = "usable", .handler = echoes), &fn) == FAAS_OK);
    USABLE(faas_invoke(w.rt, fn, faas_str("x"), 0, &result) == FAAS_OK);
    USABLE(faas_result_bytes(result).size == 1);
    faas_result_release(result);
    USABLE(faas_subscribe(w.rt, fn, FAAS_ON(.type = "usable"), &on) == FAAS_OK);
    USABLE(faas_publish_json(w.rt, "/s", "usable", "1", &delivery) == FAAS_OK);
    USABLE(delivery.matched == 1 && delivery.ran == 1);
    USABLE(faas_unsubscribe(w.rt, on) == FAAS_OK);
    USABLE(faas_invoke_async(w.rt, fn, faas_str("y"), NULL, &job) == FAAS_OK);
    USABLE(faas_invocation_wait(w.rt, job, FAAS_FOREVER, NULL) == FAAS_OK);
    faas_invocation_release(w.rt, job);
    USABLE(stats_of(fn).invocations == 3 && stats_of(fn).concurrency == 0);
    USABLE(faas_describe_json(w.rt, drops, NULL) == FAAS_OK);
    USABLE(faas_function_unregister(w.rt, fn) == FAAS_OK);
    USABLE(faas_runtime_limit(w.rt, FAAS_UNLIMITED) == FAAS_OK);
    USABLE(faas_keepalive_stats_get(w.rt, &held) == FAAS_OK);
    REQUIRE(held.instances == 0 && held.held_bytes == 0,
            "%u instances hold %llu bytes, and there is no function", held.instances,
            (unsigned long long)held.held_bytes);
    queued = async_stats();
    REQUIRE(now.scenario->real ||
                (queued.queued == 0 && queued.queued_bytes == 0 && queued.running == 0),
            "%llu invocations are queued, of %llu bytes, and %u run, and there is no "
            "function",
            (unsigned long long)queued.queued, (unsigned long long)queued.queued_bytes,
            queued.running);
}

/* Runs a scenario with a fault, and then as if there had been none. Whether it struck. */
static bool run_one(const struct scenario *s, enum fault_kind kind, unsigned fail_at,
                    bool from_then_on, unsigned calls[FAULT_KINDS])
{
    bool struck;

    now = (struct run){
        .scenario = s, .kind = kind, .fail_at = fail_at, .from_then_on = from_then_on};
    (void)alarm(PATIENCE_S);
    world_open(s);
    faults_arm(kind, fail_at, from_then_on);
    s->run();
    faults_disarm(calls);
    struck = torture_struck();
    now.over = true;
    tidy();
    must_be_usable();
    if (fail_at != 0) {
        s->run();
        tidy();
        must_be_usable();
    }
    world_close();
    (void)alarm(0);
    return struck;
}

/* What a run in another process tells. */
struct told {
    unsigned calls[FAULT_KINDS];
    bool struck, over;
};

/* The same, for a scenario that is the first to use the library in its process. */
static bool run_first(const struct scenario *s, enum fault_kind kind, unsigned fail_at,
                      bool from_then_on, unsigned calls[FAULT_KINDS])
{
    struct told *told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ended;
    bool struck;
    pid_t child;

    REQUIRE_THAT(told != MAP_FAILED);
    now = (struct run){
        .scenario = s, .kind = kind, .fail_at = fail_at, .from_then_on = from_then_on};
    child = fork();
    REQUIRE_THAT(child >= 0);
    if (child == 0) {
        told->struck = run_one(s, kind, fail_at, from_then_on, told->calls);
        told->over = true;
        exit(EXIT_SUCCESS);
    }
    REQUIRE_THAT(waitpid(child, &ended, 0) == child);
    struck = told->struck;
    if (calls != NULL)
        memcpy(calls, told->calls, sizeof told->calls);
    if (!told->over)
        exit(EXIT_FAILURE); // it has said why
    REQUIRE(ended == 0, "the process ended with %d: it has leaked", ended);
    (void)munmap(told, sizeof *told);
    return struck;
}

static bool run(const struct scenario *s, enum fault_kind kind, unsigned fail_at,
                bool from_then_on, unsigned calls[FAULT_KINDS])
{
    return (s->first ? run_first : run_one)(s, kind, fail_at, from_then_on, calls);
}

/* ---- all of them ---- */

static struct {
    const char *scenario, *kind, *mode;
    unsigned fail_at;
    bool system_clock;
} wanted; /* 0 or NULL: every one */

static struct {
    unsigned scenarios, indices, left_out;
} totals;

/* Defined by sanitizers that look for leaks. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void must_not_leak(void)
{
    if (__lsan_do_recoverable_leak_check != NULL &&
        __lsan_do_recoverable_leak_check() != 0) {
        name_run();
        exit(EXIT_FAILURE);
    }
}

/* The index after `n` of about `count`. */
static unsigned index_after(unsigned n, unsigned count)
{
    return n < ALL || count <= ALL ? n + 1 : n + 1 + (count - ALL) / SOME;
}

/* Lets each call of one kind fail. With threads there may be more or fewer of them than
 * there were: it goes on until none failed that was not there. */
static void starve(const struct scenario *s, enum fault_kind kind, unsigned count,
                   bool from_then_on)
{
    bool struck = true;

    for (unsigned n = 1; n <= count || (struck && n < 2 * count + 20);) {
        unsigned next = index_after(n, count);

        if (wanted.fail_at == 0 || wanted.fail_at == n) {
            struck = run(s, kind, n, from_then_on, NULL);
            if (struck) {
                totals.indices++;
                totals.left_out += next - n - 1;
            }
            if (wanted.kind != NULL) // who looks for something looks at each
                must_not_leak();
        }
        n = wanted.fail_at > n ? wanted.fail_at : next;
    }
}

static void torture(const struct scenario *s)
{
    unsigned calls[FAULT_KINDS], before = totals.indices;
    struct timespec begun, ended;

    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    (void)run(s, FAULT_MEMORY, 0, false, calls);
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        if (calls[kind] == 0 ||
            (wanted.kind != NULL && strcmp(wanted.kind, fault_names[kind]) != 0))
            continue;
        for (int on = 0; on < (s->waits && kind == FAULT_CLOCK ? 1 : 2); on++)
            if (wanted.mode == NULL || (strcmp(wanted.mode, "on") == 0) == (on == 1))
                starve(s, (enum fault_kind)kind, calls[kind], on == 1);
    }
    if (!s->first)
        must_not_leak();
    (void)clock_gettime(CLOCK_MONOTONIC, &ended);
    totals.scenarios++;
    printf("%-28s", s->name);
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        printf(" %s %u", fault_names[kind], calls[kind]);
    printf(": %u runs, %.1f s\n", totals.indices - before,
           (double)(ended.tv_sec - begun.tv_sec) +
               (double)(ended.tv_nsec - begun.tv_nsec) / 1e9);
    (void)fflush(stdout); // or children would write it again
}

/* What the library does once in a process is behind it. */
static void library_use(void)
{
    faas_runtime *rt;

    /* Whether the counter can be trusted stands in a file. */
    faults_arm(FAULT_SYSTEM, wanted.system_clock, true);
    (void)faas_clock_now(NULL);
    faults_disarm(NULL);

    REQUIRE_THAT(faas_runtime_open(&rt, NULL) == FAAS_OK);
    REQUIRE_THAT(faas_runtime_close(rt) == FAAS_OK);
}

int main(int argc, char **argv)
{
    struct sigaction ends = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    if (argc > 1 && strcmp(argv[1], "--system-clock") == 0) {
        wanted.system_clock = true;
        argc--;
        argv++;
    }
    for (int i = 0; i < argc - 1 && i < 4; i++)
        switch (i) {
        case 0:
            wanted.scenario = argv[1];
            break;
        case 1:
            wanted.kind = argv[2];
            break;
        case 2:
            wanted.fail_at = (unsigned)strtoul(argv[3], NULL, 10);
            break;
        default:
            wanted.mode = argv[4];
        }
    /* Blocks of a megabyte come and go by the thousand: not from the kernel each time. */
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    (void)sigaction(SIGABRT, &ends, NULL);
    (void)sigaction(SIGALRM, &ends, NULL);
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(name_run);
    } else {
        (void)sigaction(SIGSEGV, &ends, NULL);
        (void)sigaction(SIGBUS, &ends, NULL);
        (void)sigaction(SIGFPE, &ends, NULL);
    }
    /* Those that are the first to use the library come first: afterwards it was used. */
    for (int first = 1; first >= 0; first--) {
        if (first == 0)
            library_use();
        for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
            for (const struct scenario *s = rooms[i]; s->name != NULL; s++)
                if (s->first == (first == 1) && (!wanted.system_clock || s->real) &&
                    (wanted.scenario == NULL || strcmp(wanted.scenario, s->name) == 0))
                    torture(s);
    }
    printf("%u scenarios, %u faults; of the indices %u were left out\n", totals.scenarios,
           totals.indices, totals.left_out);
    return totals.scenarios > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
