/* SPDX-License-Identifier: BSD-3-Clause
 * Status texts and error details. */
#include "test.h"

static void test_status_strings(void)
{
    for (int i = CHANCONV_OK; i <= CHANCONV_BAD_ALGORITHM; i++) {
        const char *text = chanconv_status_string((chanconv_status)i);
        CHECK(text && *text && strcmp(text, "unknown status") != 0);
        for (int j = CHANCONV_OK; j < i; j++) {
            CHECK(strcmp(text, chanconv_status_string((chanconv_status)j)) != 0);
        }
    }
    CHECK(strcmp(chanconv_status_string((chanconv_status)(CHANCONV_BAD_ALGORITHM + 1)), "unknown status") == 0);
    CHECK(strcmp(chanconv_status_string((chanconv_status)1000000), "unknown status") == 0);
}

static void test_details(void)
{
    chanconv_error error;
    CHECK(fail(&error, CHANCONV_BAD_STRIDE, "stride", "expected at least %d, got %d", 1, -3) == CHANCONV_BAD_STRIDE);
    CHECK(strcmp(error.argument, "stride") == 0);
    CHECK(strcmp(error.text, "stride: expected at least 1, got -3") == 0);
    CHECK(fail(NULL, CHANCONV_BAD_X, "x", "%s", "no place for it") == CHANCONV_BAD_X);
}

/* A text that is too long is cut, and stays within the struct. */
static void test_long_text(void)
{
    struct {
        chanconv_error error;
        char after[16];
    } place;
    char name[400], text[1000];
    memset(name, 'n', sizeof name);
    memset(text, 't', sizeof text);
    name[sizeof name - 1] = text[sizeof text - 1] = '\0';
    memset(place.after, 'a', sizeof place.after);
    fail(&place.error, CHANCONV_BAD_X, "x", "%s", text);
    CHECK(strlen(place.error.text) == sizeof place.error.text - 1);
    CHECK(strncmp(place.error.text, "x: ttt", 6) == 0);
    fail(&place.error, CHANCONV_BAD_X, name, "%s", text);
    CHECK(strlen(place.error.text) == sizeof place.error.text - 1);
    CHECK(place.error.argument == name);
    for (size_t i = 0; i < sizeof place.after; i++) {
        CHECK(place.after[i] == 'a');
    }
}

int main(void)
{
    test_status_strings();
    test_details();
    test_long_text();
    return report();
}
