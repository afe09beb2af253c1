"""JupyterLab on notebooks/, for authors: make lab. It saves when it is told to, for these are the sources.

labconfig/ holds the defaults that differ from JupyterLab's; a user's own settings come first.
"""

import os
import sys
from pathlib import Path

from course import machine
from course.notebooks import NOTEBOOKS

SAID = f"""\
{NOTEBOOKS.name}/ holds the sources, with solutions: nothing is saved by itself, and Ctrl+S changes them.
To learn, take copies of your own: make learn, or python -m course learn"""


def main():
    from jupyterlab.labapp import LabApp  # slow to import

    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    for name, value in machine.within().items():
        os.environ.setdefault(name, value)
    print(SAID, flush=True)
    os.chdir(NOTEBOOKS)  # where JupyterLab shows files, if no option says otherwise
    # in a container there is nobody but root, and JupyterLab would end
    root = ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    return LabApp.launch_instance([*root, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
