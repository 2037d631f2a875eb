/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The Game of Life on a torus. How many neighbours live is a convolution of planes whose padding is the other side:
 *
 *     cc life.c $(pkg-config --cflags --libs chanconv) -o life && ./life
 *
 * with PKG_CONFIG_PATH=$(python -m chanconv --pkgconfig-dir), or with PyPI's pkgconf, which finds chanconv by itself.
 */
#include <chanconv.h>
#include <stdio.h>
#include <string.h>

enum { SIZE = 12 };

typedef float board[SIZE][SIZE];

static chanconv_status step(board cells, chanconv_error *error)
{
    static const float around[3][3] = {{1, 1, 1}, {1, 0, 1}, {1, 1, 1}};
    board neighbours;
    chanconv_conv conv;
    chanconv_plane_init(&conv, CHANCONV_F32, 1, SIZE, SIZE, 3, 3);
    conv.padding_rule = CHANCONV_PAD_SAME;
    conv.padding_mode = CHANCONV_CIRCULAR;
    const chanconv_status status = chanconv_conv_forward(NULL, &conv, cells, around, NULL, neighbours, error);
    for (int i = 0; status == CHANCONV_OK && i < SIZE; i++) {
        for (int j = 0; j < SIZE; j++) {
            cells[i][j] = neighbours[i][j] == 3 || (cells[i][j] && neighbours[i][j] == 2);
        }
    }
    return status;
}

static void show(board cells)
{
    for (int i = 0; i < SIZE; i++) {
        for (int j = 0; j < SIZE; j++) {
            putchar(cells[i][j] ? '#' : '.');
        }
        putchar('\n');
    }
}

int main(void)
{
    /* A glider: after four steps it is where it was, one cell further down and to the right. */
    board cells = {[0][1] = 1, [1][2] = 1, [2][0] = 1, [2][1] = 1, [2][2] = 1}, start;
    chanconv_error error;
    memcpy(start, cells, sizeof start);
    for (int i = 0; i < 4 * SIZE; i++) {
        if (step(cells, &error) != CHANCONV_OK) {
            fprintf(stderr, "%s\n", error.text);
            return 1;
        }
        if (i == 3) {
            printf("After four steps, by chanconv %s:\n", chanconv_version());
            show(cells);
        }
    }
    const int home = memcmp(cells, start, sizeof start) == 0;
    printf("After %d steps it is %s.\n", 4 * SIZE, home ? "home" : "lost");
    return !home;
}
