"""Speed of the helpers beside other libraries, as ratios in one run: make bench.

Every other module here has a function `run()` that returns rows (dicts with the same keys); this prints each
as a table and writes them to build/bench.md, with the machine and the versions that they hold for. What other
benchmarks wrote there stays, as long as it is of the same machine, threads and versions.
"""

import importlib
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import psutil

from benchmarks import threads
from course.notebooks import BUILD, ROOT

COMPARED = ("torch", "numpy", "scipy", "scikit-learn", "captum", "zennit", "shap")


def machine():
    """Processor, cores, threads that the libraries take, memory and system of this machine, in one line."""
    processor, known = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    for line in known.read_text(encoding="utf-8").splitlines() if known.exists() else []:
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}"
    return f"{processor}, {os.cpu_count()} cores, {threads()} threads, {memory:.0f} GB; {system}"


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
    """Run the benchmarks with these names, all without one; each is on the page as soon as it is done."""
    BUILD.mkdir(exist_ok=True)
    page, head = BUILD / "bench.md", f"# Speed beside other libraries\n\n{machine()}\n\n{versions()}\n"
    sections = kept(page.read_text(encoding="utf-8") if page.exists() else "", head)
    print(head, flush=True)
    page.write_text(head + "".join(sections.values()), encoding="utf-8")
    for path in sorted((ROOT / "benchmarks").glob("[a-z]*.py")):
        if wanted and path.stem not in wanted:
            continue
        module = importlib.import_module(f"benchmarks.{path.stem}")
        table = pd.DataFrame(module.run()).to_string(index=False)
        about = module.__doc__.splitlines()[0]
        sections[path.stem] = f"\n## {path.stem}\n\n{about}\n\n```\n{table}\n```\n"
        print(sections[path.stem], flush=True)
        page.write_text(head + "".join(sections.values()), encoding="utf-8")


def kept(page, head):
    """{benchmark: its section} of an earlier page; nothing of another machine or other versions."""
    found = re.split(r"(?m)(?=^\n## )", page.removeprefix(head)) if page.startswith(head) else []
    return {section.split()[1]: section for section in found if section.startswith("\n## ")}


if __name__ == "__main__":
    main(sys.argv[1:])
