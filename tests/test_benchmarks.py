"""`make bench`: its page says for which machine its ratios hold, and what is compared is given alike."""

import os
import platform
from functools import partial

import pytest
import torch
from torch.nn import functional

import benchmarks
from benchmarks import __main__ as bench
from benchmarks import heatmaps
from helpers import networks


def test_the_page_names_machine_and_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "BUILD", tmp_path)
    monkeypatch.setattr(bench, "COMPARED", ("torch", "no-such-library"))
    bench.main(["none of them"])
    page = (tmp_path / "bench.md").read_text(encoding="utf-8")
    assert f"{os.cpu_count()} cores" in page
    assert platform.system() in page
    assert f"Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}" in page
    assert page.strip().endswith("no-such-library not installed")


def test_rounds_alternate_and_the_median_counts(monkeypatch):
    clock, order, lasts = [0.0], [], {"a": [1, 9, 2], "b": [5, 5, 5]}
    monkeypatch.setattr(benchmarks, "perf_counter", lambda: clock[0])

    def call(name):
        order.append(name)
        clock[0] += lasts[name].pop(0)

    found = benchmarks.seconds({name: partial(call, name) for name in lasts}, 3)
    assert found == {"a": 2, "b": 5}
    assert "".join(order) == "abbaab"


@pytest.mark.filterwarnings("ignore:Input Tensor 0:UserWarning")
def test_all_explain_with_the_same_number_of_images_in_a_pass(monkeypatch):
    pytest.importorskip("captum")
    pytest.importorskip("zennit")
    load, conv2d, sizes = networks.load_network, functional.conv2d, set()

    def watched(x, *rest):
        sizes.update({len(x)} if x.shape[1] == 3 else ())  # colours: the first layer
        return conv2d(x, *rest)

    monkeypatch.setattr(networks, "load_network", lambda: load(weights=None))
    monkeypatch.setattr(functional, "conv2d", watched)
    for name, value in (("BATCH", 10), ("FEW", 5), ("SAMPLES", 2), ("STEPS", 2)):
        monkeypatch.setattr(heatmaps, name, value)
    for method, functions in heatmaps.contestants(torch.randn(10, 3, 64, 64)).items():
        for who, (function, images) in functions.items():
            sizes.clear()
            function(images)
            assert max(sizes) == 10, (method, who)
