"""What a student's cells may mean as an answer: the readings that grading tries, the likeliest first.

Looks at sources alone; runs in the process that reads what students wrote (course.grade.reading).
"""

import ast
import builtins
import contextlib
import functools
import itertools
import re

from course import contract
from course.grade import slicing
from course.grade.slicing import names

CANDIDATES = 4
BUILTINS = frozenset(dir(builtins))
FUNCTION = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)", re.MULTILINE)


@functools.cache
def imported(source):
    """The set of (name, package that it is imported from) of all imports in a cell's source."""
    found = set()
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        for node in ast.walk(ast.parse(slicing.plain(source))):
            for alias in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
                module = alias.name if isinstance(node, ast.Import) else node.module or ""
                found.add(((alias.asname or alias.name).partition(".")[0], module.partition(".")[0]))
    return found


def claimed(cell):
    """The exercise that a cell claims by its id or metadata, or None."""
    identifier = contract.course(cell).get("id")
    if str(cell.get("id")).startswith("exercise-"):
        return str(cell["id"]).removeprefix("exercise-").replace("-", ".")
    return identifier if isinstance(identifier, str) and "for" not in contract.course(cell) else None


def wanted(exercise, reference):
    """The names that an exercise's checks may take from an answer."""
    checks = [cell.source for cell in reference.cells if contract.course(cell).get("for") == exercise.id]
    return names(exercise.source).binds.union(*(names(check).loads for check in checks))


def asked_values(exercise, reference):
    """The names of an exercise that are no functions and that a hidden check takes: a verdict, a choice."""
    cells = [cell for cell in reference.cells if contract.course(cell).get("for") == exercise.id]
    hidden = [names(cell.source).loads for cell in cells if "hidden" in contract.tags(cell)]
    values = bound(exercise.source) - set(FUNCTION.findall(exercise.source))
    return values & set().union(*hidden)


def bound(source):
    """The names that a source may bind at its top level, in whatever way, but by an import."""
    return (names(source).binds | names(source).perhaps) - names(source).imports


def candidates(exercise, first, own, asked_by, last=False):
    """The sources that may be the answer to an exercise, the likeliest first; last: the last one is that.

    asked_by: {exercise id: names it asks for}. Another exercise's cell is one if nothing else is, and if it
    binds all that is asked here and none of that is asked there.
    """
    asked = set(contract.defined(exercise.source))
    worked = [cell.source for cell in own if claimed(cell) == exercise.id and cell.source.strip()]
    elsewhere = [cell.source for cell in own if claimed(cell) is None and asked & bound(cell.source)]
    found = [first.source] if first.attempted else []
    found += ["\n".join(worked)] if len(worked) > 1 else []
    whole = [source for source in (*worked, *elsewhere) if asked <= bound(source)]
    found = [*reversed(whole), *found] if last else [*found, *reversed(whole)]
    found += ["\n".join(elsewhere)] if len(elsewhere) > 1 else elsewhere
    beside = [cell.source for cell in own if not asked & asked_by.get(claimed(cell), set())]
    found = found or [source for source in beside if asked and asked <= bound(source)]
    found.sort(key=lambda source: not asked <= bound(source))  # what binds all that is asked comes first
    return list(dict.fromkeys(found))[:CANDIDATES]


def readings(found, own, lesson_names, asked):
    """The readings of the sources that may be the answer, the likeliest first, none twice.

    Each is first read without the statements that the answer does not need (try-outs, plots), then whole;
    what the student's other cells define under a name of the lesson comes second. Last comes all that the
    student wrote, in order, as if every cell had been run: with the likeliest answer once more at its end,
    and without.
    """
    given = [
        [*needed(source, own, theirs), source]
        for theirs, source in itertools.product((lesson_names, set()), found)
    ]
    if found:
        given.append([*(cell.source for cell in own), found[0]])
        given.append([cell.source for cell in own])  # a cell below may complete what the answer creates
    known = {}
    for sources in given:
        for reading in (pruned(sources, asked), sources):
            known.setdefault(normal(reading), reading)
    return list(known.values())


def pruned(sources, asked):
    """The sources with only the statements that bind the asked names, or what those need; all imports."""
    parts = [(place, part) for place, source in enumerate(sources) for part in statements(source)]
    texts = [part for _, part in parts]
    imports = {place for place, part in enumerate(texts) if slicing.is_import(part)}
    kept = slicing.needed([*texts, "\n".join(sorted(asked))], {*imports, len(texts)}, calls=False)[:-1]
    if not any(parts[i][0] == len(sources) - 1 for i in kept if i not in imports):
        return sources  # nothing of the answer is left
    cut = ["\n".join(texts[i] for i in kept if parts[i][0] == place) for place in range(len(sources))]
    return [source for source in cut if source]


@functools.cache
def statements(source):
    """The statements of a cell's source, each as a source; the whole where it is not Python."""
    try:
        return slicing.statements(slicing.plain(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [source]


def normal(reading):
    """A reading as it is compared with another one: by its statements."""
    return "\n".join(part for source in reading for part in statements(source))


def needed(source, cells, lesson_names):
    """The sources of the other cells that a source needs, by the names that it loads, in their order.

    Of several cells that bind a name the nearest above counts, as Run All would have it, else the last one
    below. What the lesson defines is the lesson's, what Python defines Python's: a student's experiment with
    the same name comes second. A cell with a star import may bind whatever nobody else does.
    """
    inside = lambda one: f"\n{one.source.strip()}\n" in f"\n{source}\n"  # a source may be of several cells
    here = max((place for place, one in enumerate(cells) if inside(one)), default=len(cells))
    order = [*reversed(range(here)), *reversed(range(here + 1, len(cells)))]
    order = [place for place in order if cells[place].source != source]
    wanted, given, chosen, before = names(source).loads, set(), set(), None
    while before != chosen:  # what a cell needs may stand below it
        before = set(chosen)
        for place in order:
            its, claims = names(cells[place].source), claimed(cells[place])
            asked = wanted - given - (lesson_names & BUILTINS if claims else lesson_names)
            unknown = "*" in its.binds and asked - BUILTINS
            if place not in chosen and (unknown or (its.binds | its.perhaps) & asked):
                chosen.add(place)
                given = given | its.binds
                wanted = wanted | its.loads
    bound_below = set().union(*(names(cells[place].source).binds for place in chosen if place > here))
    again = [place for place in chosen if place < here and names(cells[place].source).binds & bound_below]
    return [cells[place].source for place in (*sorted(chosen), *sorted(again))]
