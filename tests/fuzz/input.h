/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A fuzzer's bytes as numbers, contexts and arrays. All targets decode their input with this: most numbers are small, so
 * that most descriptors are of convolutions that exist, and some are anything that 64 bits can be.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/chanconv.h"

#define REQUIRE(condition) require((condition), #condition, __LINE__)

static void require(bool holds, const char *condition, int line)
{
    if (!holds) {
        fprintf(stderr, "line %d: failed: %s\n", line, condition);
        abort();
    }
}

/* ---- Numbers ---------------------------------------------------------------------------------------------------- */

struct input {
    const uint8_t *data;
    size_t left;
};

/* The next byte; 0 from the end on. */
static uint8_t byte(struct input *in) { return in->left ? in->left--, *in->data++ : 0; }

static int64_t wild(struct input *in)
{
    static const int64_t edges[] = {
        INT64_MIN, INT64_MIN + 1, -(INT64_C(1) << 32), INT32_MIN, -2, -1, 0, 1, 255, INT32_MAX - 1, INT32_MAX,
        INT64_C(1) << 31, INT64_C(1) << 32, INT64_C(1) << 40, INT64_C(1) << 61, INT64_C(1) << 62, INT64_MAX / 4,
        INT64_MAX / 3, INT64_MAX / 2, INT64_MAX - 1, INT64_MAX,
    };
    enum { EDGES = sizeof edges / sizeof *edges };
    const uint8_t which = byte(in);
    if (which < 200) {
        return edges[which % EDGES];
    }
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) {
        bits = bits << 8 | byte(in);
    }
    return (int64_t)bits;
}

/* least .. least + count - 1, often the first; or anything. */
static int64_t number(struct input *in, int64_t least, int64_t count)
{
    const uint8_t b = byte(in);
    return b >= 252 ? wild(in) : b < 64 ? least : (int64_t)((uint64_t)least + (uint64_t)((b - 64) % count)); /* may wrap */
}

/* The same for an enumeration: 0 .. count - 1, or any 32 bits. */
static int32_t choice(struct input *in, int count) { return (int32_t)number(in, 0, count); }

/* ---- Contexts --------------------------------------------------------------------------------------------------- */

/* What a context's callbacks did, for all contexts together: one call runs at a time. */
static struct {
    long calls, live; /* of allocate; blocks not released */
    long fail_at;     /* the call of allocate that fails, 1 ..; 0: none */
} memory;

static void *allocate(void *host, size_t bytes)
{
    (void)host;
    if (++memory.calls == memory.fail_at) {
        return NULL;
    }
    void *block = malloc(bytes);
    if (block) {
        memory.live++;
        memset(block, 0xff, bytes < 4096 ? bytes : 4096); /* NaN: workspace is not zero */
    }
    return block;
}

static void release(void *host, void *block, size_t bytes)
{
    (void)host, (void)bytes;
    memory.live--;
    free(block);
}

/* The last item first: items depend on nothing but their number. */
static void backwards(void *host, int64_t count, chanconv_task task, void *task_data)
{
    (void)host;
    while (count-- > 0) {
        task(task_data, count);
    }
}

enum { CONTEXTS = 4 };

/* NULL, a host's memory, and a host's threads, alone and with memory. */
static chanconv_context *context_of(int which)
{
    static chanconv_context *contexts[CONTEXTS];
    static bool made;
    for (int i = 1; i < CONTEXTS && !made; i++) {
        const chanconv_context_options options = {
            .struct_size = sizeof options, .threads = i == 1 ? 1 : 3,
            .parallel_for = i >= 2 ? backwards : NULL,
            .allocate = i % 2 ? allocate : NULL, .release = i % 2 ? release : NULL,
        };
        REQUIRE(chanconv_context_create(&options, &contexts[i]) == CHANCONV_OK);
    }
    if (!made) {
        chanconv_set_num_threads(1);
    }
    made = true;
    return contexts[which % CONTEXTS];
}

/* How a call is made, from one byte: context, instruction set, and whether an allocation fails. */
static chanconv_context *setting(struct input *in)
{
    const uint8_t b = byte(in);
    int isas = 0;
    while (chanconv_isa_available(isas)) {
        isas++;
    }
    REQUIRE(chanconv_set_isa(chanconv_isa_available(b / CONTEXTS % isas)) == CHANCONV_OK);
    memory.calls = 0;
    memory.fail_at = b >= 224 ? 1 + b % 32 / CONTEXTS : 0;
    return context_of(b);
}

/* What holds after every call: blocks are released, and failed allocations are reported as such. True if it succeeded. */
static bool succeeded(chanconv_status status)
{
    const bool failed = memory.fail_at && memory.calls >= memory.fail_at;
    REQUIRE(memory.live == 0);
    REQUIRE(status == (failed ? CHANCONV_NO_MEMORY : CHANCONV_OK));
    memory.fail_at = 0;
    return !failed;
}

/* An error has a status, and a text that begins with the argument's name. */
static void require_refused(chanconv_status status, const chanconv_error *error)
{
    REQUIRE(status != CHANCONV_OK && chanconv_status_string(status)[0]);
    REQUIRE(error->argument && memchr(error->text, 0, sizeof error->text));
    REQUIRE(strncmp(error->text, error->argument, strlen(error->argument)) == 0);
    REQUIRE(memory.live == 0);
    memory.fail_at = 0;
}

/* ---- Arrays ----------------------------------------------------------------------------------------------------- */

/* `count` elements in a block of their own, so that a sanitizer sees the first step beyond it. */
struct array {
    char *block;
    void *data;
    int64_t count;
    chanconv_dtype dtype;
};

static size_t item(chanconv_dtype dtype) { return dtype == CHANCONV_F32 ? sizeof(float) : sizeof(double); }

/* All bytes are 0xff: NaN. skew: elements after an aligned address; what lies before is checked by array_free(). */
static struct array array_new(chanconv_dtype dtype, int64_t count, int skew)
{
    struct array a = {.count = count, .dtype = dtype};
    const size_t before = (size_t)skew * item(dtype), bytes = before + (size_t)count * item(dtype);
    a.block = malloc(bytes);
    memset(a.block, 0xff, bytes);
    a.data = a.block + before;
    return a;
}

static void array_free(struct array *a)
{
    for (const char *p = a->block; p < (char *)a->data; p++) {
        REQUIRE(*p == (char)0xff);
    }
    free(a->block);
}

static double get(const struct array *a, int64_t i)
{
    return a->dtype == CHANCONV_F32 ? (double)((const float *)a->data)[i] : ((const double *)a->data)[i];
}

static void put(struct array *a, int64_t i, double value)
{
    if (a->dtype == CHANCONV_F32) {
        ((float *)a->data)[i] = (float)value;
    } else {
        ((double *)a->data)[i] = value;
    }
}

/* ---- Values ----------------------------------------------------------------------------------------------------- */

/* Where the values of arrays come from: small integers, whose sums are exact; or numbers of many magnitudes. */
struct values {
    uint32_t state;
    bool wide;
};

static uint32_t bits(struct values *values)
{
    values->state = values->state * 1664525u + 1013904223u;
    return values->state >> 8;
}

static double value(struct values *values)
{
    const uint32_t b = bits(values);
    return values->wide ? ldexp((double)(int)(b & 0xffff) - 0x8000, (int)(b >> 16) % 32 - 31) : (double)(b % 7) - 3;
}

static const double odd_values[] = {NAN, INFINITY, -INFINITY, -0.0, 0.0, 1e-310, 1e-40, 3e38, 1e300, -1};
enum { ODD_VALUES = sizeof odd_values / sizeof *odd_values };

/* a is b, or within the bound of it; NaN is NaN, and an infinity only itself. */
static bool near(double a, double b, double bound)
{
    return isnan(b) ? isnan(a) : isinf(b) ? a == b : fabs(a - b) <= bound;
}

#endif
