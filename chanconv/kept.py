# SPDX-License-Identifier: BSD-3-Clause
"""Kernels that a layer keeps between calls, in the form in which the C library reads them."""

from functools import partial

from chanconv import _chanconv
from chanconv.arrays import by_dtype, versions

_PACK = versions(_chanconv.pack_kernel)
_IS_PACKED = versions(_chanconv.is_packed)

# Of each pass: with a kernel as it is, and with a packed one.
_PASSES = {
    "forward": (by_dtype(_chanconv.conv_forward), by_dtype(_chanconv.conv_forward_packed)),
    "grad_x": (by_dtype(_chanconv.conv_transpose), by_dtype(_chanconv.conv_transpose_packed)),
}

# Calls of each that may come again: where packing gains nothing.
CALLS = {
    "forward": _chanconv.Calls("forward", unpacked=True),
    "grad_x": _chanconv.Calls("transpose", unpacked=True),
}


class KeptKernel:
    """A pass that keeps its kernel, indexed by dtype like the tables of `chanconv.arrays.by_dtype`.

    A kernel that has changed since, in place too, differs from the copy that is kept with it, and is packed anew.
    Nothing is kept where the pass reads kernels as they are. Threads may share it: what is kept never changes, and is
    replaced as a whole. Copies and pickles begin with nothing.

    Parameters
    ----------
    what : {"forward", "grad_x"}
        The pass; "grad_x" is the transposed convolution.

    Attributes
    ----------
    calls : chanconv._chanconv.Calls
        Calls with kernels as they are, which all layers share.
    """

    def __init__(self, what):
        self._what = what
        self._packed = None
        self.calls = CALLS[what]

    def __reduce__(self):
        return KeptKernel, (self._what,)

    def __getitem__(self, dtype):
        return partial(self._run, dtype)

    def _run(self, dtype, convolution, x, kernel, bias, y, activation=None):
        plain, packed = _PASSES[self._what]
        if _chanconv.packing_gains(convolution, self._what):
            packed[dtype](convolution, x, self._pack(dtype, convolution, kernel), bias, y, activation)
        else:
            self._packed = None
            plain[dtype](convolution, x, kernel, bias, y, activation)

    def _pack(self, dtype, convolution, kernel):
        """The kernel as kept, or kept from now on."""
        packed = self._packed
        if packed is None or not _IS_PACKED[dtype](packed, convolution, kernel):
            self._packed = packed = _PACK[dtype](convolution, self._what, kernel)
        return packed
