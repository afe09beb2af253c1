"""What the two sides of grading are told about a notebook: the lesson's statements, exercises and checks.

Only the statements that the checks need are kept (course.grade.slicing), in the notebook's order. At the last
check of an exercise stands a step for the exercise: there a process waits on either side.
"""

import builtins
import functools
import os
import re
import sys
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from course import contract, machine
from course.grade import slicing
from course.grade.checker import imports
from course.grade.likely import imported
from course.notebooks import ROOT

UNSEEN = ("NameError", "AttributeError", "KeyError")  # of a name that no analysis sees: eval("np"), say
WORD = re.compile(r"\w+")
COMPILED = "course.grade.numba_cache.CopiedCacheLocator"  # by name: who writes it here does without numba


@functools.lru_cache(maxsize=64)
def opened(content):
    """A reference notebook from its bytes; shared, so nobody changes it."""
    return nbformat.reads(content.decode(), as_version=4)


@functools.lru_cache(maxsize=32)
def lesson_names(content, lean=False):
    """(names that the lesson's cells bind, those of them that its `steps` keep) of a reference's bytes."""
    reference = opened(content)
    code = [cell for cell in reference.cells if cell.cell_type == "code" and not contract.course(cell)]
    bound = [slicing.names(cell.source).binds for cell in code]
    kept = [
        slicing.names(step["source"]).binds for step in steps(reference, lean=lean) if "exercise" not in step
    ]
    return set().union(*bound), set().union(*kept)


def ways(content, used, limits):
    """[(whether only needed imports, names to add), ...]: what a hand-in is examined with, in turn.

    Most hand-ins need nothing but what the checks need, and share small processes, whose copies cost least.
    Others share those with all imports: so do those that miss a name there. With limits.lean, for one hand-in
    alone, what is missing is added to the small ones.
    """
    if limits.whole:
        return [(False, ())]
    found = []
    for lean in (True, False):
        bound, kept = lesson_names(content, lean)
        extra = tuple(sorted(set(used) & (bound - kept)))
        found += [(lean, extra)] if limits.lean or not lean or not extra else []
    return found


def may_lack(content, record):
    """Whether a check's error may come of what the small processes of a reference's bytes leave out."""
    named = WORD.findall(" ".join(re.findall(r"'([\w.]+)'", record["text"])))
    return record["error"] in UNSEEN and not left_out(content).isdisjoint(named)


@functools.lru_cache(maxsize=32)
def left_out(content):
    """The words of what the lesson's cells bind or import and the smallest processes do not hold."""
    bound, kept = lesson_names(content, lean=True)
    code = [cell for cell in opened(content).cells if cell.cell_type == "code"]
    imports = [part for cell in code for part in slicing.statements(cell.source) if slicing.is_import(part)]
    return (bound | set(WORD.findall(" ".join(imports)))) - kept


def steps(reference, whole=False, extra=(), lean=False):
    """The steps of a reference notebook as the checker is told them: plain data.

    whole: with all of the lesson's statements; extra: names of the lesson that have to be there as well;
    lean: without imports of which nothing is needed.
    """
    code = [cell for cell in reference.cells if cell.cell_type == "code"]
    sources = [TransformerManager().transform_cell(cell.source) for cell in code]
    position = {cell.id: index for index, cell in enumerate(code)}
    exercises = contract.exercises(reference)
    marked = {index for index, cell in enumerate(code) if contract.course(cell)}
    # answers will import what the references import
    packages = {package for one in exercises for _, package in imported(one.source)}
    ready = {name for source in sources for name, package in imported(source) if package in packages}
    lesson = sources if whole else cut(sources, marked, extra, lean, ready)
    known = {name for source in sources for name in slicing.names(source).binds}
    at = {}
    for one in exercises:
        asked = exercise_step(one, sources, position, known)
        asked["checks"] = [
            check_step(check, code[position[check.cell]], sources[position[check.cell]], asked["names"])
            for check in one.checks
        ]
        at[position[one.checks[-1].cell]] = asked
    found = []
    for index, cell in enumerate(code):
        if index in at:
            found.append(at[index])
        elif index not in marked and lesson[index].strip():
            found.append({"cell": cell.id, "source": lesson[index]})
    return found


def exercise_step(exercise, sources, position, known):
    """The step for an exercise; names: what its checks take from the student's cells."""
    source = sources[position[exercise.cell]]
    own = slicing.names(source).binds - slicing.names(source).imports  # a check's libraries are its own
    checks = [sources[position[check.cell]] for check in exercise.checks]
    asked = set().union(*(slicing.names(check).loads for check in checks))
    return {
        "exercise": exercise.id,
        "cell": exercise.cell,
        "source": source if contract.BEGIN in exercise.source else "",
        "imports": imports(source),
        "names": sorted((asked & own) | (asked - known - set(dir(builtins)))),
    }


def check_step(check, cell, source, names):
    """One check as the checker runs it; expected: what it has to print, None for a hidden one."""
    expected = None
    if not check.hidden:
        shown = (output for output in cell.outputs if output.get("name") != "stderr")
        expected = "".join(output.get("text", "") for output in shown)
        if not cell.outputs:
            raise ValueError(f"the reference's {cell.id} has no stored output: make refresh")
    return {
        "check": cell.id,
        "source": source,
        "expected": expected,
        "forget": names,
        **{key: cell.metadata[key] for key in ("tolerance",) if key in cell.metadata},
    }


def for_student(found):
    """The same steps without anything of a check, a reference answer or a target."""
    return [
        {"exercise": step["exercise"], "cell": step["cell"]} if "exercise" in step else dict(step)
        for step in found
    ]


def cut(sources, wanted, extra=(), lean=False, ready=frozenset()):
    """The sources with only the statements that the wanted ones need, which stay whole, and all imports.

    lean: with only those imports that are needed or bind a name of `ready`.
    """
    parts = [
        (index, part)
        for index, source in enumerate(sources)
        for part in ([source] if index in wanted else slicing.statements(source))
    ]
    parts.append((len(sources), "\n".join(sorted(extra))))
    chosen = {
        place
        for place, (index, part) in enumerate(parts)
        if index in wanted or kept_anyway(part, lean, ready)
    }
    chosen.add(len(parts) - 1)
    kept = slicing.needed([part for _, part in parts], chosen)
    return ["\n".join(parts[place][1] for place in kept if parts[place][0] == i) for i in range(len(sources))]


def kept_anyway(statement, lean, ready):
    """Whether a statement is an import that stays: nobody sees what `*` brings, nor what __future__ does."""
    always = "import *" in statement or statement.startswith("from __future__")
    wanted = always or not lean or slicing.names(statement).binds & ready
    return slicing.is_import(statement) and bool(wanted)


def crowding():
    """How many times longer things take here now than alone: so much longer may a hand-in take, too."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 1
    return min(20.0, max(1.0, load / machine.cores()))


def visible_paths():
    """What a sandbox shows: Python, the environment, the helpers, this pipeline's code and the data."""
    from helpers import files

    paths = [sys.base_prefix, sys.exec_prefix, sys.prefix, files.cache_folder(), files.mirror_folder()]
    paths += [ROOT / name for name in ("helpers", "course", "pyproject.toml", "data")]
    given = [Path(path) for path in paths if path is not None]
    # an environment or data folder may be a link, and what it points to must be there as well
    return list(dict.fromkeys([*given, *(path.resolve() for path in given)]))


def hidden_paths():
    """What no sandbox shows, wherever the course lies (in /usr/local, or inside an environment)."""
    found = [ROOT / name for name in ("notebooks", "build", "work", "tests", "submissions", ".git")]
    return list(dict.fromkeys([*found, *(path.resolve() for path in found)]))


def environment(isolated):
    """The environment of both sides: of the caller's only where things are and what the course is told.

    isolated: in a sandbox, where the folders of the installed packages cannot be written.
    """
    from helpers import files

    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "DATA", "TZ") if name in os.environ}
    return {
        **kept,
        **machine.EVERYWHERE,
        **machine.counts(1),
        # a fork copies the table of all pages: with large ones, for Python's objects too, in half the time
        "PYTHONMALLOC": "malloc",
        **({"NUMBA_CACHE_LOCATOR_CLASSES": COMPILED} if isolated else {}),
        "HOME": "/tmp",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "IPYTHONDIR": "/tmp/ipython",
        "DEVICE": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "COURSE_DATA": str(files.cache_folder()),
        **({"COURSE_MIRROR": str(files.mirror_folder())} if files.mirror_folder() else {}),
    }
