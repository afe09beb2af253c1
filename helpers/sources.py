"""One decision for each data set, with all its kinds and splits: its real files, or the whole sample.

The decision holds for a process; `make` takes it once for all notebooks and hands it on in DATA.
"""

import os
from dataclasses import dataclass
from functools import lru_cache

from helpers import files

WHOLESALE, QM7 = "wholesale/Wholesale customers data.csv", "qm7/qm7.mat"
SQUEEZENET = "networks/squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
RENDERED_SQUEEZENET = "networks/squeezenet1_1.safetensors"  # of the sample, trained on rendered pictures
SPLITS = ("train", "validation", "test")
WORDS = ("auto", "real", "sample")
SETS = {"wholesale": "Wholesale customers", "qm7": "QM7", "leaves": "leaves, photographs and cut-outs",
        "squeezenet1_1": "SqueezeNet 1.1"}


@dataclass(frozen=True)
class Decision:
    """source: "real" or "sample"; reason: what of the real files is missing, "" where that was not asked."""

    source: str
    reason: str = ""

    def __str__(self):
        return f"{self.source} ({self.reason})" if self.reason else self.source


def mode(data_set):
    """What DATA says of a data set: "auto", "real" or "sample"; ValueError for a DATA that cannot be read.

    DATA is one word for all data sets, or a list such as wholesale=real,leaves=sample; sets that it does not
    name are "auto".
    """
    value = os.environ.get("DATA") or "auto"
    if value in WORDS:
        return value
    words = dict(part.partition("=")[::2] for part in value.split(","))
    if not (set(words) <= set(SETS) and set(words.values()) <= set(WORDS)):
        raise ValueError(f"DATA: {value!r} is not known; allowed are 'auto', 'real' and 'sample', or one of "
                         f"these for each data set, as in leaves=sample,qm7=real (of {', '.join(SETS)})")
    return words.get(data_set, "auto")


def members(data_set):
    """(real names, names below data/sample) of all files of a data set."""
    if data_set == "leaves":
        return tuple([name for kind in ("color", "segmented") for name in frame[kind]]
                     for frame in leaf_tables(SPLITS).values())
    return {"wholesale": ([WHOLESALE], ["customers.csv"]), "qm7": ([QM7], ["molecules.npz"]),
            "squeezenet1_1": ([SQUEEZENET], [RENDERED_SQUEEZENET])}[data_set]


def leaf_tables(splits):
    """{"real": manifest, "sample": that of the rendered leaves (empty without them)}, these splits only."""
    real, folder = files.manifest(), files.FOLDER / "sample"
    stand_in = files.manifest(folder) if (folder / "leaves.csv").is_file() else real[:0]
    return {source: frame[frame["split"].isin(splits)].reset_index(drop=True)
            for source, frame in (("real", real), ("sample", stand_in))}


def decide(data_set):
    """The Decision on a data set, the same for the whole process.

    DATA=auto takes the sample only where a real file cannot be had, after trying to download what is missing,
    and logs a warning. Raises FileNotFoundError where a real file cannot be had and the sample may not or
    cannot stand in, or where DATA=sample and there is none.
    """
    folders = files.cache_folder(), files.mirror_folder(), files.FOLDER
    return _decide(data_set, mode(data_set), os.environ.get("DATA"), *folders)


@lru_cache
def _decide(data_set, wanted, data, *_folders):
    names, stand_ins = members(data_set)
    substitutes = files.sample_paths(stand_ins)
    if wanted == "sample":
        if substitutes is None:
            raise FileNotFoundError(f"DATA: 'sample' is set, but data/sample has nothing for {names[0]!r}; "
                                    "allowed here are 'auto' and 'real'")
        if data == "sample":  # asked for: nothing to explain
            return Decision("sample")
        decision = Decision("sample", files.shortfall(names))
        files.LOG.warning("SAMPLE, not the real data: %s: %s", data_set, decision.reason or f"DATA={data}")
        return decision
    try:
        files.real_paths(names)
    except FileNotFoundError as error:
        if substitutes is None or wanted == "real":
            raise
        decision = Decision("sample", files.shortfall(names))
        files.LOG.warning("SAMPLE, not the real data: %s: %s; %s", data_set, decision.reason, error)
        return decision
    return Decision("real")


def locate(data_set):
    """(paths of all files of a data set, its Decision): the real ones verified, or those of the sample."""
    decision, (names, stand_ins) = decide(data_set), members(data_set)
    return (files.real_paths(names) if decision.source == "real" else files.sample_paths(stand_ins)), decision
