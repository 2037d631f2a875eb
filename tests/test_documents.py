# SPDX-License-Identifier: BSD-3-Clause
"""The documents: every file they name exists, their Python runs, and CI gives the commands that the README gives."""

import re
from pathlib import Path

import pytest

import chanconv

ROOT = Path(__file__).parent.parent
NAMES = ("README.md", "HACKING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md", "tests/mutants.md", "docs/abi.md")
NAMES += ("docs/accuracy.md", "docs/activations.md", "docs/embedding.md")
DOCUMENTS = [ROOT / name for name in NAMES]
SUFFIXES = (".py", ".pyx", ".pxi", ".c", ".h", ".md", ".toml")
MADE = {"examples/output"}  # by the programs that the documents speak of

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def prose(document):
    """The text without fenced code."""
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def python(document):
    return [code for language, code in FENCE.findall(document.read_text(encoding="utf-8")) if language == "python"]


def commands(document):
    """The shell commands of indented code and of its code spans that run an example."""
    text = prose(document)
    lines = re.findall(r"^    (\S.*)$", text, re.MULTILINE) + re.findall(r"`(python examples/[^`]*)`", text)
    return [command.split("#")[0].strip() for line in lines for command in line.split("&&")]


def paths(document):
    """Words of code spans and indented code that look like files or folders of the project, and links to them."""
    text = prose(document)
    spans = re.findall(r"`([^`]+)`", text) + re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    words = {word for span in spans for word in span.split()}
    top = {path.name for path in ROOT.iterdir()}
    links = {link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link}
    return links | {
        word
        for word in words
        if re.fullmatch(r"[\w.*/-]+", word) and (word.endswith(SUFFIXES) or (word.split("/")[0] in top and "/" in word))
    }


def exists(path, document):
    """Beside the document or from the root; the name of a file without a folder may be that of any source."""
    if any(any(folder.glob(path.rstrip("/"))) for folder in (document.parent, ROOT)):
        return True
    return "/" not in path and any(any((ROOT / sources).rglob(path)) for sources in ("chanconv", "csrc", "tests"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_exists(document):
    missing = [path for path in sorted(paths(document)) if path not in MADE and not exists(path, document)]
    assert not missing


def test_paths_are_found_at_all():
    """If not, the test above would prove nothing."""
    assert {"csrc/chanconv.h", "csrc/*/*.c", "examples/digits.py", "LICENSE"} <= paths(ROOT / "README.md")
    assert {"csrc/", "csrc/gemm.c", "gemm.c", "tests/c/run"} <= paths(ROOT / "HACKING.md")
    assert not exists("csrc/no_such_file.c", ROOT / "README.md")


@pytest.mark.parametrize("document", DOCUMENTS[:2], ids=lambda path: path.name)
def test_python_runs(document, tmp_path, monkeypatch, capsys):
    """Block after block, in one namespace."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "document"}
    for code in python(document):
        exec(compile(code, str(document), "exec"), namespace)
    assert (document.name == "README.md") == bool(python(document))


def test_names_of_the_readme_exist():
    """The table of what there is names functions of the package."""
    table = re.search(r"## What there is\n(.*?)\n## ", prose(ROOT / "README.md") + "\n## ", re.DOTALL)[1]
    rows = [row for row in table.splitlines() if row.startswith("|") and "activations" not in row]
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(names) > 10
    assert names <= {*chanconv.__all__, "layers", "reference"}


def ci_commands():
    """What .ci/run runs, put as a person would type it."""
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    script = re.sub(r"^environment \w+", "pip install", script, flags=re.MULTILINE)
    script = re.sub(r'"\$work/\w+/bin/(\w+)"', r"\1", script)
    return [line.strip() for line in script.replace("python -m pytest", "pytest").splitlines()]


@pytest.mark.skipif(not (ROOT / ".ci").exists(), reason="a source distribution has no .ci")
def test_ci_runs_the_commands_of_the_readme():
    """Each is the beginning of a line of .ci/run, which may add options."""
    script = ci_commands()
    readme = commands(ROOT / "README.md")
    assert {"pytest", "python examples/digits.py"} <= set(readme)
    for command in readme:
        assert any(f"{line} ".startswith(f"{command} ") for line in script), command
