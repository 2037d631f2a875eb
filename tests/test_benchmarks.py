# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks: they run, their float64 results are right, and a wrong result is caught. No time is judged."""
from dataclasses import replace
import importlib
import json
import os
from pathlib import Path
import sys

import numpy as np
import pytest

import chanconv

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
TINY = ["--layers", "tiny", "--rounds", "1", "--sample", "0", "--peers"]


class Modules:
    """The modules of benchmarks/ as attributes."""

    def __getattr__(self, name):
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(FOLDER))
    with chanconv.num_threads(chanconv.get_num_threads()):
        yield Modules()
    sys.path.remove(str(FOLDER))
    for name in [path.stem for path in FOLDER.glob("*.py")]:
        sys.modules.pop(name, None)


def off_by_one_product(bench):
    """chanconv's engine, but one number of each result lacks a product of two inputs that are about 1."""

    class Wrong(bench.peers.Chanconv):
        def prepare(self, problem):
            job = super().prepare(problem)

            def call():
                result = job.call()
                result.flat[-1] -= 1
                return result

            return bench.peers.Job(call)

    return Wrong


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_suite_runs_without_peers(bench, tmp_path, capsys, dtype):
    file = tmp_path / "bench.json"
    assert bench.run.main([*TINY, "--threads", "1", "2", "--dtype", dtype, "--json", str(file)]) == 0
    written = json.loads(file.read_text())
    assert [(r["pass"], r["threads"]) for r in written["records"]] == [
        (what, threads) for what in bench.layers.PASSES for threads in (1, 2)]
    assert all(r["seconds"]["chanconv"] > 0 and r["error_largest"]["chanconv"] < 64 for r in written["records"])
    assert written["wrong"] == []
    assert capsys.readouterr().out.count("\ntiny ") == 6


def test_wrong_result_fails_the_run(bench, monkeypatch, capsys):
    monkeypatch.setattr(bench.run, "Chanconv", off_by_one_product(bench))
    assert bench.run.main(TINY) == 1
    assert capsys.readouterr().out.count("WRONG tiny") == 3


def test_wrong_peer_is_not_timed(bench):
    ours, peer = bench.peers.Chanconv(), off_by_one_product(bench)()
    peer.name = "peer"
    problem = bench.layers.Problem.random(bench.layers.LAYERS[0], "grad_kernel", "float32")
    said = []
    jobs, errors = bench.run.checked_jobs(problem, bench.check.expected(problem), [ours, peer], said.append)
    assert list(jobs) == list(errors) == ["chanconv"]
    assert len(said) == 1 and "peer is off by" in said[0]


@pytest.mark.parametrize("change", [np.negative, lambda y: y[:, :-1], lambda y: y.astype(np.float64),
                                    lambda y: np.full_like(y, np.nan)])
def test_compare_rejects(bench, change):
    problem = bench.layers.Problem.random(bench.layers.LAYERS[0], "forward", "float32")
    right = bench.check.expected(problem)
    bench.check.compare(right.astype(np.float32), right, problem)
    with pytest.raises(bench.check.WrongResult):
        bench.check.compare(change(right.astype(np.float32)), right, problem)


@pytest.mark.parametrize("geometry", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 3}, {"groups": 2},
                                      {"groups": 6, "k": 6, "padding": 2, "stride": 3}])
def test_expected_is_the_convolution_and_its_adjoints(bench, geometry):
    layer = replace(bench.layers.Layer("any", n=2, h=9, w=8, c=6, k=4, kernel=3), **geometry)
    forward, grad_x, grad_kernel = (bench.layers.Problem.random(layer, what, "float64") for what in bench.layers.PASSES)
    y = bench.check.expected(forward)
    np.testing.assert_allclose(y, chanconv.conv(forward.x, forward.kernel, **layer.geometry), atol=1e-12)
    inner = np.vdot(y, forward.grad_y)
    assert np.vdot(bench.check.expected(grad_x), forward.x) == pytest.approx(inner, abs=1e-10)
    assert np.vdot(bench.check.expected(grad_kernel), forward.kernel) == pytest.approx(inner, abs=1e-10)


@pytest.mark.parametrize("what", ["forward", "grad_x", "grad_kernel"])
def test_expected_of_planes_with_large_kernels(bench, what):
    layer = bench.layers.Layer("any", n=1, h=70, w=81, c=1, k=1, kernel=33, padding=11)
    problem = bench.layers.Problem.random(layer, what, "float64")
    by_taps = {"forward": bench.check._forward, "grad_x": bench.check._grad_x,
               "grad_kernel": bench.check._grad_kernel}[what](problem)
    np.testing.assert_allclose(bench.check.expected(problem), by_taps, rtol=0, atol=1e-10)


def test_layers_are_what_they_say(bench):
    sizes = {layer.name: layer for layer in bench.layers.LAYERS}
    assert len(sizes) == len(bench.layers.LAYERS)
    for layer in sizes.values():
        assert layer.y_shape == chanconv.conv_output_shape(layer.x_shape, layer.kernel_shape, **layer.geometry)
    assert sizes["r50.conv1"].flops == 2 * 112 * 112 * 64 * 7 * 7 * 3
    assert sizes["mbv2.dw.b2s2"].flops == 2 * 56 * 56 * 96 * 3 * 3
    assert sizes["r50.conv1"].im2col_bytes("float32") == 4 * 112 * 112 * 7 * 7 * 3


def test_select(bench):
    assert [layer.name for layer in bench.layers.select(["plane.?", "tiny"])] == ["tiny", "plane.3", "plane.7"]
    assert [layer.n for layer in bench.layers.select(["tiny"], batch=5)] == [5]
    with pytest.raises(ValueError, match="no layer matches nothing"):
        bench.layers.select(["nothing"])


def test_rounds_are_interleaved(bench):
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    times = bench.timing.interleave(calls, rounds=2, sample_seconds=0)
    assert set(times) == {"a", "b"}
    assert order[-4:] == ["a", "b", "b", "a"]


def test_peak(bench):
    peak, why_not = bench.peak.find()
    assert (peak is None) == isinstance(why_not, str)
    if peak:
        assert peak.isa == peak.available()[0]
        assert all(peak.gflops(dtype, threads) > 0 for dtype in ("float32", "float64") for threads in (1, 2))


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's high-water mark")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_memory_is_seen(bench):
    class Greedy(bench.peers.Engine):
        name, module = "greedy", "numpy"

        def prepare(self, problem):
            return bench.peers.Job(lambda: np.ones(problem.layer.n * 2 ** 20, np.uint8))

    tiny = bench.layers.Problem.random(bench.layers.LAYERS[0], "forward", "float32")
    large = replace(tiny, layer=replace(tiny.layer, n=64))
    assert bench.memory.measured(Greedy(), large, tiny) == pytest.approx(64 * 2 ** 20, abs=4 * 2 ** 20)


def test_overhead_parts_are_those_of_a_call(bench):
    layer = bench.layers.LAYERS[0]
    steps = bench.overhead.steps(layer)
    for call in steps.values():
        call()
    problem = bench.layers.Problem.random(layer, "forward", "float32")
    bench.check.compare(steps["whole call"](), bench.check.expected(problem), problem)


def test_networks_have_the_known_sizes(bench):
    """Multiplications of the convolutions: 1.81e9 in ResNet-18, 0.30e9 in MobileNetV2, as their papers say."""
    for name, products in (("resnet18", 1.81e9), ("mobilenet_v2", 0.30e9)):
        chains = bench.network.NETWORKS[name]()
        flops = sum(layer.flops for chain in chains for layer in chain.layers(1))
        assert flops / 2 == pytest.approx(products, rel=0.01)
