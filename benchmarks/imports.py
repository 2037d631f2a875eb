# SPDX-License-Identifier: BSD-3-Clause
"""What an import of chanconv costs beside NumPy's, and the size of the installed package: python benchmarks/imports.py"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

CODE = """
import time, numpy
start = time.process_time()
{}
print(time.process_time() - start)
"""


def milliseconds(statement, rounds=15):
    """The median over fresh processes."""
    command = [sys.executable, "-c", CODE.format(statement)]
    runs = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(rounds)]
    return 1e3 * statistics.median(runs)


def main():
    for statement in ("import chanconv", "import chanconv; chanconv.conv", "import chanconv, chanconv.layers"):
        print(f"{milliseconds(statement):6.2f} ms  {statement}, of processor time, beyond import numpy")
    import chanconv

    package = Path(chanconv.__file__).parent
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    print(f"{sum(map(os.path.getsize, files)) / 1e6:6.2f} MB  installed")
    for path in sorted(files, key=os.path.getsize)[:-4:-1]:
        print(f"{path.stat().st_size / 1e6:6.2f} MB    {path.relative_to(package)}")


if __name__ == "__main__":
    main()
