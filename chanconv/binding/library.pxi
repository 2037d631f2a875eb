# SPDX-License-Identifier: BSD-3-Clause
# The library: version, threads, instruction set, processor.

ctypedef const char *(*indexed_texts)(int) noexcept nogil


cdef tuple texts(indexed_texts text):
    """What a function gives for index 0, 1, ... until NULL."""
    cdef int count = 0
    while text(count) != NULL:
        count += 1
    return tuple(text(i).decode(errors="replace") for i in range(count))


def version():
    """The version of the C library."""
    return chanconv_version().decode()


def compiler():
    """The compiler that built it."""
    return chanconv_compiler().decode()


def get_num_threads():
    """The number of threads that a call may use."""
    return chanconv_get_num_threads()


def set_num_threads(int n):
    """Sets it; at least 1, and limited if huge."""
    chanconv_set_num_threads(n)


def num_threads_source():
    """What decides the number of threads: "processors", a variable of the environment or "chanconv_set_num_threads"."""
    return chanconv_num_threads_source().decode()


def isa():
    """The instruction set in use."""
    return chanconv_isa().decode()


def isa_available():
    """The instruction sets that this processor can run, best first."""
    return texts(chanconv_isa_available)


def isa_compiled():
    """The instruction sets that the library was built with, best first."""
    return texts(chanconv_isa_compiled)


def set_isa(str name not None):
    """Holds the process to one of `isa_available`; not while other threads are in calls."""
    if chanconv_set_isa(name.encode()) != CHANCONV_OK:
        raise ValueError(f"isa: expected one of {', '.join(isa_available())}, got {name!r}")


def environment_warnings():
    """Why values of the environment were ignored, a sentence each."""
    return texts(chanconv_environment_warning)


def cpu_info():
    """Bytes of the caches, and the processors that this process may use."""
    cdef chanconv_cpu_info info
    info.struct_size = sizeof(info)
    check(chanconv_get_cpu_info(&info), NULL)
    return {"l1_bytes": info.l1_bytes, "l2_bytes": info.l2_bytes, "l3_bytes": info.l3_bytes,
            "processors": info.processors}
