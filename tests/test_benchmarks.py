"""`make bench`: its page says for which machine its ratios hold, and what is compared is given alike."""

import os
import platform
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from joblib import effective_n_jobs
from torch.nn import functional

import benchmarks
from benchmarks import __main__ as bench
from benchmarks import anomalies, heatmaps
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


def test_the_page_keeps_other_benchmarks_of_the_same_machine_and_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "BUILD", tmp_path)
    monkeypatch.setattr(bench.importlib, "import_module", lambda name: modules[name.rpartition(".")[2]])
    modules = {name: SimpleNamespace(__doc__=f"About {name}.", run=lambda: [{"ratio": 1.25}])
               for name in ("busy", "ladder")}  # fmt: skip
    page = tmp_path / "bench.md"
    for name in ("ladder", "busy", "ladder"):
        bench.main([name])
    assert page.read_text(encoding="utf-8").count("1.25") == 2
    assert all(page.read_text(encoding="utf-8").count(f"## {name}\n\nAbout") == 1 for name in modules)
    modules["ladder"].run = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        bench.main(["busy", "ladder"])
    assert page.read_text(encoding="utf-8").count("1.25") == 2, "what was done before stays"
    monkeypatch.setattr(bench, "versions", lambda: "others")
    bench.main(["busy"])
    assert "ladder" not in page.read_text(encoding="utf-8")


def test_scikit_learn_gets_as_many_threads_as_torch():
    torch.set_num_threads(3)
    with anomalies.equal_threads():
        assert effective_n_jobs(None) == benchmarks.threads() == 3
    assert ", 3 threads," in bench.machine()
