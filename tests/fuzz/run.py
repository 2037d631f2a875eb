#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Builds the fuzz targets of fuzz.c and runs them.

    tests/fuzz/run.py fuzz TARGET ... --work DIRECTORY --seconds N   libFuzzer (clang), each target in turn
    tests/fuzz/run.py merge TARGET ... --work DIRECTORY --most N     what it found, back into the committed corpus

Inputs are kept in corpus/<target>.txt, a line of hex digits each; tests/c/test_corpus.c runs them. `all` stands for
every target. Fuzzing goes on from what the directory --work has: builds, inputs and crashes.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
SANITIZE = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
# Kernels have few branches of interest, and take minutes to compile with counters and checks of arithmetic.
KERNELS = ["-g", "-O1", "-fsanitize=address"]
COUNTERS = ["-fsanitize-coverage=inline-8bit-counters,pc-table"]


def targets():
    text = (HERE / "fuzz.c").read_text()
    return re.findall(r"\bT\((\w+)\)", text[text.index("#define ALL_TARGETS") : text.index("#ifdef REPLAY")])


def build(compiler, work):
    """The library's objects."""
    work.mkdir(parents=True, exist_ok=True)
    newest = max(path.stat().st_mtime for path in CSRC.rglob("*.[ch]"))

    def compile_one(source):
        built = work / (str(source.relative_to(CSRC)).replace("/", "-") + ".o")
        flags = KERNELS if source.parent.name == "kernels" else ["-O1", *SANITIZE, *COUNTERS]
        if not built.exists() or built.stat().st_mtime < newest:
            subprocess.run([compiler, *flags, "-c", source, "-o", built], check=True)
        return built

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sorted(CSRC.rglob("*.c"))))


def link(compiler, objects, binary, *flags):
    sources = [HERE / "fuzz.c", *objects]
    subprocess.run([compiler, "-O1", *SANITIZE, *flags, *sources, "-lm", "-pthread", "-o", binary], check=True)


def directories(work, target):
    """Where libFuzzer keeps a target's inputs, with the committed ones, and what it found wrong."""
    inputs, crashes = work / "inputs" / target, work / "crashes" / target
    inputs.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    committed = HERE / "corpus" / f"{target}.txt"
    for i, line in enumerate(committed.read_text().split() if committed.exists() else []):
        (inputs / f"committed{i}").write_bytes(bytes.fromhex(line))
    return inputs, crashes


def fuzz(options, work):
    compiler = os.environ.get("CC", "clang")
    objects = build(compiler, work / "fuzz")
    failed = []
    for target in options.targets:
        binary = work / "fuzz" / target
        link(compiler, objects, binary, "-fsanitize=fuzzer", f"-DTARGET={target}")
        inputs, crashes = directories(work, target)
        settings = ["-max_len=96", "-entropic=0", "-timeout=20", "-rss_limit_mb=3000", "-print_final_stats=1"]
        done = subprocess.run(
            [binary, *settings, f"-max_total_time={options.seconds}", f"-artifact_prefix={crashes}/", inputs],
            stderr=subprocess.PIPE,
        )
        log = done.stderr.decode(errors="replace")
        count = re.search(r"number_of_executed_units: (\d+)", log)
        print(f"{target}: {count[1] if count else '?'} executions, exit status {done.returncode}", flush=True)
        if done.returncode:
            print(log[-3000:])
            failed.append(target)
    if failed:
        sys.exit(f"failed: {' '.join(failed)}; inputs in {work / 'crashes'}")


def merge(options, work):
    """The fewest inputs with the same coverage; if those are many, some of all lengths."""
    for target in options.targets:
        inputs, _ = directories(work, target)
        with tempfile.TemporaryDirectory() as least:
            subprocess.run([work / "fuzz" / target, "-merge=1", least, inputs], check=True, stderr=subprocess.DEVNULL)
            found = sorted((path.read_bytes() for path in Path(least).iterdir()), key=lambda data: (len(data), data))
        text = "".join(f"{data.hex()}\n" for data in found[:: 1 + len(found) // options.most] if data)
        (HERE / "corpus" / f"{target}.txt").write_text(text)
        print(f"{target}: {len(text.split())} of {len(found)} inputs")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["fuzz", "merge"])
    parser.add_argument("targets", nargs="*", default=[], metavar="TARGET", help=f"all, or {', '.join(targets())}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--most", type=int, default=150, help="inputs to keep of a target (150)")
    parser.add_argument("--work", type=Path, required=True, help="directory for builds, inputs and crashes")
    options = parser.parse_args()
    options.targets = targets() if options.targets in ([], ["all"]) else options.targets
    {"fuzz": fuzz, "merge": merge}[options.action](options, options.work)


if __name__ == "__main__":
    main()
