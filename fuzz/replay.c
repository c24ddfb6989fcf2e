/* SPDX-License-Identifier: MIT */
/* replay.c - runs a fuzz harness over the files of a corpus, with any compiler.
 *
 * Each argument is a file or a folder of files. */
#include "fuzz.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int fail(const char *path)
{
    perror(path);
    return -1;
}

/* The input is copied into a block of just its size, so that the address sanitizer sees
 * a read past its end. */
static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    uint8_t *data;
    size_t size;

    if (file == NULL || fstat(fileno(file), &info) != 0)
        return fail(path);
    data = malloc(info.st_size == 0 ? 1 : (size_t)info.st_size);
    if (data == NULL)
        return fail(path);
    size = fread(data, 1, (size_t)info.st_size, file);
    fclose(file);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

/* Returns how many inputs ran, or -1. */
static int replay(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (dir == NULL)
        return replay_file(path);
    while ((entry = readdir(dir)) != NULL) {
        char *file;
        int more;

        if (entry->d_name[0] == '.')
            continue;
        file = malloc(strlen(path) + strlen(entry->d_name) + 2);
        if (file == NULL)
            abort();
        sprintf(file, "%s/%s", path, entry->d_name);
        more = replay(file);
        free(file);
        if (more < 0) {
            count = more;
            break;
        }
        count += more;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        int more = replay(argv[i]);

        if (more < 0)
            return EXIT_FAILURE;
        count += more;
    }
    printf("%d inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
