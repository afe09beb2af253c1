"""The package alone: a wheel without the course's machinery, imported outside the checkout."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from helpers.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BLOCKED = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {folder!r})
"""
USE = """
import importlib, pathlib, helpers
assert str(pathlib.Path(helpers.__file__)).startswith({folder!r}), helpers.__file__
for path in sorted(pathlib.Path(helpers.__file__).parent.glob("[a-z]*.py")):
    importlib.import_module("helpers." + path.stem)
from helpers import anomalies, datasets, files, tables
assert not files.CHECKOUT
customers = datasets.load_wholesale()
prepared = tables.prepare(customers)
print(customers.attrs["source"], prepared.X.shape[0], anomalies.softmin_scores(prepared.X, 1.0).argmax() >= 0)
"""


def modules_of(names):
    """The names that packages are imported by."""
    other = {"pytest-xdist": "xdist", "umap-learn": "umap"}
    return {other.get(name, name) for name in names}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The unpacked wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys, setuptools.build_meta as m; m.build_wheel(sys.argv[1])"
    source = copied(folder / "source")
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    zipfile.ZipFile(file).extractall(folder / "unpacked")
    return folder / "unpacked"


def copied(target):
    """What a build reads, so that it leaves nothing in the checkout."""
    for name in ("helpers", "data"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "raw"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)
    return target


def test_it_works_outside_a_checkout_without_the_machinery(wheel, tmp_path):
    absent = modules_of(re.match(r"[\w-]+", line)[0] for group in ("course", "test", "site", "cluster")
                        for line in PROJECT["optional-dependencies"][group])
    absent -= {"cloudpickle", "psutil"}  # which joblib asks for
    assert {"jupyterlab", "pytest", "papermill", "nbval"} <= absent
    code = BLOCKED.format(absent=absent, folder=str(wheel)) + USE.format(folder=str(wheel))
    alone = {"PATH": "", "HOME": str(tmp_path), "DATA": "sample", "MPLCONFIGDIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True,
                         env=alone)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["sample", "440", "True"]


def test_it_asks_for_what_the_machinery_does_not(wheel):
    (metadata,) = wheel.glob("*.dist-info/METADATA")
    lines = metadata.read_text(encoding="utf-8").splitlines()
    asked = [line for line in lines if line.startswith("Requires-Dist")]
    base = {re.match(r"Requires-Dist: ([\w-]+)", line)[1] for line in asked if "extra ==" not in line}
    assert "torch" in base
    assert not base & {"jupyterlab", "pytest", "papermill", "nbval", "pytest-xdist", "ipywidgets"}
    assert not [name for name in ("course", "tests") if (wheel / name).exists()]
