/* SPDX-License-Identifier: MIT */
/* How much of the machine a process may take, by made up control groups. */
#include "support.h"

#include "core/machine.h"

#include <sys/stat.h>
#include <unistd.h>

static char root[64];

/* Makes a file below `root`, and its folders. */
static void put(const char *path, const char *text)
{
    char full[512];
    FILE *file;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at != NULL;
         at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(full, 0700);
        *at = '/';
    }
    file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void root_open(void)
{
    strcpy(root, "machineXXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void root_close(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
}

static uint64_t physical(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

START_TEST(without_groups_it_is_the_machines)
{
    root_open();
    ck_assert_uint_eq(faasi_machine_memory(root), physical());
    put("/proc/self/cgroup", "garbage\n0::\n\n:::\n3:memory\n0::/none/such\n");
    ck_assert_uint_eq(faasi_machine_memory(root), physical());
    root_close();
    ck_assert_uint_le(faasi_machine_memory(""), physical());
    ck_assert_uint_gt(faasi_machine_memory(""), 0);
}
END_TEST

START_TEST(the_least_of_a_group_and_those_around_it_counts)
{
    root_open();
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    ck_assert_uint_eq(faasi_machine_memory(root), physical());
    put("/sys/fs/cgroup/a/memory.max", "100000\n");
    ck_assert_uint_eq(faasi_machine_memory(root), 100000);
    put("/sys/fs/cgroup/a/b/memory.max", "5000\n");
    ck_assert_uint_eq(faasi_machine_memory(root), 5000);
    put("/sys/fs/cgroup/memory.max", "300\n"); // in a container that is its own root
    ck_assert_uint_eq(faasi_machine_memory(root), 300);
    put("/proc/self/cgroup", "0::/\n");
    ck_assert_uint_eq(faasi_machine_memory(root), 300);
    put("/sys/fs/cgroup/memory.max", "18446744073709551615\n");
    ck_assert_uint_eq(faasi_machine_memory(root), physical());
    root_close();
}
END_TEST

START_TEST(the_old_hierarchy_counts_too)
{
    root_open();
    put("/proc/self/cgroup", "5:cpu:/x\n4:memory:/x\n");
    put("/sys/fs/cgroup/x/memory.max", "7\n"); // not where it is said to be
    put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "4096\n");
    ck_assert_uint_eq(faasi_machine_memory(root), 4096);
    root_close();
}
END_TEST

static uint32_t processors(bool *quota)
{
    return faasi_machine_processors(root, quota);
}

START_TEST(processors_are_those_of_the_affinity_or_what_the_least_quota_pays_for)
{
    uint32_t all;
    bool quota;

    root_open();
    all = processors(&quota);
    ck_assert(!quota);
    ck_assert_uint_ge(all, 1);
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    ck_assert_uint_eq(processors(&quota), all);
    ck_assert(!quota);
    put("/sys/fs/cgroup/a/cpu.max", "900000 100000\n");
    (void)processors(&quota);
    ck_assert(quota); // also where it pays for more than there are
    put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    ck_assert_uint_eq(processors(&quota), 1);
    put("/sys/fs/cgroup/a/cpu.max", "100001 100000\n");
    ck_assert_uint_eq(processors(&quota), all < 2 ? all : 2);
    put("/sys/fs/cgroup/a/cpu.max", "0 100000\n");
    ck_assert_uint_eq(processors(&quota), 1);
    put("/sys/fs/cgroup/a/cpu.max", "100000 0\n");
    ck_assert_uint_eq(processors(&quota), all);
    put("/proc/self/cgroup", "4:cpuset:/x\n3:cpuacct,cpu:/x\n");
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(processors(&quota), all);
    ck_assert(!quota);
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n");
    ck_assert_uint_eq(processors(&quota), 1);
    ck_assert(quota);
    root_close();
}
END_TEST

SUITE_MAIN("machine", without_groups_it_is_the_machines,
           the_least_of_a_group_and_those_around_it_counts, the_old_hierarchy_counts_too,
           processors_are_those_of_the_affinity_or_what_the_least_quota_pays_for)
