"""Which notebooks count for whom: those that are named, else those in which somebody has worked."""

import sys
from concurrent.futures import ThreadPoolExecutor

from course import contract
from course.grade import plan, reading


def named(known, options):
    """The numbers that NB= and EXERCISES= name; SystemExit where there is no such one."""
    numbers = {exercise.partition(".")[0] for exercise in options.exercises} or set(options.notebooks)
    if missing := numbers - set(known):
        allowed = " ".join(sorted(known))
        raise SystemExit(f"NB={' '.join(sorted(missing))}: no such notebook; allowed are {allowed}")
    chosen = (contract.exercises(plan.opened(known[number][1])) for number in numbers if options.exercises)
    there = {exercise.id for some in chosen for exercise in some}
    if lost := sorted(set(options.exercises) - there):
        raise SystemExit(f"EXERCISES={lost[0]}: no such exercise; allowed are {' '.join(sorted(there))}")
    return numbers


def attempted(files, reference):
    """Whether one of a student's files has an answer to an exercise of a notebook."""
    return any(
        one["readings"] for file in files for one in reading.read(file.content, reference)["given"].values()
    )


def notebooks(assigned, known, options):
    """({number: students whose files are graded}, numbers that count for everybody).

    Where none is named, a notebook is one in which somebody has worked: a copy that came along is none. It
    counts for everybody if more than half of those who worked in any have worked in it; one stray file costs
    nobody else. What was found is printed.
    """
    handed = {}
    for student, files in assigned.items():
        for number in files:
            handed.setdefault(number, set()).add(student)
    if numbers := named(known, options):
        return {number: handed.get(number, set()) for number in sorted(numbers)}, numbers
    pairs = [(number, student) for number in sorted(handed) for student in handed[number]]
    with ThreadPoolExecutor(options.jobs) as pool:
        ask = lambda pair: attempted(assigned[pair[1]][pair[0]], known[pair[0]][1])
        there = [pair for pair, yes in zip(pairs, pool.map(ask, pairs), strict=True) if yes] or pairs
    found = {number: {one for other, one in there if other == number} for number, _ in there}
    whole = set().union(*found.values())
    most = {number for number, students in found.items() if 2 * len(students) > len(whole)}
    if len(found) > 1 or len(handed) > 1:
        said = ", ".join(f"{number} ({len(students)} of {len(whole)})" for number, students in found.items())
        print(f"notebooks in which students have worked: {said}", flush=True)
    if few := [number for number in found if number not in most]:
        print(f"not more than half have worked in {' '.join(few)}: counts only for who did; "
              f'NB="{" ".join(found)}" makes all of them count for everybody', flush=True)  # fmt: skip
    return {number: handed[number] if number in most else found[number] for number in found}, most


def of_each(students, counted, everybody, graded):
    """{student: numbers} of the notebooks that this run counts for each: everybody's, and those of theirs."""
    own = lambda student: {number for number, those in counted.items() if student in those}
    return {student: (everybody | own(student)) & graded for student in students}


def trials(counted, students, trial, is_named):
    """{number: limits} from trial(number); a notebook that nobody named and that fails its trial is left out.

    Its students get a note. SystemExit where a named one fails, or all of them.
    """
    limits, failed = {}, []
    for number, those in counted.items():
        try:
            limits[number] = trial(number)
        except SystemExit as error:
            if is_named:
                raise
            failed.append(str(error))
            for student in those:
                students[student].notes.append(f"{number} is not graded: its reference fails on this machine")
    if failed and not limits:
        raise SystemExit("\n".join(failed))
    for one in failed:
        print(f"{one}; left out", file=sys.stderr, flush=True)
    return limits
