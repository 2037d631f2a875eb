# SPDX-License-Identifier: BSD-3-Clause
"""The table of functions: what compiled consumers rely on never changes."""

import re
import shutil
from pathlib import Path

import pytest
from downstream import run

HERE = Path(__file__).parent
GOLDEN = HERE / "api_1.txt"

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")


def members(header):
    """The members of chanconv_api and the fields of the structs that callers make, in order."""
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    found = {}
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", code, re.DOTALL):
        names = []
        for declaration in body.split(";"):
            pointer = re.search(r"\(\*(\w+)\)\(", declaration)
            plain = re.findall(r"(\w+)(?:\[\w+\])*\s*(?:,|$)", declaration.strip())
            names += [pointer[1]] if pointer else plain
        found[name] = names
    return found


def test_offsets(environment, tmp_path):
    """[5] Offsets of all fields, on 64-bit systems, are those of the golden file; new ones come at the end.

    A new minor version appends lines for its new members to the file; no line of it may ever change.
    """
    include = environment.ask("--include")
    structs = members(Path(include, "chanconv.h").read_text())
    rows = "".join(
        f'    printf("{struct} {name} %zu\\n", offsetof({struct}, {name}));\n'
        for struct, names in structs.items()
        for name in names
    )
    source = f"#include <chanconv.h>\n#include <stdio.h>\nint main(void)\n{{\n{rows}    return 0;\n}}\n"
    (tmp_path / "offsets.c").write_text(source)
    run("cc", f"-I{include}", "offsets.c", "-o", "offsets", cwd=tmp_path)
    assert run("./offsets", cwd=tmp_path).splitlines() == GOLDEN.read_text().splitlines()


def build(environment, folder, old, new):
    """The example's extension, compiled with a header that differs."""
    include = shutil.copytree(environment.ask("--include"), folder / "include")
    header = include / "chanconv.h"
    text = header.read_text()
    assert re.search(old, text)
    header.write_text(re.sub(old, new, text, count=1))
    setup = folder / "setup.py"
    setup.write_text(setup.read_text().replace("chanconv.get_include()", "'include'"))
    environment.run("setup.py", "-q", "build_ext", "--inplace", cwd=folder)


def test_older_header(environment, example):
    """[4] Compiled with a header that knows fewer functions, as that of an earlier release would."""
    folder = example("c_extension")
    shorter = r"(?s)    chanconv_status \(\*im2col\).*?(\} chanconv_api;)"
    python = Path(environment.ask("--include"), "chanconv_python.h").read_text()
    missing = python.split("#define chanconv_im2col ")[0]
    build(environment, folder, shorter, r"\1")
    rest = python[python.index("\n#define chanconv_abi_major()") :]
    (folder / "include" / "chanconv_python.h").write_text(missing + rest)
    for stale in folder.glob("edges*.so"):
        stale.unlink()
    environment.run("setup.py", "-q", "build_ext", "--inplace", "--force", cwd=folder)
    assert "*###*" in environment.run("demo.py", cwd=folder)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (r"ABI_MAJOR 1\n", r"ABI_MAJOR 2\n", "compiled for version 2 of chanconv's C ABI"),
        (r"(\} chanconv_api;)", r"    void (*later)(void);\n\1", "install a newer one"),
    ],
)
def test_newer_header(environment, example, old, new, text):
    """[4] Compiled for a library newer than the one that is installed: an ImportError that says so."""
    folder = example("c_extension")
    build(environment, folder, old, new)
    output = environment.run("-c", "import edges", cwd=folder, fails=True)
    assert "ImportError" in output and text in output
