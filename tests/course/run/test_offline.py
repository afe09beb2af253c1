"""A clone without network, mirror and cache: the course runs on the embedded sample and says so."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import files

VENV = Path(sys.executable).parents[1]
CLOSED = "http://127.0.0.1:9"  # the discard port: nobody listens, so every connection is refused


@pytest.fixture
def clone(tmp_path):
    """What is committed, without notebooks but one; in it no cache, beside it no mirror."""
    listed = subprocess.run(["git", "ls-files"], cwd=files.ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if not name.startswith(("notebooks/", "tests/")) or Path(name).stem == "11_customers":
            target = tmp_path / "course" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(files.ROOT / name, target)
    (tmp_path / "course" / ".venv").symlink_to(VENV)
    return tmp_path / "course"


def make(folder, *arguments):
    """Run make without the settings of an outer one; whatever it fetches goes through a closed port."""
    ours = ("DATA", "DEVICE", "COURSE_MIRROR", "COURSE_DATA")
    clean = {key: value for key, value in os.environ.items() if key not in ours}
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), CLOSED)
    environment = {**clean, **proxies, "no_proxy": "", "NO_PROXY": "", "PYTHONPATH": str(folder)}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def test_without_network_and_mirror_the_sample_is_used_and_said(clone):
    run = make(clone, "all")
    assert run.returncode == 0, run.stdout + run.stderr
    (said,) = [line for line in run.stdout.splitlines() if line.startswith("*** SAMPLE, not the real data: ")]
    for title in ("Wholesale customers", "QM7", "leaves", "SqueezeNet 1.1"):
        assert re.search(rf"{title}[^;]*: sample \([\d,]+ missing of [\d,]+ files?: ", said), said
    decided = (clone / "build" / "source").read_text().strip().split(",")
    assert {part.split("=")[1] for part in decided} == {"sample"}
    assert "**SAMPLE: some results come from the embedded sample, not from the real data.**" in run.stdout
    summary = json.loads((clone / "build" / "summary.json").read_text())
    assert [(row["notebook"], row["status"], row["data"]) for row in summary] == [
        ("11_customers", "passed", "sample")
    ]


def test_real_data_that_cannot_be_had_are_an_error_in_one_line(clone):
    run = make(clone, "all", "DATA=real")
    assert run.returncode != 0
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("data: ")]
    assert "'wholesale/Wholesale customers data.csv' cannot be had (cache: not there;" in line
    assert "set COURSE_MIRROR to a folder that holds it" in line
    assert not (clone / "build" / "source").exists()
    assert not list(clone.glob("build/**/*.ipynb"))
