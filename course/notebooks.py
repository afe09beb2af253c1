"""Find the course's notebooks by number, say on what results depend, keep papermill's additions out."""

import functools
import hashlib
import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
SOURCE, DECISIONS = BUILD / "source", BUILD / "data.json"  # written by course.run.data
LOADERS = {"load_wholesale": "wholesale", "load_qm7": "qm7", "load_leaves": "leaves",
           "load_network": "squeezenet1_1"}  # helper that a notebook calls, and the data set that it needs

# those whose versions numbers and pictures follow
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "umap-learn", "matplotlib", "pandas",
             "pillow")  # fmt: skip


def versions():
    """Python's version and those of LIBRARIES as they are installed, one text each."""
    return [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)]


@functools.cache
def data_digest(folder=ROOT / "data"):
    """A digest of the committed data files; what is in raw/ is held to the registry when it is loaded."""
    found, digest = [], hashlib.sha256()
    for place, inside, names in os.walk(folder):
        inside[:] = [name for name in inside if name not in ("raw", "__pycache__")]
        found += [os.path.join(place, name) for name in names if not name.endswith((".md", ".py"))]
    for path in sorted(found):  # 1,800 files: as texts in a third of the time that Path takes
        with open(path, "rb") as file:
            digest.update(os.path.relpath(path, folder).encode() + hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def surroundings():
    """Texts on which every result depends beside the notebook: helpers, data, Python and the libraries."""
    files = [*sorted((ROOT / "helpers").glob("*.py")), ROOT / "requirements.lock"]
    found = SOURCE.read_text(encoding="utf-8") if SOURCE.exists() else ""
    return [*(path.read_text(encoding="utf-8") for path in files), data_digest(), found, *versions()]


def all_notebooks(folder=NOTEBOOKS):
    """The paths of the course's notebooks, in the order of their numbers."""
    return sorted(path for path in folder.glob("[0-9]_*/[0-9][0-9]_*.ipynb") if "." not in path.stem)


def lessons(paths=None):
    """Those of the paths, by default of all, that a class is graded on: series 4 has no exercises."""
    return [path for path in (all_notebooks() if paths is None else paths) if path.parent.name != "4_own"]


def unchecked(path):
    """A notebook as a dict, for who reads many at once: six times faster than nbformat, which checks."""
    return json.loads(path.read_text(encoding="utf-8"))


def data_sets(path):
    """The names of the data sets that a notebook's code loads."""
    cells = unchecked(path)["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return [data_set for loader, data_set in LOADERS.items() if re.search(rf"\b{loader}\(", code)]


def source_of(data_set):
    """What build/source says of a data set: "real" or "sample"; of other names, its word for all."""
    said = SOURCE.read_text(encoding="utf-8").strip() if SOURCE.exists() else "real"
    return dict(part.split("=") for part in said.split(",")).get(data_set, "real") if "=" in said else said


def executed_copy(path):
    """Where the executed copy of a notebook goes."""
    return BUILD / path.relative_to(NOTEBOOKS)


def failed_copy(path):
    """Where the copy of a run that failed goes; the next run that passes removes it."""
    return executed_copy(path).with_suffix(".failed.ipynb")


def checked(path):
    """The notebook whose stored outputs belong to the data at hand: the source, or its copy in build/.

    The outputs in notebooks/ are those of the real data. Where a data set that the notebook loads is the
    sample, `make` executes it first, and what checks or grades then compares with that copy.
    """
    real = all(source_of(data_set) == "real" for data_set in [*data_sets(path), "no data"])
    return path if real else executed_copy(path)


def all_checked():
    """`checked` of every notebook, those on the sample only where they have been executed."""
    return [path for path in map(checked, all_notebooks()) if path.exists()]


def find(number):
    """The notebook with this number ("22").

    Raises SystemExit with one line for a number that no notebook has.
    """
    for path in all_notebooks():
        if path.name.startswith(f"{number}_"):
            return path
    known = " ".join(path.name[:2] for path in all_notebooks())
    raise SystemExit(f"NB={number}: no notebook has this number; allowed are {known}")


def find_checked(number):
    """`checked` of the notebook with this number; SystemExit where it has to be executed first."""
    path = checked(find(number))
    if not path.exists():
        raise SystemExit(f"NB={number}: its data are the sample; it has to run first: make all NB={number}")
    return path


def clean(executed):
    """Drop what papermill and the running session leave in an executed copy: times, paths, widget models."""
    for key in ("papermill", "widgets"):
        executed.metadata.pop(key, None)
    for cell in executed.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = merge_streams([tidy(output) for output in cell.outputs])
    return executed


def take_outputs(source, executed):
    """Copy outputs and execution counts from an executed copy into the source notebook, nothing else.

    So no timestamps, paths or injected parameters can reach the committed file.
    """
    fresh = {cell.id: cell for cell in executed.cells if cell.cell_type == "code"}
    for cell in source.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = fresh[cell.id].outputs, fresh[cell.id].execution_count
    return clean(source)


def merge_streams(outputs):
    """Join neighbouring pieces of one stream, which a busy machine delivers in several messages."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output.output_type == last.get("output_type") == "stream" and output.name == last["name"]:
            last["text"] += output.text
        else:
            merged.append(output)
    return merged


def tidy(output):
    """Drop what an output carries for the running session only (widget models, empty metadata)."""
    output = nbformat.from_dict(output)
    data = output.get("data", {})
    data.pop("application/vnd.jupyter.widget-view+json", None)
    if output.get("transient") is not None:
        output.pop("transient")
    return output


def printed(notebook, label):
    """What the notebook prints after `label:` at the start of a line, or None: 'data source', 'device'."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found = re.search(rf"^{label}: (\S+)", output.get("text", ""), re.MULTILINE)
            if found:
                return found[1]
    return None
