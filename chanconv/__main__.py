# SPDX-License-Identifier: BSD-3-Clause
"""``python -m chanconv``: what `chanconv.show_config` shows; with an option, what build systems ask for.

It imports no NumPy, so that an answer takes no longer than the interpreter's start.
"""

import argparse
import json
import shlex

from chanconv import embedding
from chanconv.config import show_config

_ANSWERS = {
    "--version": ("the version", lambda: show_config("dicts")["version"]),
    "--cflags": ("compiler flags for chanconv.h", lambda: shlex.join(embedding.cflags())),
    "--libs": ("linker flags for libchanconv.a", lambda: shlex.join(embedding.libs())),
    "--include": ("the directory of the headers", embedding.get_include),
    "--library-dir": ("the directory of libchanconv.a", embedding.get_library_dir),
    "--cmake-dir": ("the directory of chanconvConfig.cmake", embedding.get_cmake_dir),
    "--pkgconfig-dir": ("the directory of chanconv.pc", embedding.get_pkgconfig_dir),
    "--json": ("the configuration, with all directories, as JSON", lambda: json.dumps(_everything(), indent=2)),
}


def _everything():
    return show_config("dicts") | {"embedding": embedding.paths()}


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m chanconv", description="Show the configuration of chanconv, or what a build against it needs."
    )
    for option, (text, _) in _ANSWERS.items():
        parser.add_argument(option, action="append_const", dest="asked", const=option, help=text)
    asked = parser.parse_args().asked
    if not asked:
        show_config()
        return
    # Flags go on one line, to be used as $(python -m chanconv --cflags --libs).
    print(*(_ANSWERS[option][1]() for option in asked))


if __name__ == "__main__":
    main()
