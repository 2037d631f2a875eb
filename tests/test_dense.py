# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions with a single output, as dense layers are: one or a few images by rows of the kernel, more by tiles."""

import numpy as np
import pytest
from oracle import same_bits

import chanconv

# Rows of a kernel around those that are taken at once, passes and runs; columns around vectors, lines and units of work.
ROWS = [(1, 1, 1), (1, 1, 7), (1, 1, 8), (1, 1, 9), (1, 1, 130), (1, 1, 1607), (3, 2, 5), (2, 3, 64), (3, 3, 43)]
COLUMNS = [1, 7, 16, 17, 31, 64, 65, 515]
WIDE = [1024, 4096, 4099, 9000]


def arrays(rows, columns, images, dtype, integer):
    rng = np.random.default_rng(columns)
    kh, kw, channels = rows
    shapes = (images, kh, kw, channels), (*rows, columns), (columns,)
    draw = (lambda shape: rng.integers(-3, 4, shape)) if integer else rng.standard_normal
    return [draw(shape).astype(dtype) for shape in shapes]


def product(x, kernel):
    """The definition, as one product of matrices: quicker than the reference for so many channels."""
    return (x.reshape(len(x), -1) @ kernel.reshape(-1, kernel.shape[-1]))[:, None, None]


@pytest.mark.parametrize("images", [1, 2, 3, 5])
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_integers_are_exact(rows, columns, images, isa, dtype):
    x, kernel, bias = arrays(rows, columns, images, dtype, True)
    expected = product(x, kernel) + bias
    np.testing.assert_array_equal(chanconv.conv(x, kernel, bias=bias), expected)
    np.testing.assert_array_equal(chanconv.conv(x, kernel, bias=bias, activation="relu"), np.maximum(expected, 0))
    np.testing.assert_array_equal(chanconv.conv(x, kernel), product(x, kernel))


@pytest.mark.parametrize("columns", WIDE)
def test_integers_are_exact_where_units_of_work_are_many(columns, isa, dtype, threads):
    x, kernel, bias = arrays((1, 2, 150), columns, 1, dtype, True)
    np.testing.assert_array_equal(chanconv.conv(x, kernel, bias=bias), product(x, kernel) + bias)


@pytest.mark.parametrize("columns", [16, 65, 515, 1024, 4096])
@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_an_image_has_the_bits_that_it_has_among_many(rows, columns, isa, dtype):
    x, kernel, bias = arrays(rows, columns, 12, dtype, False)
    many = chanconv.conv(x, kernel, bias=bias, activation="tanh")
    for first, end in ((0, 1), (4, 6), (6, 9), (9, 12)):
        few = chanconv.conv(x[first:end], kernel, bias=bias, activation="tanh")
        assert same_bits(few, many[first:end])


def test_no_images(isa):
    x, kernel, bias = arrays((1, 1, 8), 16, 0, np.float32, True)
    assert chanconv.conv(x, kernel, bias=bias).shape == (0, 1, 1, 16)
    assert chanconv.explain(x.shape, kernel.shape).workspace_bytes >= 0


def test_no_channels_are_a_sum_of_nothing(isa, dtype):
    x, kernel, bias = arrays((1, 1, 0), 70, 1, dtype, True)
    assert not chanconv.conv(x, kernel).any()
    np.testing.assert_array_equal(chanconv.conv(x, kernel, bias=bias)[0, 0, 0], bias)


def test_what_is_not_finite_shows(isa, dtype):
    x, kernel, _ = arrays((1, 2, 40), 70, 1, dtype, False)
    kernel[0, 1, 39, 69], kernel[0, 0, 0, 0] = np.nan, np.inf
    x[0, 0, 0, 0] = 0
    y = chanconv.conv(x, kernel)[0, 0, 0]
    assert np.isnan(y[[0, 69]]).all() and np.isfinite(y[1:69]).all()


def test_slices_are_read_and_written_where_they_lie(isa, dtype):
    x, kernel, bias = arrays((2, 2, 24), 100, 2, dtype, False)
    wide, out = np.full((2, 2, 2, 50), np.nan, dtype), np.full((2, 1, 1, 130), 7, dtype)
    wide[..., 3:27] = x
    chanconv.conv(wide[..., 3:27], kernel, bias=bias, out=out[..., 10:110])
    assert same_bits(out[..., 10:110].copy(), chanconv.conv(x, kernel, bias=bias))
    assert (out[..., :10] == 7).all() and (out[..., 110:] == 7).all()
