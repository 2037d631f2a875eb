/* SPDX-License-Identifier: BSD-3-Clause
 * The processor: instruction sets and caches. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* __builtin_cpu_supports() asks CPUID and, by XGETBV, whether the operating system saves the registers. */
unsigned cpu_features(void)
{
    unsigned features = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        features |= CPU_AVX2_FMA;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
            features |= CPU_AVX512;
        }
    }
#elif defined(__aarch64__)
    features |= CPU_NEON;
#endif
    return features;
}

/* Bytes of the data cache of each level 1 .. 3; 0 where nothing is known. */
enum { LEVELS = 4 };

#if defined(__x86_64__)
/* Leaf 4 (Intel) and leaf 0x8000001D (AMD) describe cache `index` in the same format; type 0 ends the list. */
static bool add_cpuid_cache(unsigned leaf, unsigned index, int64_t bytes[LEVELS])
{
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    enum { DATA = 1, UNIFIED = 3 };
    if (!__get_cpuid_count(leaf, index, &eax, &ebx, &ecx, &edx) || (eax & 31) == 0) {
        return false;
    }
    unsigned type = eax & 31, level = eax >> 5 & 7;
    if ((type == DATA || type == UNIFIED) && level < LEVELS) {
        int64_t ways = (ebx >> 22) + 1, partitions = (ebx >> 12 & 0x3ff) + 1, line = (ebx & 0xfff) + 1;
        bytes[level] = ways * partitions * line * ((int64_t)ecx + 1);
    }
    return true;
}

static void cpuid_caches(int64_t bytes[LEVELS])
{
    static const unsigned leaf[] = {4, 0x8000001D};
    for (int i = 0; i < 2 && !bytes[1]; i++) {
        for (unsigned index = 0; index < 16 && add_cpuid_cache(leaf[i], index, bytes); index++) {
        }
    }
}
#endif

/* The one value that the format names, from a file of a directory in /sys. */
static bool read_value(const char *directory, int index, const char *file, const char *format, void *value)
{
    char path[200];
    snprintf(path, sizeof path, "%s/index%d/%s", directory, index, file);
    FILE *stream = fopen(path, "re");
    if (!stream) {
        return false;
    }
    bool found = fscanf(stream, format, value) == 1;
    fclose(stream);
    return found;
}

/* Directories index0, index1, ... each describe a cache: level "1", type "Data", size "32K". */
void sysfs_caches(const char *directory, int64_t bytes[LEVELS])
{
    int level;
    long long kilobytes;
    char type[16];
    for (int index = 0; index < 16 && read_value(directory, index, "level", "%d", &level); index++) {
        if (level > 0 && level < LEVELS && read_value(directory, index, "type", "%15s", type) &&
            strcmp(type, "Instruction") != 0 && read_value(directory, index, "size", "%lldK", &kilobytes)) {
            bytes[level] = kilobytes * 1024;
        }
    }
}

static chanconv_cpu_info info;

static void detect(void)
{
    int64_t bytes[LEVELS] = {0};
#if defined(__x86_64__)
    cpuid_caches(bytes);
#endif
    if (!bytes[1]) {
        sysfs_caches("/sys/devices/system/cpu/cpu0/cache", bytes);
    }
    info = (chanconv_cpu_info){
        .struct_size = sizeof info,
        .l1_bytes = bytes[1] > 0 ? bytes[1] : 32 << 10,
        .l2_bytes = bytes[2] > 0 ? bytes[2] : 512 << 10,
        .l3_bytes = bytes[3] > 0 ? bytes[3] : 4 << 20,
        .processors = allowed_processors(),
    };
}

const chanconv_cpu_info *cpu_info(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, detect);
    return &info;
}

chanconv_status chanconv_get_cpu_info(chanconv_cpu_info *result)
{
    if (!result || result->struct_size != sizeof *result) {
        return CHANCONV_BAD_STRUCT;
    }
    *result = *cpu_info();
    return CHANCONV_OK;
}
