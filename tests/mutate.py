#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Mutation test of the validator and the geometry: small faults, one at a time, each of which some test must see.

    tests/mutate.py c [--work DIRECTORY] [--only LINE ...]    csrc/geometry.c, against test_geometry.c and test_corpus.c
    tests/mutate.py py [FILE ...] [--only LINE ...]           what of chanconv/ checks and computes sizes (PYTHON, below),
                                                              against the tests of arguments and layers

A mutant that no test kills is printed; tests/mutants.md explains those that cannot be killed, being no faults.
Faults: comparisons and their bounds, + and -, * and /, && and ||, constants, negations, and statements left out.
"""

import argparse
import ast
import importlib
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
C = ROOT / "csrc/geometry.c"

# Tests that take long and see nothing that others do not.
SLOW = ("B15", "B16", "E6", "E12", "E13", "S28", "S29", "verbose", "test_torch", "test_transpose.py and integers_are_exact")
OF_ARGUMENTS = ["test_bad_inputs.py", "test_ops.py", "test_im2col.py", "test_transpose.py"]

# What checks and computes sizes in Python: of a file all, or these functions; and the tests that are to see a fault there,
# the quickest first.
PYTHON = {
    "geometry.py": (None, ["test_geometry.py", *OF_ARGUMENTS, "test_layers.py"]),
    "layers/arguments.py": (None, ["test_layers.py"]),
    "layers/conv.py": (["_checked_groups", "_check_geometry", "_initial_parameters", "_kernel_shape", "_fans"],
                       ["test_layers.py"]),
    "layers/base.py": (["output_shape", "_check_same_kind"], ["test_layers.py"]),
    "layers/sequential.py": (["__init__", "_summary_rows"], ["test_layers.py"]),
    "arrays.py": (["_check_reach", "flat", "_pitches", "_operands", "check_memory", "empty", "overlaps_itself",
                   "_elements_collide", "check_out"], ["test_slices.py", *OF_ARGUMENTS, "test_buffers.py"]),
    "ops.py": (["_biased", "_named", "_gradients", "_conv", "conv_grad_x", "conv_grad_kernel", "_conv_transpose",
                "_transposed_gradients", "im2col", "col2im", "_problem_of_shapes", "conv_output_shape"], OF_ARGUMENTS),
}  # fmt: skip

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
    """A copy of the package with the mutated file. Each run is a child of this process, which has NumPy and pytest already."""

    def __init__(self, work, name):
        self.tests = [str(ROOT / "tests" / test) for test in PYTHON[name][1]]
        self.path = work / "chanconv" / name
        subprocess.run(["cp", "-r", ROOT / "chanconv", work], check=True)
        sys.path.insert(0, str(work))
        sys.dont_write_bytecode = True
        os.environ["PYTHONPATH"] = str(work)  # for the processes that tests start
        for module in ("numpy", "numpy.testing", "numpy.ma"):
            importlib.import_module(module)

    def run(self, text):
        """Whether the tests see it."""
        self.path.write_text(text)
        return any(self.fails(tests) for tests in (self.tests[:1], self.tests[1:]) if tests)

    def fails(self, tests):
        if (child := os.fork()) == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (200, 200))  # seconds: for a mutant that loops
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1), os.dup2(nothing, 2)
            quick = " and ".join(f"not ({name})" for name in SLOW)
            os._exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-k", quick, *tests])))
        return os.waitpid(child, 0)[1] != 0


def lines_of(text, functions):
    """The numbers of the lines of these functions and methods."""
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and node.name in functions)
    return {number for node in nodes for number in range(node.body[0].lineno - 1, node.end_lineno)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", choices=["c", "py"])
    parser.add_argument("files", nargs="*", metavar="FILE", help="of chanconv/, with py")
    parser.add_argument("--work", type=Path, help="directory for builds, kept")
    parser.add_argument("--only", type=int, nargs="*", help="mutants of these lines alone")
    parser.add_argument("--list", action="store_true", help="print the mutants, run nothing")
    options = parser.parse_args()
    files = [C] if options.language == "c" else [ROOT / "chanconv" / name for name in options.files or PYTHON]
    for path in files:
        mutate(path, options)


def mutate(path, options):
    text, comment = path.read_text(), "//" if path == C else "#"
    name = str(path.relative_to(ROOT / ("csrc" if path == C else "chanconv")))
    functions = None if path == C else PYTHON[name][0]
    only = functions and lines_of(text, functions)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        tests = None if options.list else CTests(work) if path == C else PythonTests(work, name)
        if tests and tests.run(text):
            sys.exit("the tests fail without any fault")
        survivors = total = 0
        for number, line in dict.fromkeys(mutants(text, comment)):
            if (options.only and number + 1 not in options.only) or (only and number not in only):
                continue
            total += 1
            lines = text.split("\n")
            if options.list or not tests.run("\n".join([*lines[:number], line, *lines[number + 1 :]])):
                survivors += 1
                print(f"{name}:{number + 1}\n  - {lines[number].strip()}\n  + {line.strip()}", flush=True)
        print(f"{name}: {total} mutants, {survivors} survive", flush=True)


if __name__ == "__main__":
    main()
