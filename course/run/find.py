"""Print paths of notebooks: of one by its number, python -m course.run.find 22, or of all without one.

With --checked it is those whose stored outputs belong to the data at hand (course.notebooks.checked).
"""

import sys

from course.notebooks import ROOT, all_notebooks, checked, find

if __name__ == "__main__":
    numbers = [argument for argument in sys.argv[1:] if argument != "--checked"]
    for path in [find(number) for number in numbers] or all_notebooks():
        print((checked(path) if "--checked" in sys.argv else path).relative_to(ROOT))
