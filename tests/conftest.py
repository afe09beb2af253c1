"""No file of tests leaves anything to the next one in the process that they share: the guilty one fails."""

import os
import sys

import matplotlib.pyplot as plt
import pytest
import torch


def shared():
    """What all tests in this process share, as far as a test may change it."""
    free = "PYTEST_CURRENT_TEST", "KMP_", "TORCHINDUCTOR_"  # imports set the last two
    found = {f"environment: {name}": text for name, text in os.environ.items() if not name.startswith(free)}
    found |= {"folder": os.getcwd(), "import path": list(sys.path)}
    found |= dict.fromkeys((f"figure {number}" for number in plt.get_fignums()), True)
    found |= {"torch: grad": torch.is_grad_enabled(), "torch: dtype": torch.get_default_dtype()}
    found |= {"torch: threads": torch.get_num_threads()}
    return found


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind():
    before = shared()
    yield
    after = shared()
    left = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    assert not left, f"left behind by this file of tests: {', '.join(left)}"


@pytest.fixture(scope="module")
def put_back():
    """For tests that run a lesson's cells or a library that changes what all share."""
    environment, folder, path = dict(os.environ), os.getcwd(), list(sys.path)
    threads = torch.get_num_threads()
    yield
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = path
    plt.close("all")
    torch.set_num_threads(threads)
    torch.set_grad_enabled(True)
