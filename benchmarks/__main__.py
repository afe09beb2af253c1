"""Speed of the helpers beside other libraries, as ratios in one run: make bench.

Every other module here has a function `run()` that returns rows (dicts with the same keys); this prints each
as a table and writes them to build/bench.md.
"""

import importlib
import sys

import pandas as pd

from course.notebooks import BUILD, ROOT


def main(wanted):
    BUILD.mkdir(exist_ok=True)
    tables = []
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
