"""Read and check a command line before anything starts: a refusal is one line that says what is allowed."""

import os
import re
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from course import machine

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "DATA": ("auto", "real", "sample"),
    "DEVICE": ("auto", "cpu", "cuda"),
    "NETWORK": ("squeezenet1_1", "vgg16"),
    "PROFILE": ("fast", "full"),
    "TORCH": ("cpu",),
    "OPEN": ("yes", "no"),
    "UNIT": ("angstrom", "bohr"),
    **dict.fromkeys(("ANONYMOUS", "FORCE", "SHOW"), ("1",)),  # without them: no
}
DECISIONS = re.compile(r"\w+=(?:auto|real|sample)(?:,\w+=(?:auto|real|sample))*")
FILES = ("SUBMISSIONS", "FILE", "PATH", "ROSTER", "A", "B")
MOST = max(16, 4 * machine.cores())  # threads or things at once: beyond, a machine only waits for itself
FORMS = {  # what a value must look like, and that in words
    "SEED": (r"\d{1,9}", "must be a whole number from 0 on"),
    "SHARE": (r"\d{1,4}/[1-9]\d{0,3}", "must be K/N, for example 0/7"),
    "LATE_PERCENT": (r"\d{1,2}(\.\d+)?|100", "must be a number from 0 to 100"),
    "LATE_FREE": (r"\d{1,3}", "must be a whole number of days from 0 on"),
    "EXERCISES": (r"\d\d\.\d+(\s+\d\d\.\d+)*", "must be ids of exercises, for example 12.3 22.1"),
    "SCHEDULER": (r"(\w+://)?\S+:\d+", "must be an address, for example tcp://host:8786"),
    "COURSE_HUB": (r"https?://\S+", "must be an address, for example https://hub.example.org"),
    "COURSE_REPOSITORY": (r"[\w.-]+/[\w.-]+", "must be owner/name"),
}


class Refused(Exception):
    """A command line that cannot be run; the message is for the person who typed it."""


def known_notebooks():
    """The numbers of the course's notebooks, in order."""
    return sorted(path.name[:2] for path in (ROOT / "notebooks").glob("[0-9]_*/[0-9][0-9]_*.ipynb"))


def is_date(text):
    try:
        return bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def benchmarks():
    """The names of the benchmarks, in order."""
    return sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))


def parse(arguments, commands):
    """(command, {parameter: value}, jobs) of a command line; raises Refused."""
    name, rest = arguments[0], arguments[1:]
    if name not in commands:
        raise Refused(f"{name}: no such command{number(name)}; allowed are {' '.join(commands)}")
    command, jobs, given = commands[name], None, {}
    rest = iter(rest)
    for argument in rest:
        if argument == "-j" or re.fullmatch(r"-j\d+", argument):
            jobs = argument[2:] or next(rest, "")
        elif re.fullmatch(r"[A-Z_]+=.*", argument, re.DOTALL):
            key, _, value = argument.partition("=")
            given[key] = value.strip()
        else:
            raise Refused(f"{argument}: not understood; give PARAMETER=VALUE, or -j N{number(argument)}")
    for key, value in given.items():
        if key not in command.parameters:
            allowed = " ".join(command.parameters) or "none"
            raise Refused(f"{key}: {name} has no such parameter; allowed are {allowed}")
        if not value:  # NB=$N without an N is one notebook's number that got lost, not all of them
            known = ["some of", *known_notebooks()] if key == "NB" else ALLOWED.get(key, ["a value"])
            raise Refused(f"{key}=: is empty; leave it out, or give {' '.join(known)}")
    for key in ("DATA", "DEVICE", "THREADS"):  # as environment variables too
        if key in command.parameters and os.environ.get(key):
            given.setdefault(key, os.environ[key])
    outside = {"THREADS": os.environ["THREADS"]} if os.environ.get("THREADS") else {}
    check(name, command, {**outside, **given})  # THREADS counts for every command, not only where it is named
    return command, given, jobs_of(jobs)


def number(word):
    """What to say of a notebook's number that stands alone."""
    return f"; a notebook's number is given as NB={word}" if word in known_notebooks() else ""


def check(name, command, given):
    """Raise Refused for a parameter that is missing or has an impossible value."""
    for key in command.needs:
        if key not in given:
            raise Refused(f"{key}: {name} needs it, for example {name} {key}={example(key)}")
    for key, allowed in ALLOWED.items():
        # a run hands its decisions on as "wholesale=real,leaves=sample"
        decided = key == "DATA" and DECISIONS.fullmatch(given.get(key, ""))
        if key in given and given[key] not in allowed and not decided:
            each = ", or one for each data set, such as leaves=sample,qm7=real" if key == "DATA" else ""
            raise Refused(f"{key}={given[key]}: not known; allowed are {' '.join(allowed)}{each}")
    for key, (form, words) in FORMS.items():
        if key in given and not re.fullmatch(form, given[key]):
            raise Refused(f"{key}={given[key]}: {words}")
    for key in ("JOBS", "THREADS"):
        count(f"{key}=", given.get(key, "1"))
    for key in FILES:
        if key in given and not Path(given[key]).exists():
            raise Refused(f"{key}={given[key]}: there is no such file or folder")
    if Path(given.get("REPORTS", "")).is_file():
        raise Refused(f"REPORTS={given['REPORTS']}: is a file; give a folder, which need not be there yet")
    if "SHARE" in given and not int((share := given["SHARE"].split("/"))[0]) < int(share[1]):
        raise Refused(f"SHARE={given['SHARE']}: K must be below N, for example 0/7")
    if "COLUMN" in given and "ROSTER" not in given:
        raise Refused(f"COLUMN={given['COLUMN']}: is a column of your platform's table; give ROSTER too")
    if "DEADLINE" in given and not is_date(given["DEADLINE"]):
        raise Refused(f"DEADLINE={given['DEADLINE']}: must be a date and time, such as 2026-11-30T23:59")
    for benchmark in given.get("BENCH", "").split():
        if benchmark not in (known := benchmarks()):
            raise Refused(f"BENCH={benchmark}: no such benchmark; allowed are {' '.join(known)}")
    check_notebooks(" ".join(re.findall(r"\b(\d\d)\.", given.get("EXERCISES", ""))), single=False)
    if "NB" in given and name != "new":
        check_notebooks(given["NB"], single=name in ("refresh", "grade-mine", "own"))


def check_notebooks(text, single):
    known = known_notebooks()
    for number in text.split():
        if number not in known:
            raise Refused(f"NB={number}: no notebook has this number; allowed are {' '.join(known)}")
    if single and len(text.split()) != 1:
        raise Refused(f"NB={text}: give one number; allowed are {' '.join(known)}")


def example(key):
    return {"NB": "22", "TITLE": '"Random forests"', "SUBMISSIONS": "submissions",
            "PATH": "my.csv"}.get(key, "...")


def jobs_of(given):
    """How many things at once: -j N, else what `make -jN` says, else None."""
    if given is None:
        said = re.search(r"(?:^|\s)-j\s*(\d+)", os.environ.get("MAKEFLAGS", ""))
        given = said[1] if said else None
    return None if given is None else count("-j ", given)


def count(name, text):
    """The number of a text that says how many; Refused where there is none, or too many for this machine."""
    if not re.fullmatch(r"[1-9]\d{0,8}", text) or int(text) > MOST:
        raise Refused(f"{name}{text}: must be a whole number from 1 to {MOST}")
    return int(text)


def check_checkout(root, writes=True):
    """Raise Refused where this folder cannot be worked in; writes: False for what only reads."""
    if writes and not os.access(root, os.W_OK):
        raise Refused(f"{root}: this folder is read-only, and results are written below it; copy it "
                      "elsewhere (help and doctor work here)")  # fmt: skip
    if os.pathsep in str(root):
        raise Refused(f"{root}: a path with {os.pathsep!r} in it cannot be an import path; move the folder")
    if "HOME" not in os.environ and sys.platform != "win32":
        os.environ["HOME"] = (
            tempfile.gettempdir()
        )  # Jupyter and matplotlib want one; nothing of value is kept there
