"""How far the checked numbers move between processors: make drift, or python -m course drift [NB=22 ...].

One machine plays several: environment variables choose the instruction set that NumPy, OpenBLAS, MKL, oneDNN
and PyTorch use. Every notebook runs under each of them, with one and two threads, and its checked outputs
are compared with the stored ones, as nbval does. Slow (ten runs of the whole course), so finished runs are
kept in build/drift until the notebook, helpers, data or a library change, and `--share K/N` runs one Nth of
the notebooks. Each run computes its features itself: none takes those that another set has left in the cache.
A set that this processor or these libraries cannot play is named and not run.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

import nbformat

from course.check.compare import PICTURE, agree, last_unit, rules_of, split_numbers
from course.contract import tags
from course.machine import counts
from course.notebooks import BUILD, ROOT, all_notebooks, data_sets, find, versions
from helpers import sources

KEPT = BUILD / "drift"
SETS = {
    "own": {},  # whatever the libraries choose here
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "OPENBLAS_CORETYPE": "SkylakeX",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_CBWR": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4,AVX512_ICL,AVX512_SPR",
    },
    "avx": {  # a processor of 2011: wide registers, no fused multiply and add
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "AVX",
        "MKL_CBWR": "AVX",
        "OPENBLAS_CORETYPE": "Sandybridge",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3,X86_V4,AVX512_ICL,AVX512_SPR",
    },
    "sse": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3,X86_V4,AVX512_ICL,AVX512_SPR",
    },
}
# what `effect` says where a set is in force; `own` is whatever it is
PLAYED = {
    "avx512": {"NumPy": "X86_V4", "OpenBLAS": "SkylakeX", "PyTorch": "AVX512", "oneDNN": "AVX-512"},
    "avx2": {"NumPy": "X86_V3", "OpenBLAS": "Haswell", "PyTorch": "AVX2", "oneDNN": "AVX2"},
    "avx": {"NumPy": "X86_V2", "OpenBLAS": "Sandybridge", "PyTorch": "DEFAULT", "oneDNN": "AVX"},
    "sse": {"NumPy": "X86_V2", "OpenBLAS": "Nehalem", "PyTorch": "DEFAULT", "oneDNN": "SSE4.1"},
}
PROBE = """
import numpy, scipy.linalg, torch
from threadpoolctl import threadpool_info
has = numpy._core._multiarray_umath.__cpu_features__
print("NumPy:", max(name for name in ("X86_V2", "X86_V3", "X86_V4") if has.get(name)))
pools = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
print("OpenBLAS:", *{pool["architecture"] for pool in pools})
print("PyTorch:", torch.backends.cpu.get_cpu_capability())
torch.nn.functional.conv2d(torch.ones(8, 3, 64, 64), torch.ones(16, 3, 3, 3))  # large enough for oneDNN
"""
THREADS = (1, 2)


def executed(path, setting, threads, parameters=()):
    """The notebook at `path` as it comes out under an instruction set, from build/drift where it is there.

    Raises RuntimeError with the executor's message where a cell fails.
    """
    target = KEPT / f"{setting}-{threads}" / f"{path.stem}-{fingerprint(path)}.ipynb"
    if not target.exists():
        command = [sys.executable, "-m", "course.run.execute", str(path), str(target), *parameters]
        with tempfile.TemporaryDirectory() as empty:
            chosen = {**counts(threads), "THREADS": str(threads), "COURSE_FEATURES": empty}
            result = under(setting, command, **chosen)
        if result.returncode:
            raise RuntimeError(result.stdout.strip() or result.stderr.strip())
    return nbformat.read(target, 4)


def under(setting, command, **variables):
    """Run a command with the variables of an instruction set and none of another; the finished process."""
    known = {key for names in SETS.values() for key in names}
    environment = {key: value for key, value in os.environ.items() if key not in known}
    environment |= SETS[setting] | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def effect(setting):
    """{library: instruction set in use} of a process that runs under a setting."""
    said = under(setting, [sys.executable, "-c", PROBE], ONEDNN_VERBOSE="1").stdout
    found = dict(re.findall(r"^(NumPy|OpenBLAS|PyTorch): (.*)$", said, re.MULTILINE))
    isa = re.search(r"cpu,isa:(?:\w+ )?(AVX-512|AVX2|AVX|SSE4\.1)", said)
    return {**found, "oneDNN": isa[1] if isa else "unknown"}


def not_played(setting):
    """Why an instruction set cannot be played here, in one line, or ""."""
    found, wanted = effect(setting), PLAYED.get(setting, {})
    wrong = [f"{name} uses {found.get(name)}, not {value}" for name, value in wanted.items()
             if found.get(name) != value]  # fmt: skip
    return f"{setting}: not run: {'; '.join(wrong)}" if wrong else ""


def fingerprint(path):
    """A short digest of what a notebook's result depends on: code, helpers, data and libraries."""
    cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    files = [*sorted((ROOT / "helpers").glob("*.py")), ROOT / "data/registry.toml", ROOT / "data/leaves.csv"]
    data = [f"{name} {sources.mode(name)}" for name in data_sets(path)]
    depends = [*cells, *(file.read_text(encoding="utf-8") for file in files), *versions(), *data]
    return hashlib.sha256("\0".join(depends).encode()).hexdigest()[:12]


def differences(stored, found):
    """[{cell, units, relative, inside, stored, got}] of the checked cells whose outputs differ.

    units: the largest difference of a float in units of its last stored digit; inf where words differ.
    """
    fresh, rows = {cell.id: cell for cell in found.cells}, []
    for cell in stored.cells:
        if "nbval-check-output" not in tags(cell):
            continue
        for old, new in zip_outputs(cell, fresh[cell.id]):
            if old == new:
                continue
            units, relative, pair = largest(old, new)
            inside = agree(old, new, rules_of(cell.metadata))
            rows.append({"cell": cell.id, "units": units, "relative": relative, "inside": inside,
                         "stored": pair[0], "got": pair[1]})  # fmt: skip
    return rows


def zip_outputs(stored, found):
    """Pairs of texts of two cells' outputs, per stream and MIME type; a missing one is an empty text."""
    old, new = texts(stored), texts(found)
    for key in sorted({*old, *new}):
        yield old.get(key, ""), new.get(key, "")


def texts(cell):
    """{(position, MIME type): text} of a cell's outputs, pictures left out."""
    streams = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    found = {(0, "stream"): streams} if streams else {}
    for position, output in enumerate(cell.outputs):
        for key, value in output.get("data", {}).items():
            if not key.startswith("image/"):
                text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                found[position, key] = PICTURE.sub("picture", text)
    return found


def largest(old, new):
    """(units of the last digit, relative difference, (old, new)) of the floats that differ most."""
    words, floats = split_numbers(old)
    other_words, other_floats = split_numbers(new)
    if words != other_words:
        first = next((k for k, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
        return (
            float("inf"),
            float("inf"),
            (old[max(0, first - 30) : first + 30], new[max(0, first - 30) : first + 30]),
        )
    worst = max(
        zip(floats, other_floats, strict=True),
        key=lambda pair: abs(float(pair[0]) - float(pair[1])) / last_unit(pair[0]),
    )
    gap = abs(float(worst[0]) - float(worst[1]))
    return gap / last_unit(worst[0]), gap / max(abs(float(worst[0])), 1e-300), worst


def table(paths, sets, threads):
    """Yield (notebook, setting, threads, rows or None, message) as the runs are done."""
    for path in paths:
        stored = nbformat.read(path, 4)
        for setting in sets:
            for count in threads:
                try:
                    rows = differences(stored, executed(path, setting, count))
                    yield path.stem, setting, count, rows, ""
                except RuntimeError as error:
                    yield path.stem, setting, count, None, str(error)


def chosen_share(paths, share):
    """Every Nth notebook, beginning with the Kth (K/N, K from 0)."""
    place, _, of = share.partition("/")
    return paths[int(place) % int(of) :: int(of)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", help="notebooks, such as 12 22; all where none is given")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--threads", nargs="*", type=int, default=list(THREADS))
    parser.add_argument("--share", default="0/1", help="K/N: only every Nth notebook, from the Kth on")
    arguments = parser.parse_args()
    paths = chosen_share([find(number) for number in arguments.numbers] or all_notebooks(), arguments.share)
    refused = {setting: not_played(setting) for setting in arguments.sets}
    print(*filter(None, refused.values()), sep="\n", flush=True)
    played, red = [setting for setting in arguments.sets if not refused[setting]], 0
    for name, setting, count, rows, message in table(paths, played, arguments.threads):
        outside = [row for row in rows or [] if not row["inside"]]
        red += rows is None or bool(outside)
        worst = max((row["units"] for row in rows or []), default=0)
        said = message or f"{len(rows)} cells differ, at most {worst:.3g} units, {len(outside)} outside"
        print(f"{name:28} {setting:7} {count} thread{'s' * (count > 1)}: {said}", flush=True)
        for row in rows or []:
            mark = "    " if row["inside"] else "  ! "
            print(
                f"{mark}{row['cell']}: {row['stored']!r} -> {row['got']!r} ({row['units']:.3g} units)",
                flush=True,
            )
    print("all inside their tolerance" if not red else f"{red} runs outside their tolerance")
    sys.exit(bool(red))


if __name__ == "__main__":
    main()
