/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How many processors this process may use: those of its affinity mask, and no more than the time that its control
 * groups allow, so that in a container with 2 of 64 processors' time there are 2 threads and not 64.
 */
#define _GNU_SOURCE 1
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

enum { PATH_BYTES = 1024, NO_LIMIT = 0 };

/* The first numbers of a file, up to two; returns how many there are. */
static int read_numbers(const char *directory, const char *file, long long number[2])
{
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", directory, file) >= (int)sizeof path) {
        return 0;
    }
    FILE *stream = fopen(path, "re");
    if (!stream) {
        return 0;
    }
    int count = fscanf(stream, "%lld %lld", &number[0], &number[1]);
    fclose(stream);
    return count < 0 ? 0 : count;
}

/* Microseconds of processor time per period: "200000 100000", or "max 100000", in version 2; two files in version 1,
 * where -1 is no limit. A part of a processor counts as one. */
static int64_t group_limit(const char *directory, bool unified)
{
    long long number[2], period[2];
    if (unified) {
        if (read_numbers(directory, "cpu.max", number) != 2) {
            return NO_LIMIT;
        }
    } else {
        if (read_numbers(directory, "cpu.cfs_quota_us", number) < 1 ||
            read_numbers(directory, "cpu.cfs_period_us", period) < 1) {
            return NO_LIMIT;
        }
        number[1] = period[0];
    }
    return number[0] > 0 && number[1] > 0 ? 1 + (number[0] - 1) / number[1] : NO_LIMIT;
}

static int64_t stricter(int64_t a, int64_t b)
{
    return a == NO_LIMIT ? b : b == NO_LIMIT ? a : min64(a, b);
}

/* The strictest limit of a group and those above it. A container may see its own group as the root of the hierarchy and
 * yet be told its path outside: groups that are not there have no limit. */
static int64_t limit_upwards(const char *mount, const char *group, bool unified)
{
    char directory[PATH_BYTES];
    size_t root = strlen(mount);
    if (snprintf(directory, sizeof directory, "%s%s", mount, group) >= (int)sizeof directory) {
        return NO_LIMIT;
    }
    int64_t limit = NO_LIMIT;
    for (char *end = directory + strlen(directory); end; end = strrchr(directory + root, '/')) {
        *end = '\0';
        limit = stricter(limit, group_limit(directory, unified));
    }
    return limit;
}

/* Whether a comma-separated list has the entry "cpu". */
static bool lists_cpu(const char *controllers)
{
    for (const char *entry = controllers; entry; entry = strchr(entry, ',')) {
        entry += *entry == ',';
        if (strcspn(entry, ",") == 3 && strncmp(entry, "cpu", 3) == 0) {
            return true;
        }
    }
    return false;
}

/* A line of /proc/self/cgroup is number:controllers:path; version 2 has the number 0 and no controllers. */
static int64_t line_limit(char *line, const char *root)
{
    static const char *const version_1[] = {"cpu", "cpu,cpuacct"}, *const version_2[] = {".", "unified"};
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) {
        return NO_LIMIT;
    }
    controllers++;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    bool unified = *controllers == '\0';
    if (!unified && !lists_cpu(controllers)) {
        return NO_LIMIT;
    }
    int64_t limit = NO_LIMIT;
    for (int i = 0; i < 2; i++) {
        char mount[PATH_BYTES];
        snprintf(mount, sizeof mount, "%s/%s", root, unified ? version_2[i] : version_1[i]);
        limit = stricter(limit, limit_upwards(mount, path, unified));
    }
    return limit;
}

int64_t cgroup_limit(const char *groups, const char *root)
{
    FILE *stream = fopen(groups, "re");
    if (!stream) {
        return NO_LIMIT;
    }
    int64_t limit = NO_LIMIT;
    char line[PATH_BYTES];
    while (fgets(line, sizeof line, stream)) {
        limit = stricter(limit, line_limit(line, root));
    }
    fclose(stream);
    return limit;
}

static int64_t affinity_processors(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return CPU_COUNT(&set);
    }
#endif
    return sysconf(_SC_NPROCESSORS_ONLN);
}

int allowed_processors(void)
{
    int64_t allowed = stricter(max64(affinity_processors(), 1), cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup"));
    return (int)min64(allowed, INT32_MAX);
}
