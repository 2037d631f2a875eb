# SPDX-License-Identifier: BSD-3-Clause
"""chanconv and what it is compared with, behind one face.

An engine turns a Problem into a Job: a call without arguments that does the pass on arrays in the layout the engine
likes best, and a function that brings what the call returns into chanconv's layout. All calls allocate their result,
as they do for their users; what can be prepared once for many calls (layouts, sessions, constant weights) is.
"""
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import numpy as np


@dataclass(frozen=True)
class Job:
    """`call` computes; `result` turns what it returned into an array of the problem's result shape."""

    call: Callable
    result: Callable = np.asarray


class Engine:
    """One library. A subclass names the `module` to import and its `prepare` gives a Job, or None for "cannot"."""

    name: str
    module: str
    follows_isa = False  # whether run.py --isa can hold it to an instruction set

    def __init__(self):
        self.library = import_module(self.module)
        self.threads = 1

    @property
    def version(self):
        return self.library.__version__

    def set_threads(self, threads):
        """Lets the jobs prepared from now on use `threads` threads; those prepared before are not to be called."""
        self.threads = threads

    def prepare(self, problem):
        raise NotImplementedError


class Chanconv(Engine):
    """The library itself.

    Parameters
    ----------
    algorithm : str
        As in chanconv's functions.
    reuse_output : bool
        Hand the same result array to every call as `out`.
    """

    name = module = "chanconv"

    def __init__(self, algorithm="auto", reuse_output=False):
        super().__init__()
        self.algorithm = algorithm
        self.reuse_output = reuse_output

    def set_threads(self, threads):
        super().set_threads(threads)
        self.library.set_num_threads(threads)

    def prepare(self, problem):
        layer, lib = problem.layer, self.library
        call = {
            "forward": partial(lib.conv, problem.x, problem.kernel),
            "grad_x": partial(lib.conv_grad_x, problem.grad_y, problem.kernel, layer.x_shape),
            "grad_kernel": partial(lib.conv_grad_kernel, problem.grad_y, problem.x, layer.kernel_shape),
        }[problem.what]
        out = np.full(problem.result_shape, 0, problem.dtype) if self.reuse_output else None  # full: pages are there
        return Job(partial(call, **layer.geometry, algorithm=self.algorithm, out=out))

    def explain(self, layer, what, dtype):
        """chanconv's own account of how it does pass `what`."""
        return self.library.explain(layer.x_shape, layer.kernel_shape, **layer.geometry, algorithm=self.algorithm,
                                    dtype=dtype, what=what)


class Torch(Engine):
    """PyTorch; a subclass names the memory format."""

    module = "torch"
    follows_isa = True
    memory_format: str

    def set_threads(self, threads):
        super().set_threads(threads)
        self.library.set_num_threads(threads)

    def _tensor(self, array, order):
        """`array` with its axes in `order`, in this engine's memory format."""
        memory_format = getattr(self.library, self.memory_format)
        return self.library.from_numpy(array).permute(order).contiguous(memory_format=memory_format)

    def prepare(self, problem):
        x, grad_y = self._tensor(problem.x, (0, 3, 1, 2)), self._tensor(problem.grad_y, (0, 3, 1, 2))
        kernel = self._tensor(problem.kernel, (3, 2, 0, 1))
        if problem.what == "forward":
            call = partial(self.library.nn.functional.conv2d, x, kernel, **problem.layer.geometry)
            return Job(self._inference(call), lambda y: y.permute(0, 2, 3, 1).numpy())
        call = self._gradient(problem, grad_y, x, kernel)
        if problem.what == "grad_x":
            return Job(self._inference(call), lambda grads: grads[0].permute(0, 2, 3, 1).numpy())
        return Job(self._inference(call), lambda grads: grads[1].permute(2, 3, 1, 0).numpy())

    def _gradient(self, problem, grad_y, x, kernel):
        """What autograd calls, for one of the gradients alone."""
        layer = problem.layer
        mask = [problem.what == "grad_x", problem.what == "grad_kernel", False]
        return partial(self.library.ops.aten.convolution_backward, grad_y, x, kernel, None, [layer.stride] * 2,
                       layer.edges, [layer.dilation] * 2, False, [0, 0], layer.groups, mask)

    def _inference(self, call):
        """`call` without autograd's bookkeeping."""
        return self.library.inference_mode()(call)


class TorchChannelsLast(Torch):
    """PyTorch in the memory layout of chanconv."""

    name = "torch-nhwc"
    memory_format = "channels_last"


class TorchContiguous(Torch):
    """PyTorch in its default memory layout."""

    name = "torch-nchw"
    memory_format = "contiguous_format"


class OnnxRuntime(Engine):
    """ONNX Runtime, layout NCHW; the kernel is a constant of the session, which may rearrange it beforehand."""

    name = module = "onnxruntime"

    def __init__(self):
        super().__init__()
        self.onnx = import_module("onnx")

    def prepare(self, problem):
        if problem.what != "forward" or problem.dtype != np.float32:  # its Conv on CPUs is float32 only
            return None
        options = self.library.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        session = self.library.InferenceSession(self._model(problem), options, providers=["CPUExecutionProvider"])
        feed = {"x": np.ascontiguousarray(problem.x.transpose(0, 3, 1, 2))}
        return Job(partial(session.run, None, feed), lambda y: y[0].transpose(0, 2, 3, 1))

    def _model(self, problem):
        """A serialised model of one Conv node."""
        layer, helper, single = problem.layer, self.onnx.helper, self.onnx.TensorProto.FLOAT
        node = helper.make_node("Conv", ["x", "kernel"], ["y"], strides=[layer.stride] * 2, pads=layer.edges * 2,
                                dilations=[layer.dilation] * 2, group=layer.groups)
        n, h, w, c = layer.x_shape
        kernel = self.onnx.numpy_helper.from_array(np.ascontiguousarray(problem.kernel.transpose(3, 2, 0, 1)), "kernel")
        graph = helper.make_graph([node], "conv", [helper.make_tensor_value_info("x", single, [n, c, h, w])],
                                  [helper.make_tensor_value_info("y", single, None)], [kernel])
        return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def _plane_filter(problem):
    """Plane and kernel whose correlation of the same size is the result, or None if the problem is not of that kind."""
    layer = problem.layer
    whole = all(2 * edge == taps - 1 for edge, taps in zip(layer.edges, layer.taps, strict=True))
    if layer.n != 1 or not layer.is_plane or layer.stride != 1 or layer.dilation != 1 or not whole:
        return None
    if problem.what == "forward":
        return problem.x[0, :, :, 0], problem.kernel[:, :, 0, 0]
    if problem.what == "grad_x":
        return problem.grad_y[0, :, :, 0], np.ascontiguousarray(problem.kernel[::-1, ::-1, 0, 0])
    return None


class OpenCV(Engine):
    """OpenCV's filter2D, for planes; the gradient of x is the same with the kernel turned by 180 degrees."""

    name, module = "opencv", "cv2"

    def set_threads(self, threads):
        super().set_threads(threads)
        self.library.setNumThreads(threads)

    def prepare(self, problem):
        pair = _plane_filter(problem)
        if pair is None:
            return None
        call = partial(self.library.filter2D, pair[0], -1, pair[1], borderType=self.library.BORDER_CONSTANT)
        return Job(call, lambda y: y[None, :, :, None])


class SciPy(Engine):
    """scipy.signal.correlate for planes, which takes the FFT or the direct sum, whichever it thinks faster."""

    name, module = "scipy", "scipy"

    def __init__(self):
        super().__init__()
        self.signal = import_module("scipy.signal")
        self.fft = import_module("scipy.fft")

    def prepare(self, problem):
        pair = _plane_filter(problem)
        if pair is None:
            return None
        return Job(partial(self._correlate, *pair, self.threads), lambda y: y[None, :, :, None])

    def _correlate(self, plane, kernel, threads):
        with self.fft.set_workers(threads):
            return self.signal.correlate(plane, kernel, "same")


class SciPyTiles(SciPy):
    """scipy.signal.oaconvolve for planes: Fourier transforms of tiles, whose results are added where they overlap."""

    name = "scipy-oa"

    def _correlate(self, plane, kernel, threads):
        with self.fft.set_workers(threads):
            return self.signal.oaconvolve(plane, kernel[::-1, ::-1], "same")


PEERS = (TorchChannelsLast, TorchContiguous, OnnxRuntime, OpenCV, SciPy, SciPyTiles)


def installed(names, say=print):
    """Engines for those of `names` that can be imported; a line through `say` for each that cannot."""
    engines = []
    for peer in PEERS:
        if peer.name in names:
            try:
                engines.append(peer())
            except ImportError as error:
                say(f"{peer.name}: skipped, {error}")
    return engines
