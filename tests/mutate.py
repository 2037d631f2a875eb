#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Mutation test of the validator and the geometry: small faults, one at a time, each of which some test must see.

    tests/mutate.py c [--work DIRECTORY] [--only LINE ...]    csrc/geometry.c, against test_geometry.c and test_corpus.c
    tests/mutate.py py [--only LINE ...]                      chanconv/geometry.py, against the tests of arguments

A mutant that no test kills is printed; tests/mutants.md explains those that cannot be killed, being no faults.
Faults: comparisons and their bounds, + and -, * and /, && and ||, constants, negations, and statements left out.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
C, PY = ROOT / "csrc/geometry.c", ROOT / "chanconv/geometry.py"

SWAPS = [
    (r"<=", ["<", ">"]), (r">=", [">", "<"]), (r"(?<![-<=])<(?![<=])", ["<="]), (r"(?<![->=])>(?![>=])", [">="]),
    (r"==", ["!="]), (r"!=", ["=="]), (r" \+ ", [" - "]), (r" - ", [" + "]), (r" \* ", [" / "]), (r" // ", [" * "]),
    (r"(?<=\w) / ", [" * "]), (r" % ", [" * "]), (r"&&", ["||"]), (r"\|\|", ["&&"]), (r" and ", [" or "]), (r" or ", [" and "]),
    (r"\bmax64\b", ["min64"]), (r"\bmin64\b", ["max64"]), (r"\bmax\(", ["min("]), (r"\bmin\(", ["max("]),
    (r"\bnot ", [""]), (r"(?<![\w\"])!(?=[\w(])", [""]),
    (r"(?<![\w.\"])0(?![\w.\"])", ["1"]), (r"(?<![\w.\"])1(?![\w.\"])", ["0", "2"]), (r"(?<![\w.\"])2(?![\w.\"])", ["3"]),
]  # fmt: skip


def code_lines(text, comment):
    """(number, line) of what may be mutated: no comments, docstrings, includes, nor texts of errors."""
    inside = False
    for number, line in enumerate(text.split("\n")):
        stripped = line.strip()
        if comment == "//":
            if inside or stripped.startswith("/*"):
                inside = "*/" not in stripped
                continue
            if stripped.startswith(("#", '"', "static const char", "return fail(", "(long long)", "axis_name")):
                continue
        else:
            if inside or stripped.startswith('"""'):
                quotes = stripped.count('"""')
                inside = quotes == 1 if not inside else quotes == 0
                continue
            if stripped.startswith(("#", "import ", "from ", "raise ", "f\"", "@")):
                continue
        yield number, line


def spans_of_texts(line):
    return [m.span() for m in re.finditer(r'"[^"]*"|/\*.*?\*/|#\s.*', line)]


def mutants(text, comment):
    """(line number, mutated line) for every fault."""
    for number, line in code_lines(text, comment):
        texts = spans_of_texts(line)
        for pattern, replacements in SWAPS:
            for match in re.finditer(pattern, line):
                if any(a <= match.start() < b for a, b in texts):
                    continue
                for replacement in replacements:
                    yield number, line[: match.start()] + replacement + line[match.end() :]
        indent, statement = line[: len(line) - len(line.lstrip())], line.strip()
        if re.fullmatch(r"[\w\[\]>.*-]+( [-+*]?= .*| =.*|\+\+);" if comment == "//" else r"[\w\[\], ]+ [-+]?= .*[^(\[{,]",
                        statement) or statement.startswith("TRY("):  # fmt: skip
            yield number, indent + (";" if comment == "//" else "pass")


class CTests:
    """The library's objects, the mutated one replaced, linked with the tests that are to see it."""

    def __init__(self, work):
        self.work = work
        self.flags = ["-O1", "-w", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
        work.mkdir(parents=True, exist_ok=True)
        sources = sorted(path for path in (ROOT / "csrc").rglob("*.c") if path != C)
        self.objects = [work / (str(s.relative_to(ROOT)).replace("/", "-") + ".o") for s in sources]
        for source, built in zip(sources, self.objects, strict=True):
            if not built.exists():
                flags = ["-O1", "-w"] if source.parent.name == "kernels" else self.flags
                subprocess.run(["cc", *flags, "-c", source, "-o", built], check=True)
        self.tests = []
        for name in ("geometry", "corpus"):
            built = work / f"{name}.o"
            subprocess.run(["cc", *self.flags, "-c", ROOT / f"tests/c/test_{name}.c", "-o", built], check=True)
            self.tests.append(built)

    def run(self, text):
        """The name of the first test that fails, or None."""
        source = self.work / "mutant.c"
        source.write_text(text)
        includes = f"-I{ROOT / 'csrc'}"
        built = subprocess.run(["cc", *self.flags, includes, "-c", source, "-o", self.work / "mutant.o"], stderr=-3)
        if built.returncode:
            return "compiler"
        for test in self.tests:
            binary = self.work / "mutant"
            command = ["cc", *self.flags, test, self.work / "mutant.o", *self.objects, "-lm", "-pthread", "-o", binary]
            subprocess.run(command, check=True)
            try:
                done = subprocess.run([binary], stdout=-3, stderr=-3, timeout=60)
            except subprocess.TimeoutExpired:
                return f"{test.stem} (time)"
            if done.returncode:
                return test.stem
        return None


class PythonTests:
    """A copy of the package with the mutated file."""

    TESTS = ("test_bad_inputs.py", "test_ops.py", "test_im2col.py", "test_transpose.py")

    def __init__(self, work):
        self.package = work / "chanconv"
        subprocess.run(["cp", "-r", ROOT / "chanconv", work], check=True)

    def run(self, text):
        (self.package / "geometry.py").write_text(text)
        tests = [ROOT / "tests" / name for name in self.TESTS]
        environment = os.environ | {"PYTHONPATH": str(self.package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(command, env=environment, stdout=-3, stderr=-3, timeout=300, cwd=self.package.parent)
        except subprocess.TimeoutExpired:
            return "time"
        return "tests" if done.returncode else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", choices=["c", "py"])
    parser.add_argument("--work", type=Path, help="directory for builds, kept")
    parser.add_argument("--only", type=int, nargs="*", help="mutants of these lines alone")
    parser.add_argument("--list", action="store_true", help="print the mutants, run nothing")
    options = parser.parse_args()
    path, comment = (C, "//") if options.language == "c" else (PY, "#")
    text = path.read_text()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        tests = None if options.list else (CTests if options.language == "c" else PythonTests)(work)
        if tests and tests.run(text):
            sys.exit("the tests fail without any fault")
        survivors = total = 0
        for number, line in dict.fromkeys(mutants(text, comment)):
            if options.only and number + 1 not in options.only:
                continue
            total += 1
            lines = text.split("\n")
            if options.list or not tests.run("\n".join([*lines[:number], line, *lines[number + 1 :]])):
                survivors += 1
                print(f"{path.name}:{number + 1}\n  - {lines[number].strip()}\n  + {line.strip()}", flush=True)
        print(f"{total} mutants, {survivors} survive")


if __name__ == "__main__":
    main()
