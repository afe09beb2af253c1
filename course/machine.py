"""How the computing libraries use the machine, decided once for all that the course starts.

Papermill, nbval, JupyterLab (`make learn`, `make lab`), the grader, the benchmarks and the tests get it
through the environment, for the libraries read it when they are imported. Standard library only, because the
front door reads it first.
"""

import contextlib
import math
import os
from pathlib import Path

CONTROL = Path("/sys/fs/cgroup")  # where Linux says what a container may use
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


def within():
    """The environment variables of a process that has all cores, where its libraries would count too many."""
    return counts(cores()) if cores() < allowed() else {}
