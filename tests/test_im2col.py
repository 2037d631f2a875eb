# SPDX-License-Identifier: BSD-3-Clause
"""im2col and its adjoint col2im."""

import numpy as np
import pytest
from oracle import Problem, integers, same_bits, sample

import chanconv
from chanconv import reference

PROBLEMS = [p for p in sample(400, seed=41) if p.groups == 1][:200]


def options_of(problem):
    options = problem.options
    del options["groups"]
    return options


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_against_the_reference(problem, dtype):
    x, options = problem.arrays(dtype)[0], options_of(problem)
    expected = reference.im2col(x, (problem.kh, problem.kw), **options)
    out = np.full(expected.shape, np.nan, dtype)
    assert chanconv.im2col(x, (problem.kh, problem.kw), out=out, **options) is out
    assert same_bits(out, expected)  # copies, nothing else


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_col2im_against_the_reference(problem, dtype):
    size, options = (problem.kh, problem.kw), options_of(problem)
    shape = reference.im2col(np.zeros(problem.x_shape), size, **options).shape
    columns = integers(np.random.default_rng(0), shape).astype(dtype)
    out = np.full(problem.x_shape, np.nan, dtype)
    assert chanconv.col2im(columns, problem.x_shape, size, out=out, **options) is out
    np.testing.assert_array_equal(out, reference.col2im(columns, problem.x_shape, size, **options))


@pytest.mark.parametrize("problem", PROBLEMS[:100], ids=str)
def test_im2col_times_the_kernel_is_the_convolution(problem):
    x, kernel, _, _ = problem.arrays(np.float64, integers)
    columns = chanconv.im2col(x, (problem.kh, problem.kw), **options_of(problem))
    product = columns @ kernel.reshape(-1, problem.k)
    np.testing.assert_array_equal(product.reshape(problem.y_shape), chanconv.conv(x, kernel, **problem.options))


@pytest.mark.parametrize("problem", PROBLEMS[:100], ids=str)
def test_col2im_of_im2col_counts(problem):
    """Of ones: how many windows see each cell."""
    size, options = (problem.kh, problem.kw), options_of(problem)
    columns = chanconv.im2col(np.ones(problem.x_shape), size, **options)
    counts = chanconv.col2im(columns, problem.x_shape, size, **options)
    windows = np.zeros(problem.x_shape)
    cells = np.arange(1.0, windows.size + 1).reshape(windows.shape)  # each cell its own number, 0 for padding
    for cell in chanconv.im2col(cells, size, **options).ravel():
        if cell:
            windows.flat[int(cell) - 1] += 1
    np.testing.assert_array_equal(counts, windows)


def test_planes_and_single_images(dtype):
    x = Problem(n=2, c=3).arrays(dtype)[0]
    columns = chanconv.im2col(x, (3, 2), 2, padding=1)
    assert columns.shape == (2, 3 * 4, 3 * 2 * 3)
    assert same_bits(chanconv.im2col(x[1], (3, 2), 2, padding=1), columns[1])
    plane = chanconv.im2col(x[1, ..., 2], (3, 2), 2, padding=1)
    assert same_bits(plane, columns[1].reshape(12, 6, 3)[..., 2].copy())
    assert chanconv.col2im(columns[1], (6, 6, 3), (3, 2), 2, padding=1).shape == (6, 6, 3)
    assert chanconv.col2im(plane, (6, 6), (3, 2), 2, padding=1).shape == (6, 6)
    assert same_bits(chanconv.im2col(x, 3), chanconv.im2col(x, (3, 3)))


@pytest.mark.parametrize("shape", [(0, 5, 5, 2), (2, 5, 5, 0)])
def test_zero_sizes(shape):
    columns = chanconv.im2col(np.ones(shape), 3)
    assert columns.shape == (shape[0], 9, 9 * shape[-1])
    image = chanconv.col2im(columns, shape, 3)
    assert image.shape == shape


def test_nonfinite_values_are_copied():
    x = np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32)
    assert same_bits(chanconv.im2col(x, 1), x.reshape(4, 1))
    columns = chanconv.im2col(x, 2, padding=1)
    assert np.isnan(columns).sum() == 4
    np.testing.assert_array_equal(np.isnan(chanconv.col2im(columns, (2, 2), 2, padding=1)), np.isnan(x))


@pytest.mark.parametrize(
    ("columns", "x_shape", "size", "options", "argument"),
    [
        ((16, 27), (6, 6, 4), 3, {}, "columns"),
        ((16, 27), (7, 6, 3), 3, {}, "columns"),
        ((16, 27), (6, 6, 3), 3, {"stride": 2}, "columns"),
        ((1, 16, 27), (6, 6, 3), 3, {}, "columns"),
        ((16, 27), (2, 6, 6, 3), 3, {}, "columns"),
        ((27,), (6, 6, 3), 3, {}, "columns"),
        ((16, 27), (-6, -6, 3), 3, {}, "x_shape|x"),
        ((16, 27), (6, 6, 3), -3, {}, "kernel_size|kernel"),
        ((16, 27), (6, 6, 3), (0, 3), {}, "kernel_size|kernel"),
        ((16, 27), (6, 6, 3), (7, 3), {}, "kernel_size|kernel"),
        ((16, 27), (6,), 3, {}, "x_shape"),
        ((16, 27), (1, 1, 6, 6, 3), 3, {}, "x_shape"),
    ],
)
def test_bad_arguments_of_col2im(columns, x_shape, size, options, argument):
    with pytest.raises(ValueError, match=rf"^({argument}): "):
        chanconv.col2im(np.ones(columns), x_shape, size, **options)
