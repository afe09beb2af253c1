"""Write a notebook that fulfils the contract, to be filled: make new NB=29 TITLE="Random forests".

template.json is a small true lesson, so that it runs, is checked and can be graded before a word is changed.
In it 00 stands for the number and TITLE for the title.
"""

import re
import sys
from pathlib import Path

from course.notebooks import NOTEBOOKS, all_notebooks

TEMPLATE = Path(__file__).with_name("template.json")
SERIES = {"1": "1_wholesale", "2": "2_qm7", "3": "3_leaves", "4": "4_own"}


def notebook(number, title):
    """The text of the new notebook file."""
    safe = title.replace("\\", "\\\\").replace('"', '\\"')
    text = TEMPLATE.read_text(encoding="utf-8").replace("TITLE", safe)
    return re.sub(r"\b00(?=[.\s-])", number, text)


def main():
    number, title = sys.argv[1], " ".join(" ".join(sys.argv[2:]).split())
    if not re.fullmatch(r"[1-4][0-9]", number):
        sys.exit(f"NB={number}: must be two digits, the first one that of the series: {' '.join(SERIES)}")
    words = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
    if not words:
        sys.exit(f"TITLE={title!r}: must hold at least one letter from a to z or digit")
    if any(path.name.startswith(f"{number}_") for path in all_notebooks()):
        sys.exit(f"NB={number}: there is a notebook with this number already")
    path = NOTEBOOKS / SERIES[number[0]] / f"{number}_{words}.ipynb"
    path.parent.mkdir(exist_ok=True)
    path.write_text(notebook(number, title), encoding="utf-8")
    print(f"written: {path.relative_to(NOTEBOOKS.parent).as_posix()}")
    print(f"next: make refresh NB={number}, then make check NB={number}")


if __name__ == "__main__":
    main()
