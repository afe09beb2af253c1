"""What a file of tests changes of what a process shares is put back: neither order nor time decides."""

import os
import sys

import matplotlib.pyplot as plt
import pytest
import torch
from hypothesis import settings

settings.register_profile("course", deadline=None)  # a busy machine is no failure
settings.load_profile("course")


@pytest.fixture(scope="module", autouse=True)
def each_file_for_itself():
    """Environment, folder, import path, open figures and torch's settings, as the file found them."""
    environment, folder, path = dict(os.environ), os.getcwd(), list(sys.path)
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    yield
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = path
    plt.close("all")
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(True)
