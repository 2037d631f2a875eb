/* SPDX-License-Identifier: BSD-3-Clause
 * Status texts, error details, and the compiler. */
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

static const char *const status_text[] = {
    [CHANCONV_OK] = "success",
    [CHANCONV_NO_MEMORY] = "out of memory",
    [CHANCONV_BAD_STRUCT] = "invalid struct: unknown size, or a required pointer is NULL",
    [CHANCONV_BAD_DTYPE] = "invalid dtype",
    [CHANCONV_BAD_X] = "invalid x",
    [CHANCONV_BAD_KERNEL] = "invalid kernel",
    [CHANCONV_BAD_Y] = "invalid y",
    [CHANCONV_BAD_STRIDE] = "invalid stride",
    [CHANCONV_BAD_PADDING] = "invalid padding",
    [CHANCONV_BAD_PADDING_MODE] = "invalid padding mode",
    [CHANCONV_BAD_OUTPUT_PADDING] = "invalid output padding",
    [CHANCONV_BAD_DILATION] = "invalid dilation",
    [CHANCONV_BAD_GROUPS] = "invalid groups",
    [CHANCONV_BAD_ACTIVATION] = "invalid activation",
    [CHANCONV_BAD_ALGORITHM] = "unknown algorithm, or one that cannot compute this shape",
};

const char *chanconv_status_string(chanconv_status status)
{
    size_t index = (size_t)status;
    return index < sizeof status_text / sizeof *status_text ? status_text[index] : "unknown status";
}

const char *chanconv_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

chanconv_status fail(chanconv_error *error, chanconv_status status, const char *argument, const char *format, ...)
{
    if (!error) {
        return status;
    }
    error->argument = argument;
    int used = snprintf(error->text, sizeof error->text, "%s: ", argument);
    if ((size_t)used >= sizeof error->text) { /* or snprintf failed */
        return status;
    }
    va_list values;
    va_start(values, format);
    vsnprintf(error->text + used, sizeof error->text - (size_t)used, format, values);
    va_end(values);
    return status;
}
