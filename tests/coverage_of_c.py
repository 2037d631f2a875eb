# SPDX-License-Identifier: BSD-3-Clause
"""Branch coverage of csrc, from the counters of a build: what tests/coverage prints at its end.

    python tests/coverage_of_c.py DIRECTORY OF .gcda FILES
"""

import collections
import json
import subprocess
import sys
from pathlib import Path


def reports(directory):
    """What gcov says of every object file, as dictionaries."""
    for data in sorted(Path(directory).rglob("*.gcda")):
        done = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", data], stdout=-1, check=True)
        for line in done.stdout.splitlines():
            yield json.loads(line)


def count(directory):
    """{file: {line: {branch of the line: times}}}; times of a template's instances are added up.

    An instance may have fewer branches in a line than another, when the compiler knows more: branches are counted by their
    place from the left.
    """
    files = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
    for report in reports(directory):
        for file in report["files"]:
            name = file["file"][file["file"].find("csrc/") :]
            if not name.startswith("csrc/"):
                continue
            for line in file["lines"]:
                instances = [b for b in line["branches"] if not b["throw"]]
                for i, branch in enumerate(instances):
                    files[name][line["line_number"]][i] += branch["count"]
    return files


def main(directory):
    total = taken = 0
    for name, lines in sorted(count(directory).items()):
        branches = [times for line in lines.values() for times in line.values()]
        missed = [f"{number}({sum(not t for t in line.values())})" for number, line in sorted(lines.items())
                  if not all(line.values())]
        total += len(branches)
        taken += sum(map(bool, branches))
        if branches:
            share = 100 * sum(map(bool, branches)) / len(branches)
            print(f"{name:36}{len(branches):6} branches {share:6.1f} %  {' '.join(missed)}")
    print(f"csrc: {taken} of {total} branches taken, {100 * taken / max(total, 1):.1f} %")


if __name__ == "__main__":
    main(sys.argv[1])
