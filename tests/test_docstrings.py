# SPDX-License-Identifier: BSD-3-Clause
"""The examples in the documentation of every module give what they say."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import chanconv

MODULES = ["chanconv", *(module.name for module in pkgutil.walk_packages(chanconv.__path__, "chanconv."))]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples(name):
    module = importlib.import_module(name)
    with np.printoptions(legacy=False):
        assert not doctest.testmod(module, extraglobs={"np": np, "chanconv": chanconv}).failed
