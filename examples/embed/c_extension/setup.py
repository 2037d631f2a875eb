"""python setup.py build_ext --inplace && python demo.py"""
import chanconv
from setuptools import Extension, setup

setup(
    name="edges",
    ext_modules=[
        Extension(
            "edges",
            ["edgesmodule.c"],
            include_dirs=[chanconv.get_include()],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
        )
    ],
)
