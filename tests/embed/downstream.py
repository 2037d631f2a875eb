# SPDX-License-Identifier: BSD-3-Clause
"""For the tests of embedding: commands, builds of the wheel, fresh environments."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "embed"
TOOLS = ("numpy", "setuptools", "cython", "pkgconf", "cmake", "ninja", "meson")
NOT_SOURCES = (".git", "build", "dist", "*.egg-info", "*.so", "__pycache__", ".*_cache", ".hypothesis")


def run(*command, cwd=None, env=None, fails=False, timeout=300):
    """The output of a command that must succeed, or if `fails` must not."""
    command = [str(word) for word in command]
    process = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment() | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (process.returncode != 0) == fails, f"{' '.join(command)}\n{process.stdout}"
    return process.stdout


def clean_environment():
    """The environment without what would lead Python, or a compiler, to this checkout."""
    removed = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PKG_CONFIG_PATH", "LD_LIBRARY_PATH", "CMAKE_PREFIX_PATH")
    return {
        name: value for name, value in os.environ.items() if name not in removed and not name.startswith("CHANCONV_")
    }


def copy_of_sources(target):
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*NOT_SOURCES, "include", "lib", "share", "_chanconv.c"))
    return target


def build(tmp, *what):
    """sdist or wheel, or the wheel from the sdist, of a copy of the sources."""
    sources = copy_of_sources(tmp / "sources")
    run(sys.executable, "-m", "build", "-q", *what, "--outdir", tmp / "dist", sources, timeout=900)
    return tmp / "dist"


class Environment:
    """A virtual environment."""

    def __init__(self, path):
        self.path = path
        self.python = path / "bin" / "python"

    def install(self, *what):
        process = subprocess.run(
            [self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *map(str, what)],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            pytest.skip(f"pip cannot install {what}: {process.stderr[-300:]}")

    def run(self, *arguments, cwd=None, **options):
        return run(self.python, *arguments, cwd=cwd or self.path, **options)

    def tool(self, name, *arguments, env=None, **options):
        """A program of the environment, with the environment's programs first in the path."""
        path = f"{self.path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return run(self.path / "bin" / name, *arguments, env={"PATH": path} | (env or {}), **options)

    def ask(self, option):
        return self.run("-m", "chanconv", option).strip()


def new_environment(path, *packages):
    venv.create(path, with_pip=True)
    environment = Environment(path)
    environment.install(*packages)
    return environment
