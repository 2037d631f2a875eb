"""python setup.py build_ext --inplace && python demo.py"""
import chanconv
from setuptools import Extension, setup

setup(
    name="sharpen",
    ext_modules=[Extension("sharpen", ["sharpen.pyx"], include_dirs=[chanconv.get_include()])],
)
