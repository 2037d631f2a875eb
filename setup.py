"""Build of the one extension module; everything else about the project stands in pyproject.toml."""
from glob import glob
import sysconfig

from setuptools import Extension, setup

# The limited API makes one wheel serve every Python from 3.11 on; free-threaded builds do not have it.
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
limited = [] if free_threaded else [("Py_LIMITED_API", "0x030B0000")]

setup(
    ext_modules=[
        Extension(
            "chanconv._chanconv",
            ["chanconv/_chanconv.pyx", *sorted(glob("csrc/**/*.c", recursive=True))],
            include_dirs=["csrc"],
            depends=sorted(glob("csrc/**/*.h", recursive=True)),
            define_macros=limited,
            py_limited_api=not free_threaded,
            extra_compile_args=["-g0", "-fvisibility=hidden"],
            libraries=["m", "pthread"],
        )
    ],
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
