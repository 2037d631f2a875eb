#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The convolutions of whole networks with their biases and activations, chanconv against PyTorch channels_last.

A network is a list of chains of convolutions, each fed with a random image and, backward, with a random gradient. What
lies between chains or beside them (pooling, additions of shortcuts, the classifier) is left out on both sides; batch
normalisation counts as folded into kernels and biases. Training is forward and backward: gradients of all kernels and
biases and of the chain's input.
"""
import argparse
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import median
import sys

import numpy as np

import chanconv
from chanconv import layers as chanconv_layers
from layers import Layer
from peak import PROBE_FLOPS, find as find_peak
from timing import CLOCKS, interleave


@dataclass(frozen=True)
class Unit:
    """A convolution that keeps the size ("same" for odd kernels) or divides it by the stride, and its activation."""

    c: int
    k: int
    kernel: int
    stride: int = 1
    groups: int = 1
    activation: str | None = None

    @property
    def padding(self):
        return self.kernel // 2


@dataclass(frozen=True)
class Chain:
    """Units one after the other, on square images of `size` pixels a side."""

    size: int
    units: tuple[Unit, ...]

    def layers(self, batch):
        """The same as rows of the layer suite."""
        size = self.size
        for unit in self.units:
            layer = Layer("", batch, size, size, unit.c, unit.k, unit.kernel, unit.stride, unit.padding, 1, unit.groups)
            size = layer.y_shape[1]
            yield layer


def resnet18():
    """ResNet-18: stem, four stages of two blocks, three projections of shortcuts."""
    stages, shortcuts = [], []
    before = 64
    for width, size in ((64, 56), (128, 28), (256, 14), (512, 7)):
        stride = 1 if width == before else 2
        stages += [Unit(before, width, 3, stride, activation="relu"), *[Unit(width, width, 3, activation="relu")] * 3]
        if stride == 2:
            shortcuts.append(Chain(2 * size, (Unit(before, width, 1, 2),)))
        before = width
    return [Chain(224, (Unit(3, 64, 7, 2, activation="relu"),)), Chain(56, tuple(stages)), *shortcuts]


def _inverted_residual(c, k, stride, expansion):
    """Expand, depthwise, project: a block of MobileNetV2."""
    inner = c * expansion
    expand = [Unit(c, inner, 1, activation="relu6")] if expansion > 1 else []
    return [*expand, Unit(inner, inner, 3, stride, inner, "relu6"), Unit(inner, k, 1)]


def mobilenet_v2():
    """MobileNetV2: one chain."""
    units, c = [Unit(3, 32, 3, 2, activation="relu6")], 32
    for expansion, k, count, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                        (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(count):
            units += _inverted_residual(c, k, stride if i == 0 else 1, expansion)
            c = k
    return [Chain(224, (*units, Unit(320, 1280, 1, activation="relu6")))]


NETWORKS = {"resnet18": resnet18, "mobilenet_v2": mobilenet_v2}


class Ours:
    """One chain in chanconv."""

    def __init__(self, chain, x, grad_y):
        self.x, self.grad_y = x, grad_y
        self.model = chanconv_layers.Sequential(*[
            chanconv_layers.Conv2D(u.c, u.k, u.kernel, u.stride, u.padding, groups=u.groups, activation=u.activation,
                                   rng=i) for i, u in enumerate(chain.units)])

    def infer(self):
        return self.model(self.x)

    def train(self):
        y = self.model.forward(self.x)
        return y, self.model.backward(self.grad_y)


class Theirs:
    """The same chain with the same parameters in PyTorch."""

    def __init__(self, torch, chain, ours):
        self.torch = torch
        parts = []
        for i, unit in enumerate(chain.units):
            parts += [self._convolution(unit, ours.model.parameters, i)]
            if unit.activation:
                parts.append({"relu": torch.nn.ReLU, "relu6": torch.nn.ReLU6}[unit.activation](inplace=True))
        self.model = torch.nn.Sequential(*parts).to(memory_format=torch.channels_last)
        self.x, self.grad_y = (torch.from_numpy(array).permute(0, 3, 1, 2) for array in (ours.x, ours.grad_y))

    def _convolution(self, unit, parameters, i):
        module = self.torch.nn.Conv2d(unit.c, unit.k, unit.kernel, unit.stride, unit.padding, groups=unit.groups)
        with self.torch.no_grad():
            module.weight.copy_(self.torch.from_numpy(parameters[f"{i}.kernel"]).permute(3, 2, 0, 1))
            module.bias.copy_(self.torch.from_numpy(parameters[f"{i}.bias"]))
        return module

    def infer(self):
        with self.torch.inference_mode():
            return self.model(self.x).permute(0, 2, 3, 1).numpy()

    def train(self):
        x = self.x.detach().requires_grad_()
        self.model.zero_grad(set_to_none=True)
        y = self.model(x)
        y.backward(self.grad_y)
        return y.detach().permute(0, 2, 3, 1).numpy(), x.grad.permute(0, 2, 3, 1).numpy()


def results(ours, theirs):
    """(name, chanconv's array, PyTorch's) of all that inference and training give."""
    yield "inference", ours.infer(), theirs.infer()
    yield from zip(("forward", "gradient of the input"), ours.train(), theirs.train())
    convolutions = [module for module in theirs.model if hasattr(module, "weight")]
    for i, module in enumerate(convolutions):
        kernel = module.weight.grad.permute(2, 3, 1, 0).numpy()
        yield f"gradient of kernel {i}", ours.model.gradients[f"{i}.kernel"], kernel
        yield f"gradient of bias {i}", ours.model.gradients[f"{i}.bias"], module.bias.grad.numpy()


def check(ours, theirs):
    """ValueError unless results and gradients of both agree but for rounding.

    A value within rounding of a kink of relu takes the other branch in one of the two: about 1e-6 of them in each of
    some fifty layers, which changes the norm of a gradient by up to the root of that, 7e-3.
    """
    for name, mine, other in results(ours, theirs):
        distance = np.linalg.norm(mine - other) / np.linalg.norm(other)
        if not distance < (3e-2 if name.startswith("gradient") else 1e-4):
            raise ValueError(f"{name}: chanconv and PyTorch differ by {distance:.2g} of the norm")


def chains(network, batch, torch):
    """Ours and Theirs for every chain of the network, checked."""
    rng = np.random.default_rng(batch)
    for chain in NETWORKS[network]():
        *_, last = layers = list(chain.layers(batch))
        arrays = (rng.standard_normal(shape, dtype=np.float32) for shape in (layers[0].x_shape, last.y_shape))
        ours = Ours(chain, *arrays)
        theirs = Theirs(torch, chain, ours)
        check(ours, theirs)
        yield ours, theirs


def measure(pairs, mode, options, threads, peak):
    """Seconds of all chains one after the other in both libraries, and of the peak's loop."""
    def run(models):
        for model in models:
            getattr(model, mode)()

    ours, theirs = zip(*pairs)
    calls = {"chanconv": partial(run, ours), "torch-nhwc": partial(run, theirs)}
    if peak:
        calls["peak"] = partial(peak.gflops, "float32", threads)
    samples = interleave(calls, options.rounds, options.sample, threads > 1, CLOCKS[options.clock])
    return {name: median(values) for name, values in samples.items()}


def line(network, batch, threads, mode, seconds):
    """One row of the table."""
    flops = sum(layer.flops for chain in NETWORKS[network]() for layer in chain.layers(batch))
    flops *= {"infer": 1, "train": 3}[mode]
    ours, theirs = seconds["chanconv"], seconds["torch-nhwc"]
    share = f"{100 * flops / ours * seconds['peak'] / (PROBE_FLOPS * threads):4.0f}" if "peak" in seconds else "   -"
    return (f"{network:<14} {batch:>2} {threads:>2} {mode:<6} {1e3 * ours:9.2f} {1e3 * theirs:9.2f} "
            f"{theirs / ours:6.2f} {batch / ours:9.1f} {1e-9 * flops / ours:9.1f} {share}")


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sample", type=float, default=0.02, help="least length of a sample in seconds")
    parser.add_argument("--clock", default="wall", choices=CLOCKS, help="cpu: one thread's, where others compute")
    options = parser.parse_args(argv)
    try:
        import torch
    except ImportError as error:
        sys.exit(f"network.py compares with PyTorch: {error}")
    peak, _ = find_peak()
    print("network         N  T mode    chanconv   PyTorch  ratio  images/s   GFLOP/s %peak    (milliseconds)")
    for network, batch in product(options.networks, options.batch):
        pairs = list(chains(network, batch, torch))
        for threads, mode in product(options.threads, ("infer", "train")):
            chanconv.set_num_threads(threads)
            torch.set_num_threads(threads)
            seconds = measure(pairs, mode, options, threads, peak)
            print(line(network, batch, threads, mode, seconds), flush=True)


if __name__ == "__main__":
    main()
