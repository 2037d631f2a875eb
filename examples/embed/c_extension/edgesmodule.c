/* SPDX-License-Identifier: BSD-3-Clause
 *
 * edges(image, height, width): how steep a grey image is at every pixel. image is anything that shows a buffer of floats,
 * an array.array or a NumPy array; the result is bytes of as many floats.
 *
 * An extension module by hand, for the stable ABI. It links nothing: chanconv comes from the installed package.
 */
#define PY_SSIZE_T_CLEAN
#include <chanconv_python.h>
#include <math.h>
#include <stdlib.h>

/* Sobel's kernels, [3][3][1][2]: how fast the image grows downwards and to the right. */
static const float sobel[3][3][2] = {
    {{-1, -1}, {-2, 0}, {-1, 1}},
    {{0, -2}, {0, 0}, {0, 2}},
    {{1, -1}, {2, 0}, {1, 1}},
};

/* Both slopes of every pixel at once: a convolution with one channel in and two out. */
static chanconv_status slopes(const float *image, Py_ssize_t height, Py_ssize_t width, float *slope,
                              chanconv_error *error)
{
    chanconv_conv conv;
    chanconv_conv_init(&conv);
    conv.h = height;
    conv.w = width;
    conv.c = 1;
    conv.kh = conv.kw = 3;
    conv.k = 2;
    conv.padding_rule = CHANCONV_PAD_SAME;
    conv.padding_mode = CHANCONV_REPLICATE;
    return chanconv_conv_forward(NULL, &conv, image, sobel, NULL, slope, error);
}

static PyObject *edges_of(const Py_buffer *image, Py_ssize_t height, Py_ssize_t width)
{
    const Py_ssize_t pixels = image->len / (Py_ssize_t)sizeof(float);
    if (height < 1 || width < 1 || pixels / height != width || pixels % height) {
        return PyErr_Format(PyExc_ValueError, "image: expected %zd x %zd floats, got %zd", height, width, pixels);
    }
    float *slope = malloc((size_t)pixels * 2 * sizeof *slope);
    PyObject *result = PyBytes_FromStringAndSize(NULL, pixels * (Py_ssize_t)sizeof(float));
    chanconv_status status = CHANCONV_NO_MEMORY;
    chanconv_error error = {"memory", "memory: there is not enough"};
    if (slope && result) {
        float *steepness = (float *)PyBytes_AsString(result);
        Py_BEGIN_ALLOW_THREADS;
        status = slopes(image->buf, height, width, slope, &error);
        for (Py_ssize_t i = 0; status == CHANCONV_OK && i < pixels; i++) {
            steepness[i] = hypotf(slope[2 * i], slope[2 * i + 1]);
        }
        Py_END_ALLOW_THREADS;
    }
    free(slope);
    if (status != CHANCONV_OK) {
        Py_CLEAR(result);
        PyErr_SetString(status == CHANCONV_NO_MEMORY ? PyExc_MemoryError : PyExc_ValueError, error.text);
    }
    return result;
}

static PyObject *edges(PyObject *module, PyObject *arguments)
{
    Py_buffer image;
    Py_ssize_t height, width;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "y*nn:edges", &image, &height, &width)) {
        return NULL;
    }
    PyObject *result = edges_of(&image, height, width);
    PyBuffer_Release(&image);
    return result;
}

static PyMethodDef methods[] = {{"edges", edges, METH_VARARGS, "edges(image, height, width)"}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "edges", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_edges(void) { return import_chanconv() < 0 ? NULL : PyModule_Create(&module); }
