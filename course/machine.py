"""How the computing libraries use the machine, decided once for all that the course starts.

Papermill, nbval, JupyterLab (`make learn`, `make lab`), the grader, the benchmarks and the tests get it
through the environment, for the libraries read it when they are imported. Standard library only, because the
front door reads it first.
"""

import contextlib
import math
import os
import time
from pathlib import Path

CONTROL = Path("/sys/fs/cgroup")  # where Linux says what a container may use
LOAD = Path("/proc/loadavg")  # its fourth word: how many run now, of how many there are
NO_LIMIT = 2**60  # bytes: cgroups 1 write a number as large as this where there is none
COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
# what an environment says itself comes before all of these
EVERYWHERE = {
    # threads that wait for the others sleep (PyTorch's and scikit-learn's, then NumPy's and SciPy's): where
    # they ask again and again, they take the core from those they wait for as soon as anybody else computes
    "OMP_WAIT_POLICY": "passive",
    "OPENBLAS_THREAD_TIMEOUT": "4",
    # an array's memory would be given back, asked for again a moment later and cleared page by page: up to
    # 64 MB it is kept, and it comes in large pages (glibc reads this, nothing else does)
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=67108864"
                      ":glibc.malloc.trim_threshold=268435456",
}


def counts(threads):
    """The environment variables of a process whose libraries take so many threads."""
    return dict.fromkeys(COUNTS, str(threads))


def allowed():
    """The cores that the system gives this process: fewer than it has in a job of a cluster, for example."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores():
    """How many cores this process may use at once."""
    return min(allowed(), quota() or allowed())


def quota():
    """The time of how many cores a container gets (docker --cpus, Kubernetes), rounded up, or None.

    It sees all cores of the machine, and who starts a thread for each is halted for most of the time.
    """
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):  # cgroups 2 and 1
        with contextlib.suppress(OSError, ValueError):  # "max" and no such file: no limit
            time, period = " ".join((CONTROL / name).read_text(encoding="ascii") for name in names).split()
            if int(time) > 0:
                return math.ceil(int(time) / int(period))
    return None


def memory():
    """(bytes that a container may hold, those of them that are free), or None where it has no limit.

    It sees the memory of the whole machine, and who takes more than the limit is killed.
    """
    old = [f"memory/memory.{name}" for name in ("limit_in_bytes", "usage_in_bytes", "stat")]
    for names in (["memory.max", "memory.current", "memory.stat"], old):  # cgroups 2 and 1
        with contextlib.suppress(OSError, ValueError):  # "max" and no such file: no limit
            most, used, said = ((CONTROL / name).read_text(encoding="ascii") for name in names)
            facts = dict(line.split() for line in said.splitlines())
            files = facts.get("total_inactive_file") or facts.get("inactive_file") or 0  # they give way
            if int(most) < NO_LIMIT:
                return int(most), max(0, int(most) - int(used) + int(files))
    return None


def idle():
    """The cores of `cores()` on which nobody computes now, at least one.

    Two threads that share a core wait for each other: beside neighbours, one is faster and computes less.
    What computes only for a moment does not count. Linux alone says it without another library.
    """
    others = running() - 1  # this process is one of them
    for _ in range(4):
        time.sleep(0.02)
        others = min(others, running() - 1)
    return max(1, min(cores(), (os.cpu_count() or 1) - others))


def running():
    """How many threads of this machine compute or wait for a core; 1 where the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(LOAD.read_text(encoding="ascii").split()[3].partition("/")[0])
    return 1


def within(most=None):
    """The environment variables of a process that has `most` cores, where its libraries would count more."""
    most = most or cores()
    return counts(most) if most < allowed() else {}
