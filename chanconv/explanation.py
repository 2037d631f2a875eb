# SPDX-License-Identifier: BSD-3-Clause
"""What `chanconv.explain` returns."""

import math
from typing import NamedTuple


def _scaled(value, unit, step):
    """A count with a prefix: 1234567 bytes is 1.18 MiB."""
    power = min(int(math.log(max(value, 1), step)), 4)
    prefix = ("", "K", "M", "G", "T")[power] + ("i" if step == 1024 and power else "")
    return f"{value / step**power:.3g} {prefix}{unit}"


class Explanation(NamedTuple):
    """How a pass of a convolution would be computed.

    Attributes
    ----------
    what : str
        The pass: "forward", "grad_x" or "grad_kernel".
    dtype : str
    x_shape, kernel_shape, y_shape : tuple of int
    isa : str
        The instruction set.
    algorithm : str
    tile : (int, int)
        Output pixels (or kernel rows) x output channels of a register tile.
    threads : int
        That the call would use at most.
    flops : float
        Two per multiplication and addition of the formula, taps on padding included.
    bytes : float
        Of x, kernel and y, each once.
    workspace_bytes : int
        Memory the call takes beyond its arguments, at most.
    declined : dict
        Why each of the other algorithms was not chosen, by name.
    arithmetic_cycles, memory_cycles : float
        Processor cycles that the direct sum takes at least, with all its threads: for its multiplications and
        additions, those on padding left out; and to move x, kernel and y once. Nothing is measured: the rates are the
        highest that processors with this instruction set have, the sizes of caches this machine's.

    `bound_cycles` is the larger of the two, and `bound` says which, "arithmetic" or "memory". Algorithms that are not
    the direct sum ("winograd", "fft") may need less.
    """

    what: str
    dtype: str
    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    isa: str
    algorithm: str
    tile: tuple[int, int]
    threads: int
    flops: float
    bytes: float
    workspace_bytes: int
    declined: dict[str, str]
    arithmetic_cycles: float
    memory_cycles: float

    @property
    def bound(self):
        """What limits the direct sum on this machine: "arithmetic" or "memory"."""
        return "arithmetic" if self.arithmetic_cycles >= self.memory_cycles else "memory"

    @property
    def bound_cycles(self):
        """Processor cycles that the direct sum takes at least."""
        return max(self.arithmetic_cycles, self.memory_cycles)

    def __repr__(self):
        declined = (f"\n  not {name}: {reason}" for name, reason in self.declined.items())
        return (
            f"{self.what} of x {self.x_shape} with kernel {self.kernel_shape}, result {self.y_shape}, {self.dtype}\n"
            f"  algorithm  {self.algorithm}, tile {self.tile[0]} x {self.tile[1]}, {self.isa}\n"
            f"  threads    {self.threads}\n"
            f"  work       {_scaled(self.flops, 'FLOP', 1000)}, {_scaled(self.bytes, 'B', 1024)} of arrays\n"
            f"  bound      {_scaled(self.bound_cycles, 'cycles', 1000)} of {self.bound}\n"
            f"  workspace  {_scaled(self.workspace_bytes, 'B', 1024)}"
        ) + "".join(declined)
