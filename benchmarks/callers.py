#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Python threads that call at once, each with one thread of the library: how much more they get done than one alone.

Results are compared with those of the one thread, bit for bit. What is lost is lost to the interpreter's lock, which a call
holds for a microsecond or two, and to what the processors share: caches, memory, power.
"""
import argparse
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter

import numpy as np

import chanconv
from layers import Problem, select

LAYERS = ("tiny", "digits.c2", "r50.l1.3x3", "r50.l1.1x1b", "mbv2.dw.b1", "plane.7")


def work(problem, calls):
    """So many calls of the layer; the last result."""
    for _ in range(calls):
        y = chanconv.conv(problem.x, problem.kernel, **problem.layer.geometry)
    return y


def rates(layer, threads, rounds, seconds):
    """(calls a second of one thread, of `threads` at once), medians of rounds in turn."""
    problem = Problem.random(layer, "forward", "float32")
    expected = work(problem, 3)
    start = perf_counter()
    work(problem, 3)
    calls = max(3, round(3 * seconds / (perf_counter() - start)))
    found = {1: [], threads: []}
    for _ in range(rounds):
        for count, rate in found.items():
            with ThreadPoolExecutor(count) as pool:
                start = perf_counter()
                results = list(pool.map(work, [problem] * count, [calls] * count))
                rate.append(count * calls / (perf_counter() - start))
            if not all(np.array_equal(y, expected) for y in results):
                raise SystemExit(f"{layer.name}: threads that call at once get other results")
    return median(found[1]), median(found[threads])


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", default=LAYERS, help="patterns of names of layers.py")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one sample")
    options = parser.parse_args(argv)
    chanconv.set_num_threads(1)
    for layer in select(options.layers):
        one, several = rates(layer, options.threads, options.rounds, options.seconds)
        print(f"{layer.name:<16} one thread {one:10.1f} calls/s, {options.threads} threads {several:10.1f}: {several / one:.2f}")


if __name__ == "__main__":
    main()
