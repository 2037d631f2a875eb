# SPDX-License-Identifier: BSD-3-Clause
# Results: memory of large ones.
#
# Memory of NumPy's own begins 16 bytes behind a cache line if it is much: every vector of 64 bytes that is stored there
# meets two lines, and large layers take up to a sixth more time. NumPy asks a handler for the memory of an array (its NEP 49),
# so large results are made while one is set that begins at a line. They own their memory like any other array.
#
# The handler keeps the last block of some megabytes that it was given back for the next result of about that size. The system
# zeroes new memory page by page: 1.7 ms for the 16 MiB of 256 x 256 x 64, a fourth of what their convolution takes; and C's
# allocator returns blocks to the system whenever the heap ends in many that are free.

# Names of NumPy, which this module does not import: builds that only ask for paths may not have it.
cdef object NDARRAY = None, EMPTY = None, FLOAT32 = None, FLOAT64 = None

cdef struct Allocator:  # PyDataMemAllocator of NumPy's C API
    void *ctx
    void *(*malloc)(void *ctx, size_t size) noexcept
    void *(*calloc)(void *ctx, size_t count, size_t size) noexcept
    void *(*realloc)(void *ctx, void *memory, size_t size) noexcept
    void (*free)(void *ctx, void *memory, size_t size) noexcept

cdef struct Handler:  # PyDataMem_Handler
    char name[127]
    uint8_t version
    Allocator allocator

cdef enum:  # what lies where in the table of NumPy's C API; places never change
    SET_HANDLER = 304
    GET_HANDLER = 305
    DEFAULT_HANDLER = 306

cdef enum:
    LINE = 64
    ROOM = LINE + 16           # for what stands before the line
    KEPT_BYTES_MIN = 1 << 20   # of a block that is kept
    KEPT_BYTES_MAX = 32 << 20

ALIGNED_FROM = 1 << 15  # elements from which on it saves more than the 0.3 us that the handler takes
cdef double aligned_from = ALIGNED_FROM

cdef object (*get_handler)()
cdef object (*set_handler)(object)
cdef object NUMPYS = None, OURS = None  # handlers, each in its capsule
cdef Allocator numpys
cdef Handler ours


cdef extern from *:
    """
    static void *exchange(void **place, void *value) { return __atomic_exchange_n(place, value, __ATOMIC_ACQ_REL); }
    """
    void *exchange(void **place, void *value) noexcept

cdef void *kept = NULL  # memory of a block, or NULL

cdef struct Block:  # what stands before its first line
    void *base      # as NumPy's allocator gave it
    size_t size     # bytes from the line on


cdef Block *block_of(void *memory) noexcept:
    return <Block *>memory - 1


cdef void *first_line(void *base) noexcept:
    return <void *>((<uintptr_t>base + sizeof(Block) + LINE - 1) & ~<uintptr_t>(LINE - 1))


cdef void *begin_block(void *base, size_t size) noexcept:
    """The memory of a block that NumPy's allocator gave with ROOM for its beginning; NULL stays NULL."""
    cdef void *memory = first_line(base)
    if base == NULL:
        return NULL
    block_of(memory)[0] = Block(base, size)
    return memory


cdef void end_block(void *memory) noexcept:
    if memory != NULL:
        numpys.free(numpys.ctx, block_of(memory).base, block_of(memory).size + ROOM)


cdef void *take_kept(size_t size) noexcept:
    """The kept block if it suits so many bytes, without more than a fifth going to waste, else NULL."""
    cdef void *memory = exchange(&kept, NULL) if KEPT_BYTES_MIN <= size <= KEPT_BYTES_MAX else NULL
    if memory != NULL and not size <= block_of(memory).size <= size + size // 4:
        end_block(exchange(&kept, memory))
        memory = NULL
    return memory


cdef void *take(void *ctx, size_t size) noexcept:
    cdef void *memory = take_kept(size)
    if memory != NULL or size > SIZE_MAX - ROOM:
        return memory
    memory = begin_block(numpys.malloc(numpys.ctx, size + ROOM), size)
    if memory == NULL:  # what is kept may be what is missing
        end_block(exchange(&kept, NULL))
        memory = begin_block(numpys.malloc(numpys.ctx, size + ROOM), size)
    return memory


cdef void *take_zeros(void *ctx, size_t count, size_t size) noexcept:
    if size and count > (SIZE_MAX - ROOM) // size:
        return NULL
    return begin_block(numpys.calloc(numpys.ctx, 1, count * size + ROOM), count * size)


cdef void *resize(void *ctx, void *memory, size_t size) noexcept:
    cdef char *base
    cdef size_t before, used
    if memory == NULL:
        return take(ctx, size)
    if size > SIZE_MAX - ROOM:
        return NULL
    base = <char *>block_of(memory).base
    before = <char *>memory - base
    used = min(size, block_of(memory).size)
    base = <char *>numpys.realloc(numpys.ctx, base, size + ROOM)
    if base != NULL:
        memmove(first_line(base), base + before, used)
    return begin_block(base, size)


cdef void give_back(void *ctx, void *memory, size_t size) noexcept:
    if memory != NULL and KEPT_BYTES_MIN <= block_of(memory).size <= KEPT_BYTES_MAX:
        memory = exchange(&kept, memory)
    end_block(memory)


def use_numpy(numpy, c_api):
    """Hands this section the module and the capsule of its C API; called by `chanconv.arrays`, before anything here can be."""
    global NDARRAY, EMPTY, FLOAT32, FLOAT64, NUMPYS, OURS, get_handler, set_handler, numpys
    cdef void **table = <void **>PyCapsule_GetPointer(c_api, NULL)
    NDARRAY, EMPTY = numpy.ndarray, numpy.empty
    FLOAT32, FLOAT64 = numpy.dtype("float32"), numpy.dtype("float64")
    get_handler = <object (*)()>table[GET_HANDLER]
    set_handler = <object (*)(object)>table[SET_HANDLER]
    NUMPYS = <object>(<PyObject **>table[DEFAULT_HANDLER])[0]
    numpys = (<Handler *>PyCapsule_GetPointer(NUMPYS, "mem_handler")).allocator
    strcpy(ours.name, "chanconv")
    ours.version = 1
    ours.allocator = Allocator(NULL, take, take_zeros, resize, give_back)
    OURS = PyCapsule_New(&ours, "mem_handler", NULL)


cdef bint is_large(tuple shape) except -1:
    cdef double size = 1
    for i in range(len(shape)):
        size *= PyLong_AsDouble(shape[i])
    return size >= aligned_from


cdef object new_large(object shape, object dtype):
    """A program's own handler stays in charge."""
    if get_handler() is not NUMPYS:
        return EMPTY(shape, dtype)
    set_handler(OURS)
    try:
        return EMPTY(shape, dtype)
    finally:
        set_handler(NUMPYS)


def new_array(tuple shape not None, dtype):
    """An array for a result, not initialised."""
    return new_large(shape, dtype) if is_large(shape) else EMPTY(shape, dtype)


cdef object new_like(const Py_buffer *x, object shape, object dtype):
    """The same, of the size of x, or about it."""
    return new_large(shape, dtype) if x.len >= aligned_from * x.itemsize else EMPTY(shape, dtype)
