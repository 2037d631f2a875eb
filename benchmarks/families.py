# SPDX-License-Identifier: BSD-3-Clause
"""Layers that nobody chose: drawn at random from the kinds that networks have, to find where chanconv is slow."""
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from layers import Layer

FLOPS_MAX = 6e8  # nominal, of a layer: some milliseconds for one processor
MAPS = (7, 8, 10, 12, 13, 14, 16, 17, 19, 20, 26, 28, 32, 35, 40, 48, 52, 56, 64, 80, 96, 112, 128)
CHANNELS = (16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 116, 120, 128, 144, 160, 192, 224, 240, 256, 288, 320, 384,
            448, 480, 512, 576, 640, 672, 768, 960, 1024)
DEEP = (256, 320, 384, 512, 640, 768, 832, 1024, 1280, 1536, 2048)
FEW = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32)


@dataclass(frozen=True)
class Family:
    """What a kind of layers is drawn from, each value as likely as often it stands there.

    `in_group` tells the channels of x in a group, None: all are in one; then `k` the kernels, else `multipliers` how
    many there are for each channel. `patches`: the stride is the size of the kernel.
    """

    maps: tuple[int, ...] = MAPS
    c: tuple[int, ...] = CHANNELS
    k: tuple[int, ...] = CHANNELS
    kernels: tuple[int | tuple[int, int], ...] = (3,)
    strides: tuple[int, ...] = (1,)
    dilations: tuple[int, ...] = (1,)
    in_group: tuple[int, ...] | None = None
    multipliers: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1, 1, 1, 2, 4, 8, 16)
    patches: bool = False

    def draw(self, rng):
        """One layer, no larger than FLOPS_MAX."""
        def pick(choices):
            return choices[rng.integers(len(choices))]

        n, h, c, kernel, dilation, stride = map(pick, (self.batches, self.maps, self.c, self.kernels, self.dilations,
                                                       self.strides))
        k, groups = pick(self.k), 1
        if self.in_group:
            groups = max(1, c // pick(self.in_group))
            c -= c % groups
            k = c * pick(self.multipliers)
        layer = Layer("", n, h, pick((h, h, h, 4 * h // 3)), c, k, kernel, stride, 0, dilation, groups)
        reach = [dilation * (taps - 1) + 1 for taps in layer.taps]
        if self.patches:
            layer = replace(layer, stride=layer.taps[0])
        elif max(reach) > h or rng.random() < 0.9:
            layer = replace(layer, padding=tuple(size // 2 if size % 2 else size // 2 - 1 for size in reach))
        layer = _no_larger(layer)
        return replace(layer, name=layer.shape)


def _no_larger(layer):
    """With fewer images, then with a smaller map, until it is no more than FLOPS_MAX."""
    while layer.flops > FLOPS_MAX:
        smaller = {"n": layer.n // 2} if layer.n > 1 else {"h": layer.h * 3 // 4, "w": layer.w * 3 // 4}
        layer = replace(layer, **smaller)
    return layer


FAMILIES = {
    "3x3": Family(strides=(1, 1, 2)),
    "1x1": Family(kernels=(1,)),
    "1x1 strided": Family(kernels=(1,), strides=(2,)),
    "small maps": Family((3, 4, 5, 6, 7, 8, 9, 10), DEEP, DEEP, (1, 3, 3), (1, 1, 2)),
    "first": Family((32, 64, 96, 128, 160, 192, 224, 256, 299), (1, 3, 3, 3, 4), (8, 16, 24, 32, 40, 48, 64, 96),
                    (3, 3, 5, 7), (1, 2, 2)),
    "patches": Family((64, 128, 224, 256), (1, 3, 4, 96), (32, 48, 64, 96, 128, 192, 384), (2, 4, 8, 16), patches=True),
    "large first": Family((64, 128, 227, 256), (1, 3), (32, 64, 96), (9, 11), (1, 2, 4)),
    "small networks": Family((6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32), FEW, FEW, (3, 3, 5), batches=(1, 8, 32, 64)),
    "heads": Family(k=(1, 2, 3, 4, 5, 6, 9, 10, 12, 18, 19, 21, 36, 75, 85, 100, 255), kernels=(1, 1, 3)),
    "depthwise 3x3": Family(strides=(1, 1, 2), in_group=(1,)),
    "depthwise 5x5": Family(kernels=(5,), strides=(1, 1, 2), in_group=(1,)),
    "depthwise 7x7": Family(kernels=(7, 7, 9, 11), in_group=(1,)),
    "depthwise, other": Family(c=FEW + CHANNELS, kernels=(2, 3, 4, 5), strides=(1, 2, 3), dilations=(1, 1, 2),
                               in_group=(1,), multipliers=(1, 2, 4)),
    "grouped": Family(kernels=(3, 3, 3, 1, 5), strides=(1, 1, 2), in_group=(2, 4, 8, 16, 24, 32, 40, 64)),
    "dilated": Family((16, 28, 32, 33, 41, 56, 64, 65), dilations=(2, 2, 3, 4, 6, 8, 12)),
    "rows and columns": Family((8, 17, 28, 32, 35, 56),
                               kernels=((1, 3), (3, 1), (1, 7), (7, 1), (1, 5), (5, 1), (1, 15))),
    "even": Family((8, 16, 28, 32, 56, 64), kernels=(2, 4, 4), strides=(1, 2, 2)),
    "5x5 and more": Family(kernels=(5, 5, 7), strides=(1, 1, 2)),
    "planes": Family((64, 100, 128, 240, 256, 480, 512, 720, 1000), (1,), (1,), (3, 3, 5, 7, 9, 11, 13, 15),
                     batches=(1, 1, 1, 4)),
    "planes, other": Family((64, 100, 128, 240, 256, 480, 512, 720), (1,), (1,),
                            (2, 3, 4, 5, 7, 8, (1, 3), (3, 1), (1, 9), (9, 1), (5, 3), (1, 31)), (1, 2, 3),
                            (1, 1, 2, 3), batches=(1,)),
    "tiny": Family((4, 6, 8, 9, 12), (1, 2, 3, 4, 8), (1, 4, 8, 10, 16), (1, 2, 3, 5), (1, 1, 2), batches=(1, 1, 2, 4)),
}


def draw(count, seed, families=tuple(FAMILIES)):
    """`count` layers, of the families in turn; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    return [FAMILIES[name].draw(rng) for name in islice(cycle(families), count)]
