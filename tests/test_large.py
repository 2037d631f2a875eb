# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of more than 2^31 elements and 2^32 bytes, held against slices of them.

The input is one lazily zeroed allocation, most of which nobody touches: windows lie far apart. Only the gradient of x is
written whole, and that test wants the memory for it.
"""
import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import chanconv

pytestmark = pytest.mark.skipif(np.intp(0).itemsize < 8, reason="addresses have 32 bits")


def available_bytes():
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 0


def sparse(shape, rows):
    """Small integers in some rows, zeros elsewhere."""
    try:
        x = np.zeros(shape, np.float32)
    except MemoryError:
        pytest.skip("the system does not overcommit memory")
    rng = np.random.default_rng(5)
    for row in rows:
        x[row] = rng.integers(-3, 4, x[row].shape)
    return x


# (H, W, C) and groups, of more than 2^31 elements. Output rows lie STEP rows of x apart, the last one at the end.
CASES = {
    "gemm": ((8191, 1 << 12, 65), 1),
    "depthwise": ((8191, 1 << 12, 65), 65),
    "plane": ((8191, (1 << 18) + 320, 1), 1),
}
SIZE, STEP = 3, 2047


def windows(case):
    """x of a case, its groups, and the first rows of its windows, which alone are not zero."""
    (h, w, c), groups = CASES[case]
    if available_bytes() < 2 << 30:
        pytest.skip("2 GiB of memory are needed")
    tops = range(0, h - SIZE + 1, STEP)
    assert tops[-1] == h - SIZE
    x = sparse((h, w, c), [top + r for top in tops for r in range(SIZE)])
    assert x.size > 1 << 31 and x.nbytes > 1 << 32
    return x, groups, tops


@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="how much memory there is, is not known")
@pytest.mark.parametrize("case", CASES)
def test_forward(case):
    x, groups, tops = windows(case)
    kernel = np.random.default_rng(6).integers(-2, 3, (SIZE, SIZE, x.shape[2] // groups, groups)).astype(np.float32)
    y = chanconv.conv(x, kernel, stride=(STEP, 512), groups=groups)
    assert len(y) == len(tops)
    for i, top in enumerate(tops):
        alone = chanconv.conv(x[top:top + SIZE].copy(), kernel, stride=(1, 512), groups=groups)
        assert alone.any()
        assert_array_equal(y[i], alone[0])


@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="how much memory there is, is not known")
@pytest.mark.parametrize("case", CASES)
def test_gradient_of_the_kernel(case):
    """Sums of small integers, which are exact in any order."""
    x, groups, tops = windows(case)
    kernel_shape = (SIZE, SIZE, x.shape[2] // groups, groups)
    grad_y = np.random.default_rng(8).integers(-2, 3, (len(tops), (x.shape[1] - SIZE) // 512 + 1, groups)).astype(np.float32)
    grad_kernel = chanconv.conv_grad_kernel(grad_y, x, kernel_shape, stride=(STEP, 512), groups=groups)
    alone = [
        chanconv.conv_grad_kernel(grad_y[i:i + 1], x[top:top + SIZE].copy(), kernel_shape, stride=(1, 512), groups=groups)
        for i, top in enumerate(tops)
    ]
    assert all(part.any() for part in alone)
    assert_array_equal(grad_kernel, sum(alone))


def test_gradient_of_x():
    """Written across both bounds, and zeros where no window lies."""
    h, w, c = 1 << 10, 1 << 15, 65
    if available_bytes() < 14 << 30:
        pytest.skip("14 GiB of memory are needed")
    rng = np.random.default_rng(7)
    kernel = rng.integers(-2, 3, (2, 2, c, 4)).astype(np.float32)
    grad_y = rng.integers(-2, 3, (-(-(h - 1) // 2), w // 2, 4)).astype(np.float32)
    grad_x = chanconv.conv_grad_x(grad_y, kernel, (h, w, c), stride=2)
    assert grad_x.size > 1 << 31 and grad_x.nbytes > 1 << 32
    for i in (0, len(grad_y) // 2 - 1, len(grad_y) // 2, len(grad_y) - 1):
        alone = chanconv.conv_grad_x(grad_y[i:i + 1], kernel, (2, w, c), stride=2)
        assert_array_equal(grad_x[2 * i:2 * i + 2], alone)
