#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The bits of results, as hashes: so that a change of them is seen, and named in CHANGELOG.md.

    tests/golden.py --write     after a change that is meant: writes tests/golden_bits.json anew

500 problems, every pass, float32 and float64, for each instruction set. Of small integers the hashes hold for every
compiler and machine: those sums are exact. Of real values they hold for an instruction set as a compiler orders its
operations; the file says which compiler it was, and with another only the first kind is compared.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from oracle import BLOCKS, DEPTHWISE, PASSES, TILES, integers, run, sample

import chanconv
from chanconv import _chanconv

FILE = Path(__file__).parent / "golden_bits.json"
# Those that are drawn first, so that a size added to the lists changes few of the chosen.
PROBLEMS = list(dict.fromkeys([*sample(150, seed=77), *BLOCKS, *DEPTHWISE[::3], *TILES]))[:500]
CHUNK = 25  # problems that share a hash


def problems():
    """Which they are, as a hash: a change of it is not one of bits."""
    return hashlib.sha256(repr(PROBLEMS).encode()).hexdigest()[:16]


def compiler():
    """GCC 12 may order what GCC 13 does not; a patch release does not."""
    return ".".join(_chanconv.compiler().split(".")[:1])


def result(problem, dtype, values, **more):
    """The bytes of all passes; no sign of a zero, which a sum of integers does not fix."""
    arrays = problem.arrays(dtype, values)
    return b"".join((run(pass_, problem, arrays, **more) + 0).tobytes() for pass_ in PASSES)


def hashes(values, algorithm="auto"):
    """A hash for every CHUNK problems."""
    found = []
    for first in range(0, len(PROBLEMS), CHUNK):
        state = hashlib.sha256()
        for problem in PROBLEMS[first : first + CHUNK]:
            for dtype in (np.float32, np.float64):
                state.update(result(problem, dtype, values, algorithm=algorithm))
        found.append(state.hexdigest()[:16])
    return found


def bits():
    """What the file holds, as this machine has it."""
    before, found = _chanconv.isa(), {}
    with chanconv.precision("strict"):
        exact = hashes(integers)
    for isa in _chanconv.isa_available():
        _chanconv.set_isa(isa)
        found[isa] = {"compiler": compiler(), "hashes": hashes(None)}
    _chanconv.set_isa(before)
    return {"problems": problems(), "integers": exact, "real": found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", required=True)
    parser.parse_args()
    kept, new = json.loads(FILE.read_text()) if FILE.exists() else {}, bits()
    if kept.get("problems") == new["problems"]:  # what other machines have recorded stays
        new["real"] = kept["real"] | new["real"]
    FILE.write_text(json.dumps(new, indent=1) + "\n")
