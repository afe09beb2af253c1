"""What numba has compiled in the environment is found in a sandbox, which shows it read-only."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.course.grade.exam import grade, inside, isolated, points, told

COUNTS = """from numba.core.dispatcher import Dispatcher
from pynndescent import distances
stats = [one.stats for one in vars(distances).values() if isinstance(one, Dispatcher)]
found = [sum(map(len, kind)) > 0 for kind in zip(*((one.cache_hits, one.cache_misses) for one in stats))]
raise ValueError(f"hits, misses: {found}")"""


@isolated
def test_a_sandbox_compiles_nothing_that_lies_compiled_in_the_environment():
    """Else either side of grading needs half a minute more for each lesson that imports umap-learn."""
    subprocess.run([sys.executable, "-c", "import pynndescent.distances"], check=True)
    if not list(Path(find_spec("pynndescent").origin).parent.glob("__pycache__/*.nbi")):
        pytest.skip("the environment cannot be written, so numba keeps nothing beside its modules")
    result = grade(inside(COUNTS), seconds=60)
    assert points(result) == [0, 2]
    assert told(result)[0] == "raised ValueError: hits, misses: [True, False]"
