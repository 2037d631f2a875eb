#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a call costs when there is next to nothing to multiply, in microseconds, and where the time goes.

The steps are those of `chanconv.conv`, called one by one with what the step before gives. "arithmetic" is what the C
library takes for the layer more than for the smallest convolution there is, one pixel and one channel.
"""
import argparse
from statistics import median

import numpy as np

import chanconv
from chanconv import _chanconv, arrays, geometry
from layers import LAYERS, PASSES, Problem, select
from peers import PEERS, Chanconv, installed
from timing import interleave

FLOAT32 = np.dtype("float32")
FORWARD = _chanconv.conv_forward["float"]


def given(layer):
    """Step 1: the scalar arguments as a key."""
    return geometry.options(layer.stride, layer.padding, layer.dilation, layer.groups)


def found(x, kernel, key):
    """Step 2: common type, and the checked convolution that was kept for these shapes."""
    dtype, _ = arrays.common(("x", "kernel"), (x, kernel))
    return geometry.problem(geometry.IMAGES, dtype, x.shape, kernel.shape, key, 0)


def views(*operands):
    """Step 4: flat arrays."""
    return [arrays.flat(array, FLOAT32) for array in operands]


def pixel():
    """The smallest convolution there is and its flat arrays."""
    x, kernel = np.ones((1, 1, 1, 1), FLOAT32), np.ones((1, 1, 1, 1), FLOAT32)
    return found(x, kernel, geometry.options(1, 0, 1, 1)).convolution, views(x, kernel, np.empty_like(x))


def steps(layer):
    """The steps of one call as functions without arguments."""
    problem = Problem.random(layer, "forward", FLOAT32)
    key = given(layer)
    plan = found(problem.x, problem.kernel, key)
    x, kernel, y = views(problem.x, problem.kernel, problem.grad_y.copy())
    convolution, (px, pkernel, py) = pixel()
    options = layer.geometry
    return {
        "whole call": lambda: chanconv.conv(problem.x, problem.kernel, **options),
        "scalar arguments": lambda: given(layer),
        "types and shapes, convolution looked up": lambda: found(problem.x, problem.kernel, key),
        "result array": lambda: arrays.empty(plan.y_shape, FLOAT32),
        "flat views": lambda: views(problem.x, problem.kernel, problem.grad_y),
        "binding and C library": lambda: FORWARD(plan.convolution, x, kernel, None, y, None),
        "binding and C library, one pixel": lambda: FORWARD(convolution, px, pkernel, None, py, None),
    }


def microseconds(calls, rounds):
    """Median cost of each call; that of calling an empty function is subtracted."""
    samples = interleave({"": lambda: None, **calls}, rounds, 0.002)
    empty = median(samples.pop(""))
    return {name: 1e6 * (median(values) - empty) for name, values in samples.items()}


def breakdown(layer, rounds):
    """(what, microseconds) of one forward call, whole and in parts."""
    cost = microseconds(steps(layer), rounds)
    least = cost.pop("binding and C library, one pixel")
    inside = cost.pop("binding and C library")
    whole = cost.pop("whole call")
    parts = {**cost, "binding and C library but arithmetic": least, "arithmetic": inside - least}
    parts["the rest"] = whole - sum(parts.values())
    return [("whole call", whole), *parts.items()]


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
