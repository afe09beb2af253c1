"""Print the path of a notebook by its number: python -m tools.find 22."""

import sys

from tools.notebooks import ROOT, find

if __name__ == "__main__":
    print(find(sys.argv[1]).relative_to(ROOT))
