/* SPDX-License-Identifier: MIT */
/* machine.c - how much memory this process may take. */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* The number in a file; UINT64_MAX if there is none: no such group, or "max". */
static uint64_t limit_in(const char *path)
{
    char line[64], *end;
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return limit;
    if (fgets(line, sizeof line, file) != NULL) {
        unsigned long long number = strtoull(line, &end, 10);

        if (end != line)
            limit = number;
    }
    (void)fclose(file);
    return limit;
}

/* The least limit of a group and those around it. `group` is "/" or "/a/b"; cut. */
static uint64_t limit_of(const char *root, const char *mount, char *group,
                         const char *name)
{
    uint64_t least = UINT64_MAX;
    char path[PATH_BYTES];
    char *slash;

    for (;;) {
        int size = snprintf(path, sizeof path, "%s%s%s/%s", root, mount,
                            strcmp(group, "/") == 0 ? "" : group, name);
        uint64_t limit =
            size < 0 || size >= (int)sizeof path ? UINT64_MAX : limit_in(path);

        if (limit < least)
            least = limit;
        slash = strrchr(group, '/');
        if (slash == NULL || *group == '\0')
            return least;
        *slash = '\0';
    }
}

/* One line of /proc/self/cgroup: "number:controllers:group". */
static uint64_t limit_by_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');

    if (group == NULL)
        return UINT64_MAX;
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (*controllers == '\0')
        return limit_of(root, "/sys/fs/cgroup", group, "memory.max");
    if (strcmp(controllers, "memory") == 0)
        return limit_of(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    return UINT64_MAX;
}

uint64_t faasi_machine_memory(const char *root)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t memory =
        pages <= 0 || size <= 0 ? UINT64_MAX : (uint64_t)pages * (uint64_t)size;
    char line[PATH_BYTES];
    FILE *file;

    (void)snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    file = fopen(line, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        uint64_t limit = limit_by_line(root, line);

        if (limit < memory)
            memory = limit;
    }
    if (file != NULL)
        (void)fclose(file);
    return memory == UINT64_MAX ? (uint64_t)1 << 30 : memory;
}
