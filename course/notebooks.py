"""Find the course's notebooks by number and keep what papermill adds out of them."""

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
SOURCE = BUILD / "source"


def all_notebooks(folder=NOTEBOOKS):
    """The paths of the course's notebooks, in the order of their numbers."""
    return sorted(path for path in folder.glob("[0-9]_*/[0-9][0-9]_*.ipynb") if "." not in path.stem)


def checked_folder():
    """Where the stored outputs belong to the data at hand: notebooks/, or on the sample the executed build/.

    The outputs in notebooks/ are those of the real data. On the sample `make` executes the notebooks first,
    and what checks or grades then compares with that.
    """
    return BUILD if SOURCE.exists() and SOURCE.read_text().strip() != "real" else NOTEBOOKS


def find(number, folder=NOTEBOOKS):
    """The notebook with this number ("22").

    Raises SystemExit with one line for a number that no notebook has.
    """
    for path in all_notebooks(folder):
        if path.name.startswith(f"{number}_"):
            return path
    known = " ".join(path.name[:2] for path in all_notebooks())
    raise SystemExit(f"NB={number}: no notebook has this number; allowed are {known}")


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
