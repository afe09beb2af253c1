"""The environment: how uv comes into it, and what of it is compiled."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course.run import environment


@pytest.mark.parametrize("outside", [True, False])
def test_uv_comes_by_the_pip_that_is_there(outside, tmp_path, monkeypatch):
    said, own = [], environment.python(tmp_path).parent / "uv"

    def fake(command, **_):
        said.append([str(part) for part in command])
        good = outside or "--python" not in said[-1]
        if good and "install" in said[-1]:
            own.parent.mkdir(exist_ok=True)
            own.touch()
        return subprocess.CompletedProcess(command, int(not good), "", "No module named pip")

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(subprocess, "run", fake)
    assert environment.uv_of(tmp_path, sound=False) == own
    made = ["--without-pip" not in command for command in said if "venv" in command]
    assert made == ([False] if outside else [False, True])


def test_what_the_course_imports_is_compiled_when_the_environment_is_made(tmp_path, monkeypatch):
    place = tmp_path / "tests" / ".venv" / "lib" / "python3.11" / "site-packages"  # a checkout in tests/
    for name in ("numpy/core.py", "numpy/tests/test_core.py", "networkx/graph.py", "templates/broken.py"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("{{ no Python }}" if "broken" in name else "x = 1\n")
    monkeypatch.setattr(environment, "run", lambda *_, **__: None)
    monkeypatch.setattr(environment, "python", lambda folder: Path(sys.executable))
    environment.install("uv", "", tmp_path / "tests" / ".venv")
    assert [path.parent.parent.name for path in place.rglob("*.pyc")] == ["numpy"]
    loaded = [str(module.__file__) for module in sys.modules.values() if getattr(module, "__file__", None)]
    left_out = [path for path in loaded if re.search(environment.NOT_COMPILED, path)]
    assert len(left_out) < len(loaded) / 50, left_out
