"""Speed and accuracy beside other libraries, as ratios in one run."""

from statistics import median
from time import perf_counter


def threads():
    """How many threads torch takes here: THREADS, OMP_NUM_THREADS or one for each core."""
    import torch

    return torch.get_num_threads()


def seconds(calls, rounds):
    """{name: median seconds} of {name: function without arguments}.

    Each round times all of them, one after the other: what disturbs the machine for a while hits them alike.
    Every other round goes backwards, so that none always comes after the same one and finds its memory.
    """
    taken = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls)[:: -1 if number % 2 else 1]:
            start = perf_counter()
            calls[name]()
            taken[name].append(perf_counter() - start)
    return {name: median(times) for name, times in taken.items()}
