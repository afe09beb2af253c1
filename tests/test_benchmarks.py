"""The page that `make bench` writes says for which machine and which versions its ratios hold."""

import os
import platform

import torch

from benchmarks import __main__ as bench


def test_the_page_names_machine_and_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "BUILD", tmp_path)
    monkeypatch.setattr(bench, "COMPARED", ("torch", "no-such-library"))
    bench.main(["none of them"])
    page = (tmp_path / "bench.md").read_text(encoding="utf-8")
    assert f"{os.cpu_count()} cores" in page
    assert platform.system() in page
    assert f"Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}" in page
    assert page.strip().endswith("no-such-library not installed")
