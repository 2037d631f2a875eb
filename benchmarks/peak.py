# SPDX-License-Identifier: BSD-3-Clause
"""The roofs of this machine, measured by peak.c: multiply-adds and memory. Needs a C compiler ($CC, else cc)."""
import ctypes
import os
from pathlib import Path
import shlex
import subprocess
import tempfile

PROBE_FLOPS = 1e9  # per thread: some milliseconds
PROBE_BYTES = 2e7  # likewise
SIZES = tuple(2 ** i for i in range(14, 27))  # bytes that a thread works on: first-level cache to memory


class Peak:
    """The compiled loops of peak.c.

    Parameters
    ----------
    isa : str or None
        "generic", "avx2", "avx512" or "neon"; None for the best that the processor has.
    """

    def __init__(self, isa=None):
        self._library = _compiled()
        self.isa = isa or self.available()[0]
        if self.isa not in self.available():
            raise ValueError(f"isa: this processor has {' '.join(self.available())}, not {self.isa}")

    def available(self):
        """Instruction sets that this processor has, best first."""
        names = []
        while name := self._library.peak_isa(len(names)):
            names.append(name.decode())
        return names

    def gflops(self, dtype, threads):
        """Multiply-add rate of `threads` threads at once, in GFLOP/s: one sample."""
        return self._library.peak_gflops(self.isa.encode(), dtype == "float64", threads, PROBE_FLOPS)

    def memory(self, threads, size):
        """Rate of `threads` threads that each read in `size` bytes, or copy if that is faster: GB/s read or written."""
        rates = (self._library.peak_memory(self.isa.encode(), copying, threads, size, PROBE_BYTES)
                 for copying in (False, True, False, True))
        return max(rates)

    def bandwidth(self, threads):
        """[bytes that a thread works on, GB/s of all threads] for `SIZES`."""
        return [[size, self.memory(threads, size)] for size in SIZES]


def _compiled():
    """peak.c as a ctypes library."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "peak.so")
        subprocess.run([*compiler, "-O2", "-shared", "-fPIC", "-pthread", "-o", path, Path(__file__).with_suffix(".c")],
                       check=True, capture_output=True, text=True)
        library = ctypes.CDLL(path)
    library.peak_isa.restype, library.peak_isa.argtypes = ctypes.c_char_p, [ctypes.c_int]
    library.peak_gflops.restype = library.peak_memory.restype = ctypes.c_double
    library.peak_gflops.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_double]
    library.peak_memory.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_double]
    return library


def find(isa=None):
    """A Peak, or None and why not."""
    try:
        return Peak(isa), None
    except (OSError, subprocess.CalledProcessError) as error:
        return None, f"no multiply-add peak: {error}"
