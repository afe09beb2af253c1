"""The environment: how uv comes into it, and what of it is compiled."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course.run import environment

ADDED = ["with pip"], ["ensurepip"]


@pytest.mark.parametrize(
    ("pip", "sound", "made"),
    [
        ("outside", False, ["without pip"]),
        ("inside", True, []),
        ("nowhere", False, ["without pip", "with pip"]),
        ("nowhere", True, ["ensurepip"]),
    ],
)
def test_uv_comes_by_the_pip_that_is_there(pip, sound, made, tmp_path, monkeypatch):
    """And an environment that holds packages is never made anew for it."""
    done, own = [], environment.python(tmp_path).with_name("uv.exe" if os.name == "nt" else "uv")

    def fake(command, **_):
        command, code = [str(part) for part in command], 0
        if "venv" in command:
            done.append("without pip" if "--without-pip" in command else "with pip")
        elif "ensurepip" in command:
            done.append("ensurepip")
        elif pip == ("outside" if "--python" in command else "inside") or done[-1:] in ADDED:
            own.parent.mkdir(exist_ok=True)
            own.touch()
        else:
            code = 1
        return subprocess.CompletedProcess(command, code, "", "")

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(subprocess, "run", fake)
    assert environment.uv_of(tmp_path, sound) == own
    assert done == made


def test_what_kernels_import_is_compiled_when_the_environment_is_made(tmp_path, monkeypatch):
    checkout = tmp_path / "site-packages" / "tests"
    place = checkout / ".venv" / "lib" / "python3.11" / "site-packages"
    for name in ("numpy/core.py", "numpy/tests/test_core.py", "networkx/graph.py", "templates/broken.py"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("{{ no Python }}" if "broken" in name else "x = 1\n")
    monkeypatch.setattr(environment, "run", lambda *_, **__: None)
    monkeypatch.setattr(environment, "python", lambda folder: Path(sys.executable))
    environment.install("uv", "", checkout / ".venv")
    assert [path.parent.parent.name for path in place.rglob("*.pyc")] == ["numpy"]


def test_what_is_not_compiled_is_not_imported():
    """By a kernel with the notebooks' libraries, in a process of its own: tests import more."""
    code = "import ipykernel.kernelapp, matplotlib_inline.backend_inline, torch, torchvision, shap, seaborn, "
    code += "sys, sklearn.ensemble, scipy.stats, helpers.plots, helpers.heatmaps; print(*(m.__file__ for m "
    code += "in sys.modules.values() if getattr(m, '__file__', None)), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (place,) = environment.packages(Path(sys.prefix))
    left_out = re.compile(re.escape(str(place)) + environment.NOT_COMPILED)
    assert [path for path in done.stdout.split("\n") if left_out.match(path)] == []
