/* SPDX-License-Identifier: MIT */
/* machine.c - how much of the machine this process may take. */
#define _GNU_SOURCE // sched_getaffinity()
#include "machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* Reads up to two numbers of a file in a group's folder; UINT64_MAX where there is none:
 * no such file, or "max". A negative one is none. */
static void numbers_in(const char *folder, const char *name, uint64_t numbers[2])
{
    char path[PATH_BYTES], line[64] = "", *at = line, *end;
    int size = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = size < 0 || size >= (int)sizeof path ? NULL : fopen(path, "re");

    numbers[0] = numbers[1] = UINT64_MAX;
    if (file == NULL)
        return;
    (void)!fgets(line, sizeof line, file);
    (void)fclose(file);
    for (int i = 0; i < 2; i++, at = end) {
        long long number = strtoll(at, &end, 10);

        if (end == at)
            return;
        if (number >= 0)
            numbers[i] = (uint64_t)number;
    }
}

/* What a group's folder limits something to; UINT64_MAX: nothing. */
typedef uint64_t group_limit(const char *folder);

static uint64_t memory_v2(const char *folder)
{
    uint64_t numbers[2];

    numbers_in(folder, "memory.max", numbers);
    return numbers[0];
}

static uint64_t memory_v1(const char *folder)
{
    uint64_t numbers[2];

    numbers_in(folder, "memory.limit_in_bytes", numbers);
    return numbers[0];
}

/* Processors for the share of a period, rounded up. */
static uint64_t processors_of(uint64_t quota, uint64_t period)
{
    return quota == UINT64_MAX || period == UINT64_MAX || period == 0
               ? UINT64_MAX
               : quota / period + (quota % period != 0);
}

static uint64_t processors_v2(const char *folder)
{
    uint64_t numbers[2];

    numbers_in(folder, "cpu.max", numbers);
    return processors_of(numbers[0], numbers[1]);
}

static uint64_t processors_v1(const char *folder)
{
    uint64_t quota[2], period[2];

    numbers_in(folder, "cpu.cfs_quota_us", quota);
    numbers_in(folder, "cpu.cfs_period_us", period);
    return processors_of(quota[0], period[0]);
}

/* What is asked about: who tells, in either version, and of which controller. */
struct question {
    group_limit *v2, *v1;
    const char *controller, *mount; /* of version 1 */
};

/* The least limit of a group and those around it. `group` is "/" or "/a/b"; cut. */
static uint64_t limit_of(const char *root, const char *mount, char *group,
                         group_limit *limit)
{
    uint64_t least = UINT64_MAX;
    char folder[PATH_BYTES];
    char *slash;

    for (;;) {
        int size = snprintf(folder, sizeof folder, "%s%s%s", root, mount,
                            strcmp(group, "/") == 0 ? "" : group);
        uint64_t here =
            size < 0 || size >= (int)sizeof folder ? UINT64_MAX : limit(folder);

        if (here < least)
            least = here;
        slash = strrchr(group, '/');
        if (slash == NULL || *group == '\0')
            return least;
        *slash = '\0';
    }
}

/* Whether a list like "cpu,cpuacct" has a name. */
static bool list_has(const char *list, const char *name)
{
    size_t size = strlen(name);

    for (; *list != '\0'; list += *list == ',') {
        size_t length = strcspn(list, ",");

        if (length == size && memcmp(list, name, size) == 0)
            return true;
        list += length;
    }
    return false;
}

/* One line of /proc/self/cgroup: "number:controllers:group". */
static uint64_t limit_by_line(const char *root, char *line,
                              const struct question *question)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');

    if (group == NULL)
        return UINT64_MAX;
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (*controllers == '\0')
        return limit_of(root, "/sys/fs/cgroup", group, question->v2);
    if (list_has(controllers, question->controller))
        return limit_of(root, question->mount, group, question->v1);
    return UINT64_MAX;
}

/* The least limit of all groups that this process is in. */
static uint64_t limit_by_groups(const char *root, const struct question *question)
{
    uint64_t least = UINT64_MAX;
    char line[PATH_BYTES];
    FILE *file;

    (void)snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    file = fopen(line, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        uint64_t limit = limit_by_line(root, line, question);

        if (limit < least)
            least = limit;
    }
    if (file != NULL)
        (void)fclose(file);
    return least;
}

uint64_t faasi_machine_memory(const char *root)
{
    static const struct question question = {memory_v2, memory_v1, "memory",
                                             "/sys/fs/cgroup/memory"};
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t memory =
        pages <= 0 || size <= 0 ? UINT64_MAX : (uint64_t)pages * (uint64_t)size;
    uint64_t limit = limit_by_groups(root, &question);

    if (limit < memory)
        memory = limit;
    return memory == UINT64_MAX ? (uint64_t)1 << 30 : memory;
}

uint32_t faasi_machine_processors(const char *root, bool *quota)
{
    static const struct question question = {processors_v2, processors_v1, "cpu",
                                             "/sys/fs/cgroup/cpu"};
    uint64_t limit = limit_by_groups(root, &question);
    uint32_t count = 1;
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = (uint32_t)CPU_COUNT(&set);
    *quota = limit != UINT64_MAX;
    if (limit < count)
        count = limit == 0 ? 1 : (uint32_t)limit;
    return count;
}
