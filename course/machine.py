"""How the computing libraries use the machine, decided once for all that the course starts.

Papermill, nbval, JupyterLab (`make learn`, `make lab`), the grader, the benchmarks and the tests get it
through the environment, for the libraries read it when they are imported. Standard library only, because the
front door reads it first.
"""

import os

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
}


def counts(threads):
    """The environment variables of a process whose libraries take so many threads."""
    return dict.fromkeys(COUNTS, str(threads))


def cores():
    """How many cores this process may use: fewer than the machine has in a job of a cluster, for example."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
