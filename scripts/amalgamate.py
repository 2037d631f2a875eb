# SPDX-License-Identifier: BSD-3-Clause
"""The C library as one file, for programs that would rather carry one: ``python scripts/amalgamate.py chanconv.c``.

The file compiles to what ``csrc/*.c csrc/*/*.c`` do; ``csrc/chanconv.h`` goes with it. Headers with a guard come once, the
templates of kernels wherever they are included. A name that a source has for itself, and that stands in another file too, gets
the source's name behind it; macros end with the source that defines them.
"""

import argparse
import re
from collections import Counter
from functools import cache
from pathlib import Path

BEGINNING = """\
/* SPDX-License-Identifier: BSD-3-Clause
 * chanconv, made of the files of its csrc/ by scripts/amalgamate.py. */
#define _GNU_SOURCE 1
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-const-variable" /* of the coefficients some are for others of the kernels */
#endif
"""

CSRC = Path(__file__).resolve().parents[1] / "csrc"

INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.MULTILINE)
SYSTEM = re.compile(r"^#define _GNU_SOURCE.*\n", re.MULTILINE)  # before the first header of the system, so for all
DEFINED = re.compile(r"^# *define (\w+)", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
WORD = re.compile(r"(->|\.|\bstruct |\b)\b([A-Za-z_]\w*)")
STRUCT = re.compile(r"^struct (\w+)\s*\{.*?^\}", re.MULTILINE | re.DOTALL)
ENUM = re.compile(r"^enum\s*\{(.*?)\}", re.MULTILINE | re.DOTALL)
# Functions and variables; "} x" ends the type of one, a structure without a name.
STATIC = re.compile(r"^(?:static (?:_Atomic\([^)]*\))?[^;={(\[]*?|\} )(\w+)\s*[(\[=;]", re.MULTILINE)


@cache
def text_of(path):
    return path.read_text()


def internal_names(path):
    """What a source names for itself alone: static functions, tables and constants, and "struct X" for a structure."""
    text = COMMENT.sub("", text_of(path))
    constants = (re.match(r"\s*(\w*)", entry)[1] for body in ENUM.findall(text) for entry in body.split(","))
    return {*STATIC.findall(text), *constants, *(f"struct {name}" for name in STRUCT.findall(text))} - {""}


def renamed(text, names, suffix):
    """The text with a suffix behind `names`, but not where they are those of members."""
    bodies = [match.span() for match in STRUCT.finditer(text)]
    kept = [match.span() for pattern in (COMMENT, STRING, INCLUDE) for match in pattern.finditer(text)]

    def rename(match):
        before, name = match.groups()
        start = match.start(2)
        in_structure = any(begin < start < end for begin, end in bodies)
        of_member = before in (".", "->") or (in_structure and name.islower() and before != "struct ")
        name_is_free = (before + name if before == "struct " else name) not in names
        if of_member or name_is_free or any(begin <= start < end for begin, end in kept):
            return match[0]
        return f"{before}{name}_{suffix}"

    return WORD.sub(rename, text)


class Amalgamation:
    """The one file, source by source."""

    def __init__(self):
        self.sources = [*sorted(CSRC.glob("*.c")), *sorted(CSRC.glob("*/*.c"))]
        self.guarded = set()
        files = [*self.sources, *CSRC.glob("*.h")]
        self.files_with = Counter(word for path in files for word in set(re.findall(r"\w+", COMMENT.sub("", text_of(path)))))

    def __str__(self):
        return "\n".join([BEGINNING, *map(self.source, self.sources)])

    def source(self, path):
        names = {name for name in internal_names(path) if self.is_taken(name.removeprefix("struct "))}
        text = SYSTEM.sub("", renamed(text_of(path), names, path.stem))
        text = self.expanded(text, path.parent)
        ends = "".join(f"#undef {name}\n" for name in dict.fromkeys(self.macros))
        return f"/* ==== {path.relative_to(CSRC)} ==== */\n\n{text}\n{ends}"

    def is_taken(self, name):
        """Whether a name would meet another; structures of the public header are what it names."""
        return self.files_with[name] > 1 and not name.startswith("chanconv_")

    def expanded(self, text, folder, outermost=True):
        """The text of a file in `folder` with what it includes; `macros` are then those that end with its source."""
        if outermost:
            self.macros = []
        self.macros += DEFINED.findall(text)
        return INCLUDE.sub(lambda match: self.included((folder / match[1]).resolve()), text)

    def included(self, path):
        text = text_of(path)
        if not re.search(r"^#ifndef CHANCONV_\w*H$", text, re.MULTILINE):
            return self.expanded(text, path.parent, outermost=False)
        if path in self.guarded:
            return ""
        self.guarded.add(path)
        outer, self.macros = self.macros, []
        text = self.expanded(text, path.parent, outermost=False)
        self.macros = outer
        return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.parse_args().output.write_text(str(Amalgamation()))


if __name__ == "__main__":
    main()
