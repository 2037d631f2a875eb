# SPDX-License-Identifier: BSD-3-Clause
"""The bits are those of golden_bits.json; for any number of threads, and for slices of a batch, those of one thread."""

import json

import golden
import numpy as np
import pytest
from golden import CHUNK, FILE, PROBLEMS, compiler, hashes, result
from oracle import integers, run, same_bits

import chanconv

GOLDEN = json.loads(FILE.read_text())


def test_the_problems_are_those_of_the_file():
    assert len(PROBLEMS) == 500 and len(GOLDEN["integers"]) == 500 // CHUNK
    assert golden.problems() == GOLDEN["problems"], "other problems, not other bits: golden.py --write"


@pytest.mark.parametrize("algorithm", ["auto", "gemm", "im2col"])
def test_integers_have_the_bits_of_every_machine(algorithm, isa, strict):
    assert hashes(integers, algorithm) == GOLDEN["integers"]


def test_real_values_have_the_bits_of_this_instruction_set(isa):
    known = GOLDEN["real"].get(isa)
    if not known or known["compiler"] != compiler():
        pytest.skip(f"recorded for {known and known['compiler']}, built by {compiler()}")
    assert hashes(None) == known["hashes"], "other bits: if that is meant, golden.py --write, and a line in CHANGELOG.md"


def test_threads_do_not_change_bits(isa):
    chosen = PROBLEMS[::10]
    for problem in chosen:
        with chanconv.num_threads(1):
            expected = result(problem, np.float32, None)
        for threads in (2, 3, 8):
            with chanconv.num_threads(threads):
                assert result(problem, np.float32, None) == expected, (problem, threads)


def test_slices_of_a_batch_do_not_change_bits(isa, dtype):
    for problem in [p for p in PROBLEMS if p.n > 1][::7]:
        x, kernel, bias, grad = arrays = problem.arrays(dtype)
        for pass_ in ("forward", "grad_x", "per_sample"):
            whole = run(pass_, problem, arrays)
            for part in (slice(0, 1), slice(1, None)):
                assert same_bits(run(pass_, problem, (x[part], kernel, bias, grad[part])), whole[part]), problem


def test_a_change_of_bits_is_seen(monkeypatch):
    """One bit of one result of the 500."""
    original = golden.result

    def changed(problem, dtype, values, **more):
        data = bytearray(original(problem, dtype, values, **more))
        if problem == PROBLEMS[-1] and dtype == np.float64:
            data[-1] ^= 1
        return bytes(data)

    monkeypatch.setattr(golden, "result", changed)
    found = hashes(integers, "gemm")
    assert found[:-1] == GOLDEN["integers"][:-1] and found[-1] != GOLDEN["integers"][-1]
