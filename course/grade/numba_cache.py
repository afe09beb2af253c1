"""Where numba finds its compiled code inside a sandbox, which shows the environment read-only.

numba takes a cache only from a folder that it may write to. Otherwise it compiles all of umap-learn anew in
each process that imports it: half a minute for each side of grading.
"""

import contextlib
import shutil
from functools import cache
from pathlib import Path

from numba.core.caching import UserWideCacheLocator


class CopiedCacheLocator(UserWideCacheLocator):
    """numba's folder in the home directory, filled with what lies compiled beside the module."""

    @classmethod
    def from_function(cls, py_func, py_file):
        """A locator, or None; numba calls this for each function that has a cache."""
        found = super().from_function(py_func, py_file)
        if found:
            copy_compiled(Path(py_file).parent / "__pycache__", Path(found.get_cache_path()))
        return found


@cache
def copy_compiled(source, target):
    """Copy numba's index (.nbi) and code (.nbc) files, once in a process."""
    for file in [*source.glob("*.nbc"), *source.glob("*.nbi")]:
        with contextlib.suppress(OSError):  # another process has just replaced it: compiled anew
            shutil.copy2(file, target)
