"""Find and verify every data file that the notebooks need, and download what is missing."""

import sys

from helpers import datasets


def main():
    """Get each data set, then print where it came from; exit code 1 with one line where one cannot be had."""
    try:
        datasets.load_wholesale()
        datasets.load_qm7()
        for kind in ("color", "segmented"):
            datasets.load_leaves(kind)
        datasets.network_weights("squeezenet1_1")
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    print(datasets.describe().to_string(index=False))


if __name__ == "__main__":
    main()
