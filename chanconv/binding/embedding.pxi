# SPDX-License-Identifier: BSD-3-Clause
# What other compiled code asks for.

_C_API = PyCapsule_New(<void *>chanconv_get_api(), "chanconv._chanconv._C_API", NULL)


def c_api_address():
    """The address of the table of the C library's functions, the ``chanconv_api`` of chanconv.h."""
    return <uintptr_t>chanconv_get_api()


def c_functions():
    """The addresses of the C library's functions, in the order of the table, by names without ``chanconv_``."""
    cdef const chanconv_api *api = chanconv_get_api()
    cdef void **function = <void **>&api.version_number
    cdef int i = 0
    found = {}
    while api.names[i] != NULL:
        found[api.names[i].decode()] = <uintptr_t>function[i]
        i += 1
    return found


def abi_version():
    """The version of the C library's binary interface, (major, minor)."""
    return chanconv_abi_major(), chanconv_abi_minor()
