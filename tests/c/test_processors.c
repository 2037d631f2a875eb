/* SPDX-License-Identifier: BSD-3-Clause
 * Caches, affinity and control groups, from directories like those of the system. */
#define _GNU_SOURCE 1
#include <sched.h>
#include <sys/stat.h>

#include "test.h"

static char root[] = "/tmp/chanconv-XXXXXX";

/* Writes a file below the temporary root; makes the directories on the way. */
static void put(const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + sizeof root; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        mkdir(path, 0777);
    }
    FILE *stream = fopen(path, "w");
    if (CHECK(stream)) {
        fputs(text, stream);
        fclose(stream);
    }
}

static void clear(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s/*", root);
    CHECK(system(command) == 0);
}

static int64_t limit(const char *groups)
{
    char path[300];
    put("groups", groups);
    snprintf(path, sizeof path, "%s/groups", root);
    return cgroup_limit(path, root);
}

static void test_version_2(void)
{
    CHECK(limit("0::/\n") == 0);
    put("cpu.max", "max 100000\n");
    CHECK(limit("0::/\n") == 0);
    put("cpu.max", "200000 100000\n");
    CHECK(limit("0::/\n") == 2);
    put("cpu.max", "150000 100000\n");
    CHECK(limit("0::/\n") == 2);
    put("cpu.max", "1000 100000\n");
    CHECK(limit("0::/\n") == 1);
    clear();
}

/* The strictest of a group and those above it. */
static void test_nested_groups(void)
{
    put("a/b/cpu.max", "800000 100000\n");
    put("a/cpu.max", "300000 100000\n");
    CHECK(limit("0::/a/b\n") == 3);
    put("a/b/cpu.max", "100000 100000\n");
    CHECK(limit("0::/a/b\n") == 1);
    CHECK(limit("0::/a\n") == 3);
    CHECK(limit("0::/docker/somewhere/outside\n") == 0);
    put("cpu.max", "500000 100000\n");
    CHECK(limit("0::/docker/somewhere/outside\n") == 5);
    CHECK(limit("0::/with:colon/in/it\n") == 5);
    clear();
}

static void test_version_1(void)
{
    static const char groups[] = "9:name=systemd:/\n3:cpuset:/\n2:cpuacct,cpu:/box\n1:memory:/box\n0::/\n";
    CHECK(limit(groups) == 0);
    put("cpu/box/cpu.cfs_quota_us", "-1\n");
    put("cpu/box/cpu.cfs_period_us", "100000\n");
    CHECK(limit(groups) == 0);
    put("cpu/box/cpu.cfs_quota_us", "400000\n");
    CHECK(limit(groups) == 4);
    put("unified/cpu.max", "300000 100000\n");
    CHECK(limit(groups) == 3);
    CHECK(limit("3:cpuset:/box\n4:cpuacct:/box\n") == 0);
    clear();
}

static void test_nonsense(void)
{
    static const char *const texts[] = {"", "\n", ":", "::", "0:", "0::", "cpu", "1:cpu", "1:cpu:", "0::relative\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK(limit(texts[i]) == 0);
    }
    static const char *const quotas[] = {"", "max", "-5 100000", "100000", "100000 0", "100000 -1", "x y", "0 100000"};
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        put("cpu.max", quotas[i]);
        CHECK(limit("0::/\n") == 0);
    }
    put("cpu.max", "9223372036854775807 1\n");
    CHECK(limit("0::/\n") == INT64_MAX);
    char longest[3000];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "0::/", 4);
    longest[sizeof longest - 1] = '\0';
    limit(longest);
    CHECK(cgroup_limit("/does/not/exist", root) == 0);
    clear();
}

static void test_affinity(void *data)
{
    (void)data;
    cpu_set_t set, one;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    CHECK(allowed_processors() >= 1 && allowed_processors() <= CPU_COUNT(&set));
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &set)) {
            CPU_SET(cpu, &one);
        }
    }
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(allowed_processors() == 1);
}

static void test_sysfs(void)
{
    char path[100];
    int64_t bytes[4] = {0};
    snprintf(path, sizeof path, "%s/cache", root);
    sysfs_caches(path, bytes);
    CHECK(bytes[1] == 0 && bytes[2] == 0 && bytes[3] == 0);
    static const char *const caches[][3] = {
        {"1", "Data", "48K"}, {"1", "Instruction", "32K"}, {"2", "Unified", "1024K"}, {"3", "Unified", "32768K"},
        {"4", "Unified", "1K"}};
    static const char *const files[] = {"level", "type", "size"};
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 3; j++) {
            char name[50];
            snprintf(name, sizeof name, "cache/index%d/%s", i, files[j]);
            put(name, caches[i][j]);
        }
    }
    sysfs_caches(path, bytes);
    CHECK(bytes[0] == 0 && bytes[1] == 48 << 10 && bytes[2] == 1 << 20 && bytes[3] == 32 << 20);
    clear();
}

static void test_info(void)
{
    chanconv_cpu_info info = {.struct_size = sizeof info}, wrong = {.struct_size = sizeof info - 1};
    CHECK(chanconv_get_cpu_info(&info) == CHANCONV_OK);
    CHECK(info.l1_bytes >= 4 << 10 && info.l1_bytes <= info.l2_bytes && info.l2_bytes <= info.l3_bytes);
    CHECK(info.processors == allowed_processors());
    CHECK(chanconv_get_cpu_info(&wrong) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_get_cpu_info(NULL) == CHANCONV_BAD_STRUCT);
}

int main(void)
{
    if (!CHECK(mkdtemp(root))) {
        return report();
    }
    test_version_2();
    test_nested_groups();
    test_version_1();
    test_nonsense();
    CHECK(passes_in_child(test_affinity, NULL, 10));
    test_sysfs();
    test_info();
    rmdir(root);
    return report();
}
