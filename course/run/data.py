"""Find and verify every data file that the notebooks need, and download what is missing.

    python -m course.run.data

Writes to build/source the value of DATA that gives the same again: "real", "sample", or "auto" where some
data are real and some of the embedded sample (see course.notebooks.checked_folder).
"""

import sys

from course.notebooks import SOURCE
from helpers import datasets, files


def sources():
    """{row of datasets.describe(): "real" or "sample"}; raises FileNotFoundError where data cannot be had."""
    return {
        "Wholesale customers": datasets.load_wholesale().attrs["source"],
        "QM7": datasets.load_qm7().source,
        "leaves, photographs": datasets.load_leaves("color").attrs["source"],
        "leaves, cut-outs": datasets.load_leaves("segmented").attrs["source"],
        "SqueezeNet 1.1": files.locate([datasets.SQUEEZENET], [datasets.RENDERED_SQUEEZENET])[1],
    }


def main():
    """Get each data set, then print where it came from; exit code 1 with one line where one cannot be had."""
    try:
        found = sources()
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    stand_ins = [name for name, source in found.items() if source == "sample"]
    table = datasets.describe()
    table.loc[table["data"].isin(stand_ins), "source"] = "sample"
    print(table.to_string(index=False))
    if stand_ins:
        print(f"\n*** SAMPLE: {'; '.join(stand_ins)} from data/sample, not the real data ***\n")
    SOURCE.parent.mkdir(exist_ok=True)
    kinds = set(found.values())
    SOURCE.write_text((kinds.pop() if len(kinds) == 1 else "auto") + "\n")


if __name__ == "__main__":
    main()
