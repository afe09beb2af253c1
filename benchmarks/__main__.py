"""Speed of the helpers beside other libraries, as ratios in one run: make bench.

Every other module here has a function `run()` that returns rows (dicts with the same keys); this prints each
as a table and writes them to build/bench.md, with the machine and the versions that they hold for.
"""

import importlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import psutil

from course.notebooks import BUILD, ROOT

COMPARED = ("torch", "numpy", "scipy", "scikit-learn", "captum", "zennit", "shap")


def machine():
    """Processor, cores, memory and system of this machine, in one line."""
    processor, known = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    for line in known.read_text(encoding="utf-8").splitlines() if known.exists() else []:
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
    memory = psutil.virtual_memory().total / 2**30
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GB; {platform.system()} {platform.release()}"


def versions():
    """Python's and those of the libraries compared, in one line."""
    found = [f"Python {platform.python_version()}"]
    for name in COMPARED:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def main(wanted):
    BUILD.mkdir(exist_ok=True)
    tables = [f"# Speed beside other libraries\n\n{machine()}\n\n{versions()}\n"]
    print(tables[0], flush=True)
    for path in sorted((ROOT / "benchmarks").glob("[a-z]*.py")):
        if wanted and path.stem not in wanted:
            continue
        module = importlib.import_module(f"benchmarks.{path.stem}")
        table = pd.DataFrame(module.run()).to_string(index=False)
        tables.append(f"{module.__doc__.splitlines()[0]}\n\n```\n{table}\n```\n")
        print(tables[-1], flush=True)
    (BUILD / "bench.md").write_text("\n".join(tables))


if __name__ == "__main__":
    main(sys.argv[1:])
