"""What a file of tests changes of what a process shares is put back: neither order nor time decides.

Several workers share the tests by file, those that grade lessons by lesson, and take the longest first.
"""

import os
import re
import sys

import matplotlib.pyplot as plt
import pytest
import torch
from hypothesis import settings

settings.register_profile("course", deadline=None)  # a busy machine is no failure
settings.load_profile("course")


for variable in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):  # what a test makes is no part of the make that runs it
    os.environ.pop(variable, None)


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


# these grade each lesson: the worker that has its processes takes all of its tests, so its cells run once
BY_LESSON = ("tests/course/grade/test_grade_course.py", "tests/course/grade/test_forms.py")
LONG = ("tests/course/publish/test_site.py", "tests/course/learn/test_lab.py",
        "tests/course/grade/test_grade.py", "tests/course/grade/test_reading.py",
        "tests/course/learn/test_self_check.py")  # fmt: skip


def together(name):
    """What a test's node id shares with those that the same worker takes: a lesson's number, or a file."""
    file, number = name.partition("::")[0], re.search(r"\[(\d\d)\]$", name)
    return number[1] if file in BY_LESSON and number else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """As --dist loadfile, but lessons where a file goes by lesson."""
    from xdist.scheduler import LoadFileScheduling

    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = together
    return scheduler if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items):
    """Sort: notebooks as they stand, long files, lesson by lesson, the other files."""

    def place(item):
        if item.path.suffix == ".ipynb":
            return 0, ""
        scope = together(item.nodeid)
        return (1, "") if scope in LONG else (2, scope) if scope.isdigit() else (3, "")

    items.sort(key=place)
