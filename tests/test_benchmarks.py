# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks: they run, their float64 results are right, and a wrong result is caught. No time is judged."""
from dataclasses import replace
import importlib
import itertools
import json
import os
from pathlib import Path
import sys
import time

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
    importlib.import_module("peak").SIZES = (2 ** 14, 2 ** 16)  # it takes a while with memory
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


def test_a_run_that_is_interrupted_goes_on(bench, tmp_path, monkeypatch, capsys):
    file = tmp_path / "bench.json"
    command = [*TINY, "--threads", "1", "2", "--json", str(file)]
    measure = bench.run.measure

    def interrupted(problem, *rest):
        if problem.what == "grad_x":
            raise KeyboardInterrupt
        return measure(problem, *rest)

    monkeypatch.setattr(bench.run, "measure", interrupted)
    assert bench.run.main(command) == 130
    first = json.loads(file.read_text())["records"]
    assert [(r["pass"], r["threads"]) for r in first] == [("forward", 1), ("forward", 2)]
    monkeypatch.setattr(bench.run, "measure", measure)
    assert bench.run.main([*command, "--resume"]) == 0
    records = json.loads(file.read_text())["records"]
    assert records[:2] == first
    assert [(r["pass"], r["threads"]) for r in records] == [
        (what, threads) for what in bench.layers.PASSES for threads in (1, 2)]
    assert capsys.readouterr().out.count("\ntiny ") == 2 + 6
    with pytest.raises(ValueError, match="--resume: dtype is float64, but float32 in"):
        bench.run.main([*command, "--resume", "--dtype", "float64"])


def entrants(bench, peer, layer=None, **options):
    """What comes of `peer` beside chanconv: names that may be timed, lines that were said."""
    problem = bench.layers.Problem.random(layer or bench.layers.LAYERS[0], "grad_kernel", "float32")
    said = []
    found = bench.measure.checked(problem, bench.check.expected(problem), [bench.peers.Chanconv(), peer],
                                  bench.run.parse(options.pop("argv", [])), said.append)
    return list(found), said


def test_wrong_peer_is_not_timed(bench):
    peer = off_by_one_product(bench)()
    peer.name = "peer"
    names, said = entrants(bench, peer)
    assert names == ["chanconv"]
    assert len(said) == 1 and "peer is off by" in said[0]


def peer_that(bench, act):
    """A peer with chanconv's results which does `act(layer)` in every call."""

    class Peer(bench.peers.Chanconv):
        def prepare(self, problem):
            job = super().prepare(problem)
            return bench.peers.Job(lambda: (act(problem.layer), job.call())[1])

    peer = Peer()
    peer.name = "peer"
    return peer


def test_peer_that_fails_is_not_timed(bench):
    def fail(layer):
        raise RuntimeError("out of order\nmore about it")

    assert entrants(bench, peer_that(bench, fail)) == (["chanconv"], ["tiny grad_kernel: peer out of order; not timed"])


def test_peer_that_takes_too_long_is_left_out(bench, monkeypatch):
    layer = bench.layers.Layer("any", n=1, h=64, w=8, c=2, k=2, kernel=3, padding=1)
    called = []

    def dawdle(part):
        called.append(part.h)
        time.sleep(0.01)

    names, said = entrants(bench, peer_that(bench, dawdle), layer, argv=["--limit", "0.5"])
    assert names == ["chanconv", "peer"] and said == [] and called == [64]
    monkeypatch.setattr(bench.measure, "TRIAL_FLOPS", 1)
    names, said = entrants(bench, peer_that(bench, dawdle), layer, argv=["--limit", "0.5"])
    assert names == ["chanconv"] and called == [64, 1]
    assert len(said) == 1 and "more than --limit 0.5; not timed" in said[0]


def test_long_calls_have_one_sample(bench, monkeypatch):
    called = []
    monkeypatch.setattr(bench.measure, "LONG", 0)
    problem = bench.layers.Problem.random(bench.layers.LAYERS[0], "forward", "float32")
    engines = [bench.peers.Chanconv(), peer_that(bench, called.append)]
    record = bench.measure.measure(problem, bench.check.expected(problem), engines, 1, bench.run.parse([]), None, None,
                                   print)
    assert len(called) == 1
    assert {name: len(samples) for name, samples in record["samples"].items()} == {"chanconv": 1, "peer": 1}
    assert record["bound"] is None


def test_bound_is_the_larger_of_two(bench):
    layer = bench.layers.Layer("any", n=1, h=32, w=32, c=8, k=8, kernel=3)
    bound = bench.measure.bound(layer, "float32", 2, 100.0, [[1024, 50.0], [32768, 20.0], [65536, 10.0]])
    size = 4 * (32 * 32 * 8 + 9 * 64 + 30 * 30 * 8)
    assert bound == {"arithmetic": pytest.approx(layer.flops / 100e9), "memory": pytest.approx(size / 50e9)}
    record = {"bound": bound, "seconds": {"chanconv": 4 * max(bound.values())}}
    assert bench.report.percent_of_bound(record) == pytest.approx(25)


def test_workspace_is_bounded(bench):
    """For two threads 8 MiB beyond the packed kernel, which has four times its size where Winograd's transform is it."""
    layers = bench.layers.LAYERS + tuple(bench.families.draw(63, seed=0))
    for threads in (1, 2):
        chanconv.set_num_threads(threads)
        for layer in layers:
            for what in bench.layers.PASSES:
                plan = bench.peers.Chanconv().explain(layer, what, "float32")
                rows = int(np.prod(layer.kernel_shape[:3])) * (4 if plan.algorithm == "winograd" else 1)
                columns = -(-layer.k // 64) * 64  # whole tiles
                assert plan.workspace_bytes <= 2 ** 23 + 4 * rows * columns, (layer.name, what, threads)


@pytest.mark.parametrize("change", [np.negative, lambda y: y[:, :-1], lambda y: y.astype(np.float64),
                                    lambda y: np.full_like(y, np.nan)])
def test_compare_rejects(bench, change):
    problem = bench.layers.Problem.random(bench.layers.LAYERS[0], "forward", "float32")
    right = bench.check.expected(problem)
    bench.check.compare(right.astype(np.float32), right, problem)
    with pytest.raises(bench.check.WrongResult):
        bench.check.compare(change(right.astype(np.float32)), right, problem)


@pytest.mark.parametrize("geometry", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 3}, {"groups": 2},
                                      {"groups": 6, "k": 6, "padding": 2, "stride": 3},
                                      {"kernel": (1, 5), "padding": (0, 2)}, {"kernel": (4, 2), "padding": (2, 0)}])
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
    assert sizes["r50.l1.3x3"].array_bytes("float32") == 4 * (2 * 56 * 56 * 64 + 9 * 64 * 64)


def drawn(bench):
    return bench.families.draw(3 * len(bench.families.FAMILIES), seed=1)


def test_valid_flops_are_those_on_x(bench):
    """Counted with a kernel and an image of ones; C and K count each product alone."""
    for layer in drawn(bench):
        one = replace(layer, n=1, c=1, k=1, groups=1)
        ones = np.ones(one.x_shape), np.ones(one.kernel_shape)
        products = chanconv.reference.conv(*ones, **one.geometry).sum()
        channels = layer.n * layer.k * layer.c // layer.groups
        assert layer.valid_flops == pytest.approx(2 * products * channels, rel=1e-9)


def test_drawn_layers_are_layers(bench):
    layers = drawn(bench)
    assert layers == drawn(bench) != bench.families.draw(len(layers), seed=2)
    assert len({layer.name for layer in layers}) > 0.9 * len(layers)
    for layer in layers:
        assert layer.flops <= bench.families.FLOPS_MAX
        assert layer.y_shape == chanconv.conv_output_shape(layer.x_shape, layer.kernel_shape, **layer.geometry)
        again = bench.layers.Layer.of_shape(layer.name)
        assert (again.shape, again.y_shape, again.geometry) == (layer.name, layer.y_shape, {
            **layer.geometry, "padding": layer.edges})
    with pytest.raises(ValueError, match="no layer matches 1x2x3"):
        bench.layers.select(["1x2x3"])


def test_random_layers_run(bench, capsys):
    assert bench.run.main(["--random", "2", "--families", "tiny", "--seed", "3", "--rounds", "1", "--sample", "0",
                           "--peers"]) == 0
    out = capsys.readouterr().out
    for layer in bench.families.draw(2, 3, ["tiny"]):
        assert out.count(f"\n{layer.name} ") == 3


def test_picture(bench, tmp_path):
    pytest.importorskip("matplotlib")
    file, image = tmp_path / "bench.json", tmp_path / "bench.png"
    assert bench.run.main([*TINY, "--threads", "1", "2", "--json", str(file)]) == 0
    bench.plot.main([str(file), str(image), "--threads", "2"])
    assert image.read_bytes().startswith(b"\x89PNG")
    again = tmp_path / "again.svg"
    assert bench.run.main([*TINY, "--threads", "1", "2", "--json", str(file), "--resume", "--picture", str(again)]) == 0
    assert all(text in again.read_text() for text in ("<svg", bench.report.processor()))


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
        assert peak.memory(2, 2 ** 14) > 0


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


def test_callers_at_once_are_held_against_one(bench, capsys, monkeypatch):
    short = ["--layers", "tiny", "digits.c1", "--rounds", "1", "--seconds", "0.001"]
    bench.callers.main(short)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["tiny", "digits.c1"]
    right, count = bench.callers.work, itertools.count()
    monkeypatch.setattr(bench.callers, "work", lambda *arguments: right(*arguments) + (next(count) > 2))
    with pytest.raises(SystemExit, match="^tiny: threads that call at once get other results"):
        bench.callers.main(short)


def test_networks_have_the_known_sizes(bench):
    """Multiplications of the convolutions: 1.81e9 in ResNet-18, 0.30e9 in MobileNetV2, as their papers say."""
    for name, products in (("resnet18", 1.81e9), ("mobilenet_v2", 0.30e9)):
        chains = bench.network.NETWORKS[name]()
        flops = sum(layer.flops for chain in chains for layer in chain.layers(1))
        assert flops / 2 == pytest.approx(products, rel=0.01)


def test_activations_and_their_table(bench, tmp_path, capsys, monkeypatch):
    """A table of what is measured, with a column for a size; and from the file of another run. Wrong results are seen."""
    monkeypatch.setattr(bench.activations, "_optional", lambda module: None)
    file = tmp_path / "activations.json"
    tiny = ["--rounds", "1", "--sample", "0", "--dtypes", "float32", "--activations", "relu", "--counts"]
    assert bench.activations.main([*tiny, "10", "2000", "--json", str(file), "--table"]) == 0
    printed = capsys.readouterr().out
    lines = printed[printed.index("| activation"):].splitlines()
    assert lines[0] == "| activation | pass | 10 elements | 2,000 elements |"
    assert [line.split(" | ")[:2] for line in lines[2:]] == [["| `relu`", "forward"], ["| `relu`", "backward"]]
    assert bench.activations.main(["--table", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == lines
    x = np.ones(3, np.float32)
    assert bench.activations._right(x, np.ones(3), x) and not bench.activations._right(x, np.array([1, 1, 1.001]), x)
