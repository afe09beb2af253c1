"""Print paths of notebooks: of one by its number, python -m course.run.find 22, or of all without one.

With --checked it is those whose stored outputs belong to the data at hand (course.notebooks.checked_folder).
"""

import sys

from course.notebooks import NOTEBOOKS, ROOT, all_notebooks, checked_folder, find

if __name__ == "__main__":
    folder = checked_folder() if "--checked" in sys.argv else NOTEBOOKS
    numbers = [argument for argument in sys.argv[1:] if argument != "--checked"]
    for path in [find(number, folder) for number in numbers] or all_notebooks(folder):
        print(path.relative_to(ROOT))
