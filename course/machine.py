"""How the computing libraries use the machine, decided once for all that the course starts.

Papermill, nbval, JupyterLab, the grader, the benchmarks and the tests get it through the environment, for the
libraries read it when they are imported. Standard library only, because the front door reads it first.
"""

COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
EVERYWHERE = {
    # a thread that waits for the others sleeps: where it asks again and again, it takes the core from those
    # it waits for as soon as anybody else computes on the machine
    "OMP_WAIT_POLICY": "passive",
    # memory in huge pages, where Linux has them: fewer addresses to look up
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def settings(threads):
    """The environment variables of a process whose libraries take so many threads."""
    return EVERYWHERE | dict.fromkeys(COUNTS, str(threads))
