# SPDX-License-Identifier: BSD-3-Clause
"""P3 and P4: the error of every element is within the bound of its algorithm, in every pass, on values of all kinds."""

import accuracy
import numpy as np
import pytest
from oracle import PASSES, bounded, wider

import chanconv


@pytest.mark.parametrize("algorithm", accuracy.PROBLEMS)
@pytest.mark.parametrize("pass_", PASSES)
@pytest.mark.parametrize("values", accuracy.VALUES, ids=lambda v: v.__name__)
def test_error_is_within_its_bound(values, algorithm, pass_, isa, dtype):
    ratio = accuracy.largest(algorithm, pass_, values, dtype)
    assert ratio is not None
    assert ratio <= 1
    if values is accuracy.integers and algorithm in accuracy.SUMS:
        assert ratio == 0


@pytest.mark.parametrize("values", accuracy.VALUES, ids=lambda v: v.__name__)
def test_the_gradient_of_the_bias(values, isa, dtype):
    """A plain sum over the pixels of all images."""
    for problem in accuracy.PROBLEMS["gemm"]:
        x, kernel, _, grad = values("grad_x", problem, dtype)
        result = chanconv.conv_backward(grad, x, kernel, wrt="bias", **problem.options).bias
        terms = grad.reshape(-1, problem.k).astype(wider(dtype))
        nu = len(terms) * np.finfo(dtype).eps / 2
        assert (abs(result - terms.sum(0)) <= nu / (1 - nu) * abs(terms).sum(0)).all()
        assert values is not accuracy.integers or (result == terms.sum(0)).all()


def test_the_bound_is_near(dtype):
    """It is no idle one: where a 1 swallows all later terms, one sum after the other comes near it."""
    problem = accuracy.GENERAL[1]
    assert (problem.kh, problem.kw, problem.stride) == (1, 1, 1)
    arrays = accuracy.drowning("forward", problem, dtype)
    exact, bound = bounded("forward", problem, arrays)
    plain = np.cumsum(arrays[0] * arrays[1][0, 0, :, 0], axis=-1)[..., -1]
    assert plain.dtype == dtype
    assert 0.95 < np.min(abs(plain - exact[..., 0]) / bound[..., 0]) <= 1
