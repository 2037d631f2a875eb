# SPDX-License-Identifier: BSD-3-Clause
# Status and errors.

cdef dict EXCEPTIONS = {CHANCONV_NO_MEMORY: MemoryError}  # every other failure is a ValueError


cdef int check(chanconv_status status, chanconv_error *error) except -1:
    """Raises what a failed call stands for; the text is the library's own and begins with the argument's name."""
    cdef const char *text
    if status == CHANCONV_OK:
        return 0
    text = &error.text[0]
    if text[0] == 0:
        text = chanconv_status_string(status)
    raise EXCEPTIONS.get(<int>status, ValueError)(text.decode())


cdef int check_count(str argument, int64_t got, int64_t expected) except -1:
    """A second guard behind the callers' checks of shapes: no pass may run past the end of an array."""
    if got != expected:
        raise ValueError(f"{argument}: expected {expected} elements, got {got}")
    return 0
