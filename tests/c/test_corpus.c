/* SPDX-License-Identifier: BSD-3-Clause
 * The committed inputs of the fuzz targets, on every build and machine that the C tests run on. */
#define REPLAY __FILE__
#include "../fuzz/fuzz.c"
