/* SPDX-License-Identifier: MIT */
/* faults.c - libc behind the switch. A call joins by its WRAP(): the build gives the linker
 * a --wrap for every name that stands in one.
 *
 * Beside failing, these count what is out and must come back, and see that a lock is
 * neither taken twice by one thread, nor ended while somebody has it. */
#define _GNU_SOURCE // sched_getaffinity()
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

const char *const fault_names[FAULT_KINDS] = {"memory", "malloc", "thread", "load",
                                              "system", "sync",   "clock"};
struct faulty faults[FAULT_KINDS];

void faults_arm(enum fault_kind kind, unsigned fail_at, bool from_then_on)
{
    for (int i = 0; i < FAULT_KINDS; i++) {
        atomic_store(&faults[i].fail_at, 0);
        atomic_store(&faults[i].from_then_on, from_then_on);
        atomic_store(&faults[i].calls, 0);
        atomic_store(&faults[i].failures, 0);
    }
    atomic_store(&faults[kind].fail_at, fail_at);
}

void faults_disarm(unsigned calls[FAULT_KINDS])
{
    for (int i = 0; i < FAULT_KINDS; i++) {
        atomic_store(&faults[i].fail_at, 0);
        if (calls != NULL)
            calls[i] = atomic_load(&faults[i].calls);
    }
}

static bool strikes(enum fault_kind kind)
{
    return faulty_strikes(&faults[kind]);
}

static void taken(enum fault_kind kind)
{
    atomic_fetch_add(&faults[kind].live_blocks, 1);
}

static void returned(enum fault_kind kind)
{
    atomic_fetch_sub(&faults[kind].live_blocks, 1);
}

/* A descriptor, or -1. */
static int taken_fd(int fd)
{
    if (fd >= 0)
        taken(FAULT_SYSTEM);
    return fd;
}

static int failed(int error)
{
    errno = error;
    return -1;
}

static void must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "faults: %s\n", what);
        abort();
    }
}

/* The linker gives `name` of all others as __wrap_name, and libc's as __real_name. */
#define WRAP(result, name, parameters)                                                   \
    result __real_##name parameters;                                                     \
    result __wrap_##name parameters;                                                     \
    result __wrap_##name parameters

/* ---- memory of modules ---- */

WRAP(void *, malloc, (size_t size))
{
    return strikes(FAULT_MALLOC) ? NULL : __real_malloc(size);
}

WRAP(void *, calloc, (size_t count, size_t size))
{
    return strikes(FAULT_MALLOC) ? NULL : __real_calloc(count, size);
}

WRAP(void *, realloc, (void *memory, size_t size))
{
    return strikes(FAULT_MALLOC) ? NULL : __real_realloc(memory, size);
}

/* ---- threads ---- */

WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *user))
{
    int error =
        strikes(FAULT_THREAD) ? EAGAIN : __real_pthread_create(thread, attr, run, user);

    if (error == 0)
        taken(FAULT_THREAD);
    return error;
}

WRAP(int, pthread_join, (pthread_t thread, void **value))
{
    int error = __real_pthread_join(thread, value);

    if (error == 0)
        returned(FAULT_THREAD);
    return error;
}

int faults_thread(pthread_t *thread, void *(*run)(void *user), void *user)
{
    return __real_pthread_create(thread, NULL, run, user);
}

void faults_thread_join(pthread_t thread)
{
    must(__real_pthread_join(thread, NULL) == 0, "a thread cannot be joined");
}

/* ---- shared objects: what fails does so in the loader, which has words for it ---- */

WRAP(void *, dlopen, (const char *path, int mode))
{
    void *library = __real_dlopen(strikes(FAULT_LOAD) ? "/nonexistent" : path, mode);

    if (library != NULL && (mode & RTLD_NODELETE) == 0) // that one stays for good
        taken(FAULT_LOAD);
    return library;
}

WRAP(void *, dlsym, (void *library, const char *name))
{
    return __real_dlsym(library, strikes(FAULT_LOAD) ? "no such symbol" : name);
}

WRAP(int, dlclose, (void *library))
{
    returned(FAULT_LOAD);
    return __real_dlclose(library);
}

/* ---- files and descriptors ---- */

WRAP(int, open, (const char *path, int flags, ...))
{
    mode_t mode = 0;

    if ((flags & O_CREAT) != 0) {
        va_list rest;

        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return strikes(FAULT_SYSTEM) ? failed(EMFILE)
                                 : taken_fd(__real_open(path, flags, mode));
}

WRAP(int, close, (int fd))
{
    returned(FAULT_SYSTEM);
    return __real_close(fd);
}

WRAP(ssize_t, read, (int fd, void *bytes, size_t size))
{
    return strikes(FAULT_SYSTEM) ? failed(EIO) : __real_read(fd, bytes, size);
}

WRAP(ssize_t, write, (int fd, const void *bytes, size_t size))
{
    return strikes(FAULT_SYSTEM) ? failed(EIO) : __real_write(fd, bytes, size);
}

WRAP(off_t, lseek64, (int fd, off_t offset, int whence))
{
    return strikes(FAULT_SYSTEM) ? failed(EIO) : __real_lseek64(fd, offset, whence);
}

WRAP(FILE *, fopen, (const char *path, const char *mode))
{
    FILE *file = NULL;

    if (strikes(FAULT_SYSTEM))
        errno = EMFILE;
    else
        file = __real_fopen(path, mode);
    if (file != NULL)
        taken(FAULT_SYSTEM);
    return file;
}

WRAP(int, fclose, (FILE * file))
{
    int error = __real_fclose(file);

    returned(FAULT_SYSTEM);
    return strikes(FAULT_SYSTEM) ? failed(EIO) : error;
}

WRAP(size_t, fread, (void *bytes, size_t size, size_t count, FILE *file))
{
    if (!strikes(FAULT_SYSTEM))
        return __real_fread(bytes, size, count, file);
    errno = EIO;
    return 0;
}

WRAP(size_t, fwrite, (const void *bytes, size_t size, size_t count, FILE *file))
{
    if (!strikes(FAULT_SYSTEM))
        return __real_fwrite(bytes, size, count, file);
    errno = ENOSPC;
    return 0;
}

WRAP(char *, fgets, (char *line, int size, FILE *file))
{
    if (!strikes(FAULT_SYSTEM))
        return __real_fgets(line, size, file);
    errno = EIO;
    return NULL;
}

WRAP(int, fseek, (FILE * file, long offset, int whence))
{
    return strikes(FAULT_SYSTEM) ? failed(ESPIPE) : __real_fseek(file, offset, whence);
}

WRAP(long, ftell, (FILE * file))
{
    return strikes(FAULT_SYSTEM) ? failed(ESPIPE) : __real_ftell(file);
}

WRAP(int, epoll_create1, (int flags))
{
    return strikes(FAULT_SYSTEM) ? failed(EMFILE) : taken_fd(__real_epoll_create1(flags));
}

WRAP(int, epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event))
{
    return strikes(FAULT_SYSTEM) ? failed(ENOSPC)
                                 : __real_epoll_ctl(epoll, what, fd, event);
}

WRAP(int, eventfd, (unsigned count, int flags))
{
    return strikes(FAULT_SYSTEM) ? failed(EMFILE)
                                 : taken_fd(__real_eventfd(count, flags));
}

WRAP(int, timerfd_create, (clockid_t clock, int flags))
{
    return strikes(FAULT_SYSTEM) ? failed(EMFILE)
                                 : taken_fd(__real_timerfd_create(clock, flags));
}

WRAP(int, timerfd_settime,
     (int fd, int flags, const struct itimerspec *at, struct itimerspec *before))
{
    return strikes(FAULT_SYSTEM) ? failed(EINVAL)
                                 : __real_timerfd_settime(fd, flags, at, before);
}

/* ---- what else the kernel is asked ---- */

WRAP(ssize_t, getrandom, (void *bytes, size_t size, unsigned flags))
{
    return strikes(FAULT_SYSTEM) ? failed(ENOSYS) : __real_getrandom(bytes, size, flags);
}

WRAP(long, sysconf, (int name))
{
    return strikes(FAULT_SYSTEM) ? failed(EINVAL) : __real_sysconf(name);
}

WRAP(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set))
{
    return strikes(FAULT_SYSTEM) ? failed(EINVAL)
                                 : __real_sched_getaffinity(pid, size, set);
}

/* Of these only the registration for membarrier(2) can fail: whoever is registered has it
 * for good, and futex(2) may wake for no reason anyhow. */
WRAP(long, syscall, (long number, ...))
{
    long arguments[6];
    va_list rest;

    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_membarrier &&
        (int)arguments[0] == MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED &&
        strikes(FAULT_SYSTEM))
        return failed(ENOSYS);
    return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                          arguments[4], arguments[5]);
}

/* ---- locks, conditions, keys ---- */

/* A thread that takes such a lock twice is told so, and the library asserts that it is
 * not: a lock that an error path left locked shows at once, and does not hang. */
WRAP(int, pthread_mutex_init, (pthread_mutex_t * mutex, const pthread_mutexattr_t *attr))
{
    pthread_mutexattr_t checked;
    int error;

    (void)attr;
    if (strikes(FAULT_SYNC))
        return ENOMEM;
    must(pthread_mutexattr_init(&checked) == 0 &&
             pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK) == 0,
         "no checked lock");
    error = __real_pthread_mutex_init(mutex, &checked);
    (void)pthread_mutexattr_destroy(&checked);
    if (error == 0)
        taken(FAULT_SYNC);
    return error;
}

WRAP(int, pthread_mutex_lock, (pthread_mutex_t * mutex))
{
    int error = __real_pthread_mutex_lock(mutex);

    must(error == 0, "a thread takes a lock that it has");
    return error;
}

WRAP(int, pthread_mutex_unlock, (pthread_mutex_t * mutex))
{
    int error = __real_pthread_mutex_unlock(mutex);

    must(error == 0, "a thread gives back a lock that it has not");
    return error;
}

WRAP(int, pthread_mutex_destroy, (pthread_mutex_t * mutex))
{
    int error = __real_pthread_mutex_destroy(mutex);

    must(error == 0, "a lock is ended that somebody has");
    returned(FAULT_SYNC);
    return error;
}

WRAP(int, pthread_condattr_init, (pthread_condattr_t * attr))
{
    return strikes(FAULT_SYNC) ? ENOMEM : __real_pthread_condattr_init(attr);
}

WRAP(int, pthread_condattr_setclock, (pthread_condattr_t * attr, clockid_t clock))
{
    return strikes(FAULT_SYNC) ? EINVAL : __real_pthread_condattr_setclock(attr, clock);
}

WRAP(int, pthread_cond_init, (pthread_cond_t * cond, const pthread_condattr_t *attr))
{
    int error = strikes(FAULT_SYNC) ? ENOMEM : __real_pthread_cond_init(cond, attr);

    if (error == 0)
        taken(FAULT_SYNC);
    return error;
}

WRAP(int, pthread_cond_destroy, (pthread_cond_t * cond))
{
    returned(FAULT_SYNC);
    return __real_pthread_cond_destroy(cond);
}

WRAP(int, pthread_key_create, (pthread_key_t * key, void (*ended)(void *)))
{
    return strikes(FAULT_SYNC) ? EAGAIN : __real_pthread_key_create(key, ended);
}

WRAP(int, pthread_setspecific, (pthread_key_t key, const void *value))
{
    return strikes(FAULT_SYNC) ? ENOMEM : __real_pthread_setspecific(key, value);
}

/* ---- clocks ---- */

WRAP(int, clock_gettime, (clockid_t clock, struct timespec *now))
{
    return strikes(FAULT_CLOCK) ? failed(EINVAL) : __real_clock_gettime(clock, now);
}
