"""Watch a run from outside, and end it with all that it started where it passes a limit."""

import contextlib
import os
import signal
import subprocess
import time

import psutil

from course.grade import sandbox


def watch(process, folder, limits):
    """Wait for nbval, and end it with all that it started where a limit is passed; returns why, or ''."""
    end, note, started = time.monotonic() + limits.run_seconds, "", []
    while process.poll() is None and not note:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.25)
        if time.monotonic() > end:
            note = f"stopped after {limits.run_seconds:g} seconds"
        with contextlib.suppress(psutil.Error):
            started = psutil.Process(process.pid).children(recursive=True)
            if len(started) > 2 * sandbox.PROCESSES:
                note = f"stopped: it started {len(started)} processes"
            if memory_of(started, limits.run_memory) > limits.run_memory:
                note = f"stopped: it used more than {limits.run_memory} MB of memory"
        if size_of(folder) > limits.disk:
            note = f"stopped: it wrote more than {limits.disk} MB"
    for child in started:
        with contextlib.suppress(psutil.Error):
            child.kill()
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(process.pid, signal.SIGKILL)
    process.wait()
    return note


def memory_of(processes, enough):
    """Memory of processes in MB; shared pages are counted once where the plain sum is more than enough."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss / 2**20
    if total <= enough:
        return total
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error, AttributeError):
            total += process.memory_full_info().pss / 2**20
    return total


def size_of(folder):
    """Size of a folder's files in MB."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total / 2**20
