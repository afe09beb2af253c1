"""The CPU build of PyTorch, by uv and by conda, as far as that can be seen without a network."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from course.notebooks import ROOT
from course.run import environment


def test_the_cpu_build_leaves_out_what_only_cuda_needs():
    names = [line.split("==")[0] for line in environment.LOCK.read_text().splitlines()]
    dropped = {name for name in names if environment.CUDA.match(name)}
    assert {name for name in names if name.startswith("nvidia")} <= dropped
    assert "torch" not in dropped
    assert "numpy" not in dropped


def test_the_cpu_build_is_asked_of_uv_by_its_back_end_and_binder_leaves_out_the_same(tmp_path, monkeypatch):
    asked = []

    def run(*command, **_):
        lock = command[command.index("--requirement") + 1] if "--requirement" in command else None
        asked.append((command, lock and Path(lock).read_text()))

    monkeypatch.setattr(environment, "run", run)
    environment.install("uv", "cpu", tmp_path)
    for command, _ in asked:
        assert command[command.index("--torch-backend") + 1] == "cpu"
    assert "nvidia" not in asked[0][1]
    assert "torch==" in asked[0][1]
    assert environment.CUDA.pattern in (ROOT / ".binder" / "postBuild").read_text()
    uv = shutil.which("uv") or environment.python().parent / "uv"
    if Path(uv).exists():
        known = subprocess.run([uv, "pip", "install", "--help"], capture_output=True, text=True, check=True)
        assert "--torch-backend" in known.stdout


def test_conda_users_get_no_second_environment(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "install", lambda *_: pytest.fail("a second environment"))
    monkeypatch.setattr(environment, "make", lambda *_, **__: pytest.fail("a second environment"))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)  # as conda's Python says
    monkeypatch.setenv("CONDA_PREFIX", sys.prefix)
    for torch in ("", "cpu"):
        environment.ensure(torch, folder=tmp_path / ".venv")
    assert not (tmp_path / ".venv").exists()
    monkeypatch.setattr(environment, "direct_dependencies", lambda: ["numpy", "not-installed-here"])
    assert not environment.complete_here()
    monkeypatch.delenv("CONDA_PREFIX")
    monkeypatch.setattr(environment, "direct_dependencies", lambda: ["numpy"])
    assert not environment.complete_here()  # a system's Python is nobody's to install into


def wheel(folder, name, version):
    """An empty wheel, as an index would offer it."""
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


def test_conda_takes_the_cpu_build_where_the_index_of_pytorch_stands_beside_the_other(tmp_path):
    """`PIP_EXTRA_INDEX_URL` of README: to pip the pinned version with +cpu is the same, and the newer one."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode:
        pytest.skip("no pip in this environment")
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert "`PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu` before `conda env create`" in readme
    asked = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    assert not any(environment.CUDA.match(line) for line in asked)
    pins = [line for line in asked if line.startswith(("torch==", "torchvision=="))]
    for place, build in (("index", ""), ("pytorch", "+cpu")):
        (tmp_path / place).mkdir()
        for pin in pins:
            wheel(tmp_path / place, *f"{pin}{build}".split("=="))
    for places, build in ((["index"], ""), (["index", "pytorch"], "+cpu")):
        found = [part for place in places for part in ("--find-links", tmp_path / place)]
        command = [*pip, "install", "--dry-run", "--ignore-installed", "--no-index", *found]
        command += ["--constraint", environment.LOCK, *pins]
        done = subprocess.run(command, capture_output=True, text=True)
        line = next(line for line in done.stdout.splitlines() if line.startswith("Would install"))
        assert line.split()[2:] == [pin.replace("==", "-") + build for pin in pins], done.stderr
