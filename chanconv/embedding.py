# SPDX-License-Identifier: BSD-3-Clause
"""Where other compiled code finds the C library: headers, archive, build-system files, addresses.

Nothing here imports NumPy: build systems ask, and may do so where it is not installed.
"""

import os.path

from chanconv import _chanconv

_PACKAGE = os.path.dirname(os.path.realpath(__file__))  # pathlib would take half of the time of the import


def get_include():
    """The directory of ``chanconv.h`` and ``chanconv_python.h``, for the include path of a C, C++ or Cython build.

    Returns
    -------
    str

    Examples
    --------
    ``Extension("sharpen", ["sharpen.pyx"], include_dirs=[chanconv.get_include()])``
    """
    return os.path.join(_PACKAGE, "include")


def get_library_dir():
    """The directory of ``libchanconv.a``: static, position-independent, with all symbols hidden.

    Returns
    -------
    str
    """
    return os.path.join(_PACKAGE, "lib")


def get_library():
    """The path of ``libchanconv.a``; programs that link it link ``-lm -pthread`` too.

    Returns
    -------
    str
    """
    return os.path.join(_PACKAGE, "lib", "libchanconv.a")


def get_cmake_dir():
    """The directory of ``chanconvConfig.cmake``, for ``-Dchanconv_DIR=...`` and ``find_package(chanconv CONFIG)``.

    Returns
    -------
    str
    """
    return os.path.join(_PACKAGE, "share", "cmake", "chanconv")


def get_pkgconfig_dir():
    """The directory of ``chanconv.pc``, for ``PKG_CONFIG_PATH``.

    Returns
    -------
    str
    """
    return os.path.join(_PACKAGE, "share", "pkgconfig")


def c_api_address():
    """The address of the table of the C library's functions, ``chanconv_api`` in ``chanconv.h``.

    It is the table of the capsule ``chanconv._chanconv._C_API``, which C and Cython code import with the
    ``import_chanconv()`` of ``chanconv_python.h``. It stays where it is as long as the process lives.

    Returns
    -------
    int
    """
    return _chanconv.c_api_address()


def c_functions():
    """The addresses of the functions of ``chanconv.h``, for ctypes, cffi and Numba.

    Returns
    -------
    dict of str to int
        By names without ``chanconv_``, in the order of the table.

    Examples
    --------
    >>> import ctypes
    >>> version = ctypes.CFUNCTYPE(ctypes.c_char_p)(c_functions()["version"])
    >>> version().decode() == chanconv.__version__
    True
    """
    return _chanconv.c_functions()


def cflags():
    """Compiler flags, a list."""
    return [f"-I{get_include()}"]


def libs():
    """Linker flags, a list."""
    return [get_library(), "-lm", "-pthread"]


def paths():
    """Everything above that is a path, a dict that ``json`` can write."""
    return {
        "include": get_include(),
        "library": get_library(),
        "library_dir": get_library_dir(),
        "cmake_dir": get_cmake_dir(),
        "pkgconfig_dir": get_pkgconfig_dir(),
    }
