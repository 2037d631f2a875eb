#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a call costs when there is next to nothing to multiply, in microseconds, and where the time goes.

Arrays are ordinary ones whose shapes came before, so that the call is kept; "the long way" is what any other costs. "arithmetic"
is what the layer takes more than the smallest convolution there is, one pixel and one channel.
"""
import argparse
from statistics import median

import numpy as np

import chanconv
from chanconv import geometry
from layers import LAYERS, PASSES, Problem, select
from peers import PEERS, Chanconv, installed
from timing import interleave

FLOAT32 = np.dtype("float32")


def steps(layer):
    """Calls and parts of them as functions without arguments."""
    problem = Problem.random(layer, "forward", FLOAT32)
    x, kernel, options = problem.x, problem.kernel, layer.geometry
    pixel, tap = np.ones((1, 1, 1, 1), FLOAT32), np.ones((1, 1, 1, 1), FLOAT32)
    y, rows = problem.grad_y, np.repeat(x, 2, axis=-3)[..., ::2, :, :]
    return {
        "the long way": lambda: chanconv.conv(rows, kernel, **options),
        "whole call": lambda: chanconv.conv(x, kernel, **options),
        "one pixel": lambda: chanconv.conv(pixel, tap),
        "scalar arguments": lambda: geometry.options(layer.stride, layer.padding, layer.dilation, layer.groups),
        "result array": lambda: np.empty(y.shape, FLOAT32),
    }


def microseconds(calls, rounds):
    """Median cost of each call; that of calling an empty function is subtracted."""
    samples = interleave({"": lambda: None, **calls}, rounds, 0.002)
    empty = median(samples.pop(""))
    return {name: 1e6 * (median(values) - empty) for name, values in samples.items()}


def breakdown(layer, rounds):
    """(what, microseconds) of one forward call: the long way, whole, and in parts."""
    cost = microseconds(steps(layer), rounds)
    least = cost.pop("one pixel")
    long, whole = cost.pop("the long way"), cost.pop("whole call")
    parts = {"the call kept, buffers, C library": least - sum(cost.values()), "arithmetic": whole - least}
    return [("the long way", long), ("whole call, kept", whole), *cost.items(), *parts.items()]


def beside_peers(layer, rounds):
    """Per pass, the cost of a whole call in every library."""
    engines = [Chanconv(), *installed([peer.name for peer in PEERS])]
    for engine in engines:
        engine.set_threads(1)
    for what in PASSES:
        problem = Problem.random(layer, what, FLOAT32)
        jobs = {engine.name: engine.prepare(problem) for engine in engines}
        yield what, microseconds({name: job.call for name, job in jobs.items() if job}, rounds)


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default=LAYERS[0].name, help="a name of layers.py (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args(argv)
    layer = select([options.layer])[0]
    print(f"{layer.name}: x {layer.x_shape}, kernel {layer.kernel_shape}, {layer.flops} FLOPs; one thread\n")
    for what, costs in beside_peers(layer, options.rounds):
        print(f"{what:<12}" + "  ".join(f"{name} {cost:.2f} us" for name, cost in costs.items()))
    print("\nforward in parts, us")
    for what, cost in breakdown(layer, options.rounds):
        print(f"{cost:7.2f}  {what}")


if __name__ == "__main__":
    main()
