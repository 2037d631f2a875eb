# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures: every instruction set by name, threads, dtypes and algorithms."""

import numpy as np
import pytest

import chanconv
from chanconv import _chanconv


def pytest_addoption(parser):
    parser.addoption(
        "--require-isa",
        default="",
        metavar="NAMES",
        help="instruction sets, by commas, whose tests must run: fail rather than skip where the processor lacks one",
    )


def pytest_terminal_summary(terminalreporter):
    """Tests of an instruction set are skipped where the processor lacks it: that shall not go unnoticed."""
    missing = [name for name in _chanconv.isa_compiled() if name not in _chanconv.isa_available()]
    if missing:
        terminalreporter.write_line(f"Compiled in but not run, as this processor lacks it: {', '.join(missing)}")


@pytest.fixture(params=_chanconv.isa_compiled())
def isa(request):
    """Every instruction set that was compiled in, in use for one test."""
    name, before = request.param, _chanconv.isa()
    if name not in _chanconv.isa_available():
        required = request.config.getoption("--require-isa").split(",")
        (pytest.fail if name in required else pytest.skip)(f"this processor has no {name}")
    _chanconv.set_isa(name)
    assert _chanconv.isa() == name
    yield name
    _chanconv.set_isa(before)


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request):
    """The number of threads a call may use."""
    with chanconv.num_threads(request.param):
        yield request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["f32", "f64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture(params=["gemm", "im2col", "auto"])
def algorithm(request):
    """The algorithms that take every problem."""
    return request.param


@pytest.fixture
def strict():
    """Keeps "auto" to algorithms that have the error bound of the direct sum."""
    with chanconv.precision("strict"):
        yield
