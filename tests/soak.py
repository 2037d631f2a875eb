#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random calls for a long time: results checked against the definition, memory flat.

    tests/soak.py --seconds 3600 [--seed N]

Shapes, dtypes, algorithms, instruction sets, numbers of threads, layers, pickles, forks and several threads at once. It
ends with an error at the first wrong result, or if the process has grown.
"""

import argparse
import gc
import os
import pickle
import random
import signal
import sys
import threading
import time

import numpy as np
from oracle import PASSES, draw, draw_depthwise, exists, integers, run, within

import chanconv
from chanconv import _chanconv, activations, layers, reference

GROWTH = 24 << 20  # bytes that the process may grow by after it has warmed up


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def problem_of(rng):
    while not exists(problem := rng.choice((draw, draw, draw_depthwise))(rng)):
        pass
    return problem


def check_exact(rng):
    """A pass on integers, by any algorithm that takes the problem: exact, or near where it transforms."""
    problem, pass_, dtype = problem_of(rng), rng.choice(PASSES), rng.choice((np.float32, np.float64))
    algorithm = rng.choice(("auto", "auto", "gemm", "direct", "im2col", "winograd", "fft"))
    arrays = problem.arrays(dtype, integers)
    try:
        result = run(pass_, problem, arrays, algorithm=algorithm)
    except ValueError as error:
        assert str(error).startswith("algorithm"), error
        return
    expected = run(pass_, problem, arrays, reference)
    atol = 1e-2 if algorithm in ("auto", "winograd", "fft") else 0
    np.testing.assert_allclose(result, expected, rtol=0, atol=atol, err_msg=f"{algorithm} {pass_} {problem}")


def check_bound(rng):
    problem, pass_, dtype = problem_of(rng), rng.choice(PASSES), np.dtype(rng.choice(("f4", "f8")))
    expected, bound = within.__wrapped__(pass_, problem, dtype)
    result = run(pass_, problem, problem.arrays(dtype), algorithm=rng.choice(("gemm", "im2col")))
    assert (np.abs(result - expected) <= bound).all(), f"{pass_} {problem}"


def check_layers(rng):
    """A network, forward and backward; its copy by pickle does the same."""
    channels, kernels = rng.randint(1, 9), rng.randint(1, 9)
    net = layers.Sequential(
        layers.Conv2D(channels, kernels, 3, padding="same", activation=rng.choice((None, "relu", "gelu")), rng=0),
        layers.DepthwiseConv2D(kernels, 3, rng=1),
        layers.ConvTranspose2D(kernels, channels, 2, stride=2, rng=2),
    )
    x = np.random.default_rng(rng.randrange(1000)).standard_normal((2, 7, 8, channels), dtype=np.float32)
    copy = pickle.loads(pickle.dumps(net))
    for one in (net, copy):
        one.backward(one.forward(x))
    for name, gradient in net.gradients.items():
        assert gradient.tobytes() == copy.gradients[name].tobytes(), name
    assert net.forward(x).tobytes() == copy.forward(x).tobytes()


def check_activations(rng):
    name = rng.choice(("relu", "gelu", "silu", "softplus", "tanh", "mish", "elu", "hard_silu"))
    x = np.random.default_rng(rng.randrange(1000)).standard_normal(rng.randint(0, 3000)).astype("f4")
    y, f = activations.get(name).forward(x), activations.get(name)
    i = rng.randrange(x.size) if x.size else 0
    assert f.forward(x[i : i + 1]).tobytes() == y[i : i + 1].tobytes()


def check_errors(rng):
    x, kernel = np.ones((5, 5, 3)), np.ones((3, 3, 3, 2))
    for options in ({"stride": 0}, {"padding": -1}, {"groups": 2}, {"algorithm": "best"}, {"out": x}):
        try:
            chanconv.conv(x, kernel, **options)
        except (ValueError, TypeError):
            continue
        raise AssertionError(options)


def check_fork(rng):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            check_exact(rng)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, "a child failed"


def check_threads(rng):
    errors = []

    def work(seed):
        try:
            for _ in range(3):
                check_exact(random.Random(seed))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(rng.random(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


# How often, in a hundred.
CHECKS = {
    check_exact: 60,
    check_bound: 15,
    check_layers: 8,
    check_activations: 10,
    check_errors: 3,
    check_fork: 1,
    check_threads: 3,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    rng, counts, start = random.Random(options.seed), dict.fromkeys(CHECKS, 0), time.monotonic()
    print(f"seed {options.seed}, instruction sets {', '.join(_chanconv.isa_available())}", flush=True)
    before, worst, report = None, 0, 60
    while (elapsed := time.monotonic() - start) < options.seconds:
        chanconv.set_num_threads(rng.choice((1, 2, 3, 8)))
        _chanconv.set_isa(rng.choice(_chanconv.isa_available()))
        check = rng.choices(list(CHECKS), CHECKS.values())[0]
        check(rng)
        counts[check] += 1
        if before is None and elapsed > min(60, options.seconds / 3):
            gc.collect()
            before = resident()
        if before is not None and sum(counts.values()) % 200 == 0:
            worst = max(worst, resident() - before)
            assert worst < GROWTH, f"the process has grown by {worst / 2**20:.0f} MiB"
        if elapsed > report:
            print(f"{elapsed:.0f} s: {sum(counts.values())} checks, {worst / 2**20:.1f} MiB more", flush=True)
            report += 600
    told = ", ".join(f"{number} {check.__name__[6:]}" for check, number in counts.items())
    print(f"{told}; grown by at most {worst / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
