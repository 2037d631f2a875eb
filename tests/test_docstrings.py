# SPDX-License-Identifier: BSD-3-Clause
"""The examples in the documentation of every module give what they say."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

import chanconv

MODULES = ["chanconv", *(module.name for module in pkgutil.walk_packages(chanconv.__path__, "chanconv."))]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples(name):
    module = importlib.import_module(name)
    with np.printoptions(legacy=False):
        assert not doctest.testmod(module, extraglobs={"np": np, "chanconv": chanconv}).failed


@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_without_docstrings(option):
    """-OO leaves none to add to."""
    code = (
        "import sys, numpy as np, chanconv\n"
        "from chanconv import activations\n"
        "assert (activations.relu.__doc__ is None) == (sys.flags.optimize == 2)\n"
        "print(chanconv.conv(np.ones((3, 3, 1)), np.ones((2, 2, 1)), activation='relu').sum())\n"
    )
    done = subprocess.run([sys.executable, option, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("16.0\n", "")
