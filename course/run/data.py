"""Find and verify every data file that the notebooks need, and download what is missing.

    python -m course.run.data

Decides once for each data set whether its real files or the sample are used (helpers.sources) and writes that
twice: to build/source as the value of DATA that gives the same again ("real", "sample", or for example
"wholesale=real,qm7=real,leaves=sample,squeezenet1_1=real"), and to build/data.json with the reasons.
"""

import json
import os
import sys
from collections import Counter

import pandas as pd

from course.notebooks import DECISIONS, SOURCE
from helpers import datasets, files, sources


def decisions():
    """{data set: Decision}, with the files loaded; raises FileNotFoundError where data cannot be had."""
    datasets.load_wholesale()
    datasets.load_qm7()
    return {data_set: sources.decide(data_set) for data_set in sources.SETS}


def describe():
    """One row per data set: where its files would come from now. Verifies what is here, downloads nothing."""
    rows = []
    for data_set, title in sources.SETS.items():
        names, stand_ins = sources.members(data_set)
        registered = files.registered(names)
        places = Counter(files.find_verified(file)[1] or "address" for file in registered)
        if sources.mode(data_set) == "sample":
            places = ["sample" if files.sample_paths(stand_ins) else "missing"]
        source = ", ".join(places if len(places) == 1 else [f"{n} {place}" for place, n in places.items()])
        size = round(sum(file.bytes for file in registered) / 1e6, 2)
        rows.append((title, len(names), size, source, _wrong(registered)))
    sample = os.environ.get("DATA") == "sample"
    weights = None if sample else datasets.network_weights("vgg16")
    place, note = ("missing", "") if sample else ("address", "only if asked for, by torchvision")
    if weights:
        place, note = "cache" if files.cache_folder() in weights.parents else "mirror", ""
    rows.append(("VGG-16", 1, 528.0, place, note))
    return pd.DataFrame(rows, columns=["data", "files", "MB", "source", "note"])


def _wrong(registered):
    """The first file that is there and not as it should be, in words, or ""."""
    for file in registered:
        for place, problem in files.find_verified(file)[2].items():
            if problem not in (None, "not there"):
                return f"{place} of {file.name!r}: {problem}"
    return ""


def main():
    """Get each data set, then print where it came from; exit code 1 with one line where one cannot be had."""
    try:
        found = decisions()
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    table = describe().set_index("data")
    stand_ins = {sources.SETS[name]: said for name, said in found.items() if said.source == "sample"}
    table.loc[list(stand_ins), "source"] = "sample"
    print(table.reset_index().to_string(index=False))
    if stand_ins:
        named = "; ".join(f"{title}: {said}" for title, said in stand_ins.items())
        print(f"\n*** SAMPLE, not the real data: {named} ***\n")
    SOURCE.parent.mkdir(exist_ok=True)
    decided = json.dumps({name: vars(said) for name, said in found.items()}, indent=1)
    DECISIONS.write_text(decided + "\n", encoding="utf-8")
    kinds = {said.source for said in found.values()}
    mixed = ",".join(f"{name}={said.source}" for name, said in found.items())
    asked = kinds == {"real"} or os.environ.get("DATA") == "sample"  # a sample by need keeps its reasons
    SOURCE.write_text((kinds.pop() if asked else mixed) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
