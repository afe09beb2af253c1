"""Find and verify every data file that the notebooks need, and download what is missing.

    python -m tools.data

Writes to build/source the value of DATA that gives the same again: "real", "sample", or "auto" where some
data are real and some of the embedded sample (see tools.notebooks.checked_folder).
"""

import sys

from helpers import datasets, files
from tools.notebooks import SOURCE


def sources():
    """{what: "real" or "sample"}; raises FileNotFoundError or ValueError where something cannot be had."""
    return {
        "customers": datasets.load_wholesale().attrs["source"],
        "molecules": datasets.load_qm7().source,
        "photographs": datasets.load_leaves("color").attrs["source"],
        "cut-outs": datasets.load_leaves("segmented").attrs["source"],
        "network": files.locate([datasets.SQUEEZENET], [datasets.RENDERED_SQUEEZENET])[1],
    }


def main():
    """Get each data set, then print where it came from; exit code 1 with one line where one cannot be had."""
    try:
        found = sources()
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    print(datasets.describe().to_string(index=False))
    stand_ins = [name for name, source in found.items() if source == "sample"]
    if stand_ins:
        print(f"\n*** SAMPLE: {', '.join(stand_ins)} from data/sample, not the real data ***\n")
    SOURCE.parent.mkdir(exist_ok=True)
    kinds = set(found.values())
    SOURCE.write_text((kinds.pop() if len(kinds) == 1 else "auto") + "\n")


if __name__ == "__main__":
    main()
