#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random calls for a long time: results checked against the definition, memory flat.

    tests/soak.py --seconds 3600 [--seed N]

Shapes, dtypes, instruction sets, numbers of threads; every algorithm and pass, convolutions of planes and transposed
ones, im2col; activations; layers with the kernels that they keep, pickles, forks and several threads at once. It ends
with an error at the first wrong result, or if the process has grown: its memory, its open files or its threads.
"""

import argparse
import ctypes
import gc
import os
import pickle
import random
import signal
import sys
import threading
import time

import numpy as np
import test_fft
from oracle import PASSES, Problem, bounded, by_matrices, draw, draw_depthwise, exists, integers, run

import chanconv
from chanconv import _chanconv, activations, geometry, kept, layers, ops, reference

# What the process may grow by after it has warmed up. The library keeps scratch memory of up to 16 MiB for the next call
# (csrc/memory.c), and of up to 32 MiB for the next result; what threads have freed stays resident for a time.
GROWTH = {"bytes in use": 50 << 20, "Python objects": 20000, "resident bytes": 200 << 20, "files": 0, "threads": 0}


class MallocInfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def in_use():
    """Bytes that malloc has given out and not got back."""
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is None:
        return 0
    function.restype = MallocInfo
    info = function()
    return info.uordblks + info.hblkhd


THREADS = (1, 2, 3, 8)
THREADS_BEFORE = len(os.listdir("/proc/self/task"))


def held():
    """What the process has, without what is kept for calls that come again."""
    for module in (geometry, ops, activations):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    for calls in (*(value.calls for value in vars(ops).values() if hasattr(value, "calls")), *kept.CALLS.values()):
        calls.clear()
    gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    # Threads of the library come when they are needed.
    threads = max(len(os.listdir("/proc/self/task")), THREADS_BEFORE + max(THREADS) - 1)
    values = in_use(), sys.getallocatedblocks(), resident, len(os.listdir("/proc/self/fd")), threads
    return dict(zip(GROWTH, values, strict=True))


def grown(before):
    """What has grown beyond its limit since `before`, and by how much. Joined threads may be seen for a moment longer."""
    patience = time.monotonic() + 10
    while True:
        now = held()
        found = {name: now[name] - before[name] for name, most in GROWTH.items() if now[name] - before[name] > most}
        if set(found) != {"threads"} or time.monotonic() > patience:
            return found
        time.sleep(0.1)


def problem_of(rng):
    while not exists(problem := rng.choice((draw, draw, draw_depthwise))(rng)):
        pass
    return problem


def computed(pass_, problem, arrays, algorithm):
    """The result, or None if the algorithm declines the shape."""
    try:
        return run(pass_, problem, arrays, algorithm=algorithm)
    except ValueError as error:
        if str(error).startswith(f'algorithm: "{algorithm}" cannot'):
            return None
        raise


def check_exact(rng):
    """A pass on integers, by any algorithm that takes the problem: exact, or near where it transforms."""
    problem, pass_, dtype = problem_of(rng), rng.choice(PASSES), rng.choice((np.float32, np.float64))
    algorithm = rng.choice(("auto", "auto", "gemm", "direct", "im2col", "winograd", "fft"))
    arrays = problem.arrays(dtype, integers)
    result = computed(pass_, problem, arrays, algorithm)
    if result is None:
        return
    expected = run(pass_, problem, arrays, reference)
    atol = 1e-2 if algorithm in ("auto", "winograd", "fft") else 0
    np.testing.assert_allclose(result, expected, rtol=0, atol=atol, err_msg=f"{algorithm} {pass_} {problem}")


def check_bound(rng):
    problem, pass_, dtype = problem_of(rng), rng.choice(PASSES), np.dtype(rng.choice(("f4", "f8")))
    arrays = problem.arrays(dtype)
    expected, bound = bounded(pass_, problem, arrays)
    result = run(pass_, problem, arrays, algorithm=rng.choice(("gemm", "im2col")))
    assert (np.abs(result - expected) <= bound).all(), f"{pass_} {problem}"


def check_tiled(rng):
    """3x3 kernels for many channels, where Winograd's transform saves time."""
    problem = Problem(n=rng.randint(1, 3), h=rng.randint(3, 40), w=rng.randint(3, 40), c=rng.randint(1, 70),
                      k=rng.randint(1, 70), padding=rng.randint(0, 3))
    pass_, dtype = rng.choice(PASSES), rng.choice((np.float32, np.float64))
    algorithm = rng.choice(("auto", "winograd" if pass_ in ("forward", "grad_x") else "gemm"))
    expected = by_matrices(pass_, problem, problem.arrays(np.float64, integers))
    result = computed(pass_, problem, problem.arrays(dtype, integers), algorithm)
    if result is None:
        return
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.1, err_msg=f"{algorithm} {pass_} {problem}")


def check_large(rng):
    """Channels one by one with large kernels, where Fourier transforms save time."""
    side, channels = rng.randint(5, 40), rng.choice((1, 1, 2, 5))
    problem = test_fft.depthwise(channels, n=rng.randint(1, 2), h=side + rng.randint(0, 80), w=side + rng.randint(0, 80),
                                 kh=side, kw=rng.randint(1, side), padding=rng.randint(0, 9))
    pass_, dtype = rng.choice(("forward", "grad_kernel", "per_sample")), rng.choice((np.float32, np.float64))
    expected = test_fft.by_matrices(pass_, problem, problem.arrays(np.float64, integers))
    algorithm = rng.choice(("auto", "fft", "direct"))
    result = computed(pass_, problem, problem.arrays(dtype, integers), algorithm)
    if result is None:
        return
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.1, err_msg=f"{algorithm} {pass_} {problem}")


def check_transposed(rng):
    stride, side = rng.randint(1, 4), rng.randint(1, 5)
    options = {"stride": stride, "padding": rng.randint(0, side - 1), "output_padding": rng.randint(0, stride - 1),
               "groups": rng.choice((1, 1, 2))}
    c, k = (options["groups"] * rng.randint(1, 9) for _ in range(2))
    values = np.random.default_rng(rng.randrange(1000))
    x = values.integers(-4, 5, (rng.randint(1, 3), rng.randint(2, 12), rng.randint(2, 12), c))
    kernel, bias = values.integers(-4, 5, (side, side, k // options["groups"], c)), values.integers(-4, 5, k)
    sizes = [(size - 1) * stride - 2 * options["padding"] + side + options["output_padding"] for size in x.shape[1:3]]
    if min(sizes) < 1:
        return
    expected = reference.conv_transpose(x.astype(float), kernel.astype(float), bias=bias.astype(float), **options)
    x, kernel, bias = (a.astype(rng.choice((np.float32, np.float64))) for a in (x, kernel, bias))
    result = chanconv.conv_transpose(x, kernel, bias=bias, **options)
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.1, err_msg=f"{x.shape} {kernel.shape} {options}")


def check_columns(rng):
    """im2col, its adjoint, and a plane: exact."""
    problem = problem_of(rng)
    given = {name: value for name, value in problem.options.items() if name != "groups"}
    x, size = problem.arrays(np.float32, integers)[0], (problem.kh, problem.kw)
    columns = chanconv.im2col(x, size, **given)
    np.testing.assert_array_equal(columns, reference.im2col(x, size, **given), err_msg=str(problem))
    back = chanconv.col2im(columns, x.shape, size, **given)
    np.testing.assert_array_equal(back, reference.col2im(columns, x.shape, size, **given), err_msg=str(problem))
    kernel = problem.arrays(np.float32, integers)[1][..., 0, 0]
    plane = chanconv.plane_conv(x[..., 0], kernel, algorithm="gemm", **given)
    np.testing.assert_array_equal(plane, reference.plane_conv(x[..., 0], kernel, **given), err_msg=str(problem))


def network(rng):
    channels, kernels = rng.randint(1, 40), rng.randint(1, 40)
    return channels, layers.Sequential(
        layers.Conv2D(channels, kernels, 3, padding="same", activation=rng.choice((None, "relu", "gelu")), rng=0),
        layers.DepthwiseConv2D(kernels, rng.choice((3, 5)), padding="same", stride=rng.choice((1, 2)), rng=1),
        layers.PReLU(kernels),
        layers.ConvTranspose2D(kernels, channels, 3, stride=rng.choice((1, 2)), padding=1, rng=2),
        layers.Activation("softmax"),
    )


def check_layers(rng):
    """A network, forward and backward; its copy by pickle does the same."""
    channels, net = network(rng)
    x = np.random.default_rng(rng.randrange(1000)).standard_normal((2, 7, 8, channels), dtype=np.float32)
    copy = pickle.loads(pickle.dumps(net))
    for one in (net, copy):
        y = one.forward(x)
        one.backward(y - 1)
    for name, gradient in net.gradients.items():
        assert gradient.tobytes() == copy.gradients[name].tobytes(), name
    assert net.forward(x).tobytes() == copy.forward(x).tobytes()


def check_kept(rng):
    """Kernels that layers keep: the bits of a forward pass, from several threads, after changes in place and pickles."""
    channels, net = network(rng)
    values = np.random.default_rng(rng.randrange(1000))
    for _ in range(3):
        x = values.standard_normal((2, rng.randint(5, 30), rng.randint(5, 30), channels), dtype=np.float32)
        expected, results = net.forward(x).tobytes(), []
        threads = [threading.Thread(target=lambda x=x: results.append(net(x).tobytes())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(results) == {expected}
        assert pickle.loads(pickle.dumps(net))(x).tobytes() == expected
        kernel = net.parameters[rng.choice(("0.kernel", "3.kernel"))]
        kernel[rng.randrange(3), rng.randrange(3)] += 1


ELEMENTWISE = ("relu", "leaky_relu", "gelu", "silu", "softplus", "tanh", "mish", "elu", "hard_silu", "sigmoid", "selu")


def check_activations(rng):
    """An element has the bits that it has alone, forward and backward; rows of softmax that they have alone."""
    f, values = activations.get(rng.choice(ELEMENTWISE)), np.random.default_rng(rng.randrange(1000))
    x = (4 * values.standard_normal(rng.randint(1, 3000))).astype(rng.choice(("f4", "f8")))
    y, grad, i = f.forward(x), f.backward(x, x), rng.randrange(x.size)
    assert f.forward(x[i : i + 1]).tobytes() == y[i : i + 1].tobytes(), f
    assert f.backward(x[i : i + 1], x[i : i + 1]).tobytes() == grad[i : i + 1].tobytes(), f
    rows = x[: x.size // 5 * 5].reshape(5, -1)
    if rows.size:
        softmax = activations.get(rng.choice(("softmax", "log_softmax")))
        assert softmax.forward(rows[3:4]).tobytes() == softmax.forward(rows)[3:4].tobytes()


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
    check_exact: 38,
    check_bound: 10,
    check_tiled: 8,
    check_large: 6,
    check_transposed: 6,
    check_columns: 4,
    check_layers: 5,
    check_kept: 5,
    check_activations: 10,
    check_errors: 3,
    check_fork: 2,
    check_threads: 3,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    rng, counts, start = random.Random(options.seed), dict.fromkeys(CHECKS, 0), time.monotonic()
    print(f"seed {options.seed}, instruction sets {', '.join(_chanconv.isa_available())}", flush=True)
    settled, before, look = min(60, options.seconds / 2), None, 0
    for check in CHECKS:  # modules and kept memory that are not there before the first call
        check(rng)
    while (elapsed := time.monotonic() - start) < options.seconds:
        chanconv.set_num_threads(rng.choice(THREADS))
        _chanconv.set_isa(rng.choice(_chanconv.isa_available()))
        check = rng.choices(list(CHECKS), CHECKS.values())[0]
        check(rng)
        counts[check] += 1
        if elapsed > look:
            before = before if before and elapsed > settled else held()
            assert not (found := grown(before)), f"the process has grown: {found}"
            more = (held()["bytes in use"] - before["bytes in use"]) / 2**20
            print(f"{elapsed:.0f} s: {sum(counts.values())} checks, {more:.1f} MiB more in use", flush=True)
            look += 10 if elapsed < settled else max(options.seconds / 12, 10)
    assert not (found := grown(before)), f"the process has grown: {found}"
    print(", ".join(f"{number} {check.__name__[6:]}" for check, number in counts.items()))


if __name__ == "__main__":
    main()
