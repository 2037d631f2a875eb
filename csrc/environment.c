/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The environment variables, read once, at the first call that depends on one. What they ask for and cannot have is
 * ignored; the reason is kept for those who have somewhere to print it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { WARNINGS_MAX = 2, WARNING_BYTES = 200 };

static struct environment env;
static char warning[WARNINGS_MAX][WARNING_BYTES];
static int warnings;

static void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void warn(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(warning[warnings++], WARNING_BYTES, format, values);
    va_end(values);
}

/* A whole number of at least 1 and, if a list is allowed, what follows a comma; 0 for anything else. */
static int parse_threads(const char *text, bool list)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    end += strspn(end, " \t");
    bool whole = end != text && (*end == '\0' || (list && *end == ','));
    return whole && !errno && value >= 1 ? (int)min64(value, THREADS_MAX) : 0;
}

/* OMP_NUM_THREADS may be a list, by nesting level. A bad one is for OpenMP to complain about. */
static void read_threads(void)
{
    const char *own = getenv("CHANCONV_NUM_THREADS"), *omp = getenv("OMP_NUM_THREADS");
    if (own) {
        env.threads = parse_threads(own, false);
        env.threads_source = "CHANCONV_NUM_THREADS";
        if (!env.threads) {
            warn("CHANCONV_NUM_THREADS is ignored: expected a whole number of at least 1, got \"%.40s\"", own);
        }
    }
    if (!env.threads && omp) {
        env.threads = parse_threads(omp, true);
        env.threads_source = "OMP_NUM_THREADS";
    }
}

static void read_isa(void)
{
    const char *isa = getenv("CHANCONV_ISA");
    if (isa) {
        env.isa = available_isa(isa);
        if (!env.isa) {
            warn("CHANCONV_ISA is ignored: \"%.40s\" is not an instruction set of this library and processor; "
                 "the best here is \"%s\"", isa, chanconv_isa_available(0));
        }
    }
}

static void read_all(void)
{
    read_threads();
    read_isa();
}

const struct environment *environment(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_all);
    return &env;
}

const char *chanconv_environment_warning(int index)
{
    environment();
    return index >= 0 && index < warnings ? warning[index] : NULL;
}
