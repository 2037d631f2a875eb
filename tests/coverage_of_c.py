# SPDX-License-Identifier: BSD-3-Clause
"""Branch coverage of csrc, from Clang's counters: what tests/coverage prints at its end.

    python tests/coverage_of_c.py MERGED-PROFILE PROGRAM ...

A branch is one of the source: a condition that came out true, or false. A template's is one, however many types,
instruction sets and unrolled copies it is compiled for: any of them counts. A condition that is constant wherever it is
compiled is no branch.
"""

import collections
import json
import subprocess
import sys

TRUE, FALSE = 4, 5  # places of the counts in a branch, after line, column, line, column


def count(profile, programs):
    """{file: {place of a condition: [times it was true, times it was false]}}"""
    objects = [argument for program in programs[1:] for argument in ("-object", program)]
    command = ["llvm-cov", "export", f"-instr-profile={profile}", programs[0], *objects]
    export = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    files = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
    for file in export["data"][0]["files"]:
        name = file["filename"][file["filename"].find("csrc/") :]
        for branch in file["branches"] if name.startswith("csrc/") else ():
            times = files[name][tuple(branch[:4])]
            times[0] += branch[TRUE]
            times[1] += branch[FALSE]
    return files


def missed_of(conditions):
    """The lines of branches that were never taken, and which way."""
    return [f"{place[0]}:{place[1]}{'' if a or b else ' never'}{' not true' if b and not a else ''}"
            f"{' not false' if a and not b else ''}" for place, (a, b) in sorted(conditions.items()) if not (a and b)]


def main(profile, *programs):
    total = taken = 0
    for name, conditions in sorted(count(profile, programs).items()):
        branches = [times for both in conditions.values() for times in both]
        total += len(branches)
        taken += sum(map(bool, branches))
        if branches:
            share = 100 * sum(map(bool, branches)) / len(branches)
            print(f"{name:28}{len(branches):5} branches {share:6.1f} %  {', '.join(missed_of(conditions))}")
    print(f"csrc: {taken} of {total} branches taken, {100 * taken / max(total, 1):.1f} %")


if __name__ == "__main__":
    main(*sys.argv[1:])
