"""Print what this machine has for the course, and what to do about each problem: make doctor.

Runs on a bare Python too, so that it can say that the environment is missing.
"""

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from course.machine import cores, memory
from course.run import environment

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


# said for information; nothing is wrong
NOTES = {
    "expect twice the stated seconds on one core",
    "run one notebook at a time (no -j)",
    "nothing: pip fetches it, only slower",
    "nothing: every notebook runs on the CPU",
}


def memory_gb():
    """The machine's memory in GB, or what a container has of it; None where the system does not say."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return min(physical, (memory() or (physical, physical))[0]) / 2**30


def machine():
    """(what, finding, what to do) for Python, cores, memory and disk."""
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield "Python", version, "" if good else "use 3.11, 3.12 or 3.13: make all PYTHON=python3.12"
    yield (
        "cores",
        cores(),
        "" if cores() > 1 else "expect twice the stated seconds on one core",
    )
    size = memory_gb()
    small = size is not None and size < 6
    yield (
        "memory",
        f"{size:.0f} GB" if size else "unknown",
        "run one notebook at a time (no -j)" if small else "",
    )
    free = shutil.disk_usage(ROOT).free / 2**30
    there = (ROOT / ".venv").exists() or sys.prefix != sys.base_prefix  # then nothing large is fetched
    needed = environment.size()[1]
    yield (
        "free disk",
        f"{free:.0f} GB",
        f"the environment needs {needed} GB: free some space" if free < needed and not there else "",
    )
    if not os.access(ROOT, os.W_OK):
        yield "this folder", "read-only", "copy it elsewhere: nothing can be run, stored or graded in it"
    yield (
        "uv",
        "found" if shutil.which("uv") else "not found",
        "" if shutil.which("uv") else "nothing: pip fetches it, only slower",
    )


def packages():
    """(package, version, what to do) for what requirements.lock pins and pyproject.toml asks for."""
    try:
        locked = environment.locked_versions(f"{sys.version_info[0]}.{sys.version_info[1]}")
    except ImportError as error:  # checkout() says it where there is no environment at all
        yield "packages", f"unknown ({error})", "run `make env`"
        return
    for name in environment.direct_dependencies():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield name, "not installed", "run `make env`"
            continue
        pinned = locked.get(name)
        yield name, found, "" if found == pinned else f"the lock says {pinned}: run `make env`"


def checkout():
    """(what, finding, what to do): does the environment start, and is `helpers` the one of this folder."""
    if environment.FOLDER.exists() and not environment.works():
        return "environment", "its Python does not start", "run `make env`, which makes it again"
    if sys.prefix == sys.base_prefix and not environment.FOLDER.exists():
        return "environment", "not there", "run `make env`"
    import helpers

    place = Path(helpers.__file__).resolve().parents[1]
    return "helpers of", str(place), "" if place == ROOT else f"run make or python -m course in {ROOT}"


def gpu():
    """(what, finding, what to do) for the GPU as torch sees it."""
    try:
        import torch
    except ImportError as error:
        return "GPU", f"unknown ({error})", "run `make env`"
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        return "GPU", f"{card.name}, {card.total_memory / 2**30:.0f} GB", ""
    return "GPU", "none that torch can use", "nothing: every notebook runs on the CPU"


def main():
    rows = [*machine(), checkout(), *packages(), gpu()]
    for what, finding, advice in rows:
        print(f"{what:20} {finding!s:32} {'-> ' + advice if advice else ''}".rstrip())
    found = "none"
    try:
        from course.run.data import describe

        found = describe().to_string(index=False)
    except Exception as error:  # the doctor reports every problem and breaks on none
        found = str(error)
    print(f"\ndata sources\n{found}")
    problems = [f"{what}: {advice}" for what, _, advice in rows if advice and advice not in NOTES]
    print("\nverdict: " + (f"{problems[0]} ({len(problems)} in all)" if problems else "ready: make all"))


if __name__ == "__main__":
    main()
