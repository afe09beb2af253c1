"""What becomes of results over a term: earlier weeks, points by hand, late days, names, tables.

The folder of reports is the memory: each student's report.json keeps what was graded, manual.csv what
instructors gave (never written by us once it exists), names.csv which anonymous name belongs to whom.
"""

import copy
import csv
import hashlib
import io
import json
import math
import os
import secrets
from dataclasses import dataclass

import nbformat

from course import contract
from course.grade import collect, exchange, overview, plan, report

MANUAL, NAMES, TABLES = "manual.csv", "names.csv", (".csv", ".html")
BY_HAND = "student,exercise,points,comment"
LONGEST = 200  # bytes of a student's name that its folder has


def earlier(folder, names):
    """{student: {notebook: result}} of all reports in a folder."""
    found, owners = {}, {name: student for student, name in names.items()}
    for path in sorted(folder.glob("*/report.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            # the folder's name is not the student's where that is long or has a slash
            name = report.unquoted(data["key"]) if "key" in data else folder_name(path.parent.name)
            found[owners.get(name, name)] = {**data["notebooks"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            said = f"{type(error).__name__}: {str(error)[:200]}"
            raise SystemExit(f"{path}: is damaged, and with it what was graded before ({said}); put a copy "
                             "of it back, or delete it to begin anew for this student") from None  # fmt: skip
    return found


def folder_name(name):
    """The student of a folder whose report tells none: reports were so before they had a key."""
    return name[:-1] if name.removesuffix("_").endswith(TABLES) else name


def folder_of(folder, student):
    """Where a student's files are, whatever the student is called: never where a table of ours is."""
    name = student.replace("/", "_").lstrip(".") or "_"
    if len(os.fsencode(name)) > LONGEST:  # file systems take 255 bytes; the digest keeps two students apart
        digest = hashlib.sha256(os.fsencode(student)).hexdigest()[:16]
        name = f"{os.fsencode(name)[:LONGEST].decode('utf-8', 'ignore')}-{digest}"
    return folder / (f"{name}_" if name.endswith(TABLES) else name)


def added(old, notebook, new, only=()):
    """A student's results with a new one; only: the exercises that were graded again, the others stay."""
    before = old.get(notebook)
    if only and before and new["exercises"]:
        rows = {row["exercise"]: row for row in new["exercises"]}
        # how late it came, and which file it was, is what this run says: a deadline may have moved
        late = {key: value for key, value in new.items() if key.startswith("late_")}
        before = {key: value for key, value in before.items() if not key.startswith("late_")}
        new = {**before, **late, "notes": new["notes"], "status": new["status"], "file": new.get("file", ""),
               "exercises": [rows.get(row["exercise"], row) for row in before["exercises"]]}  # fmt: skip
        for key in ("points", "possible"):
            new[key] = sum(row[key] for row in new["exercises"])
    return {**old, notebook: new}


def by_hand(folder):
    """{student: {exercise: (points or None, comment)}} of manual.csv, which is begun where there is none."""
    path, found = folder / MANUAL, {}
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(f"{BY_HAND}\n", encoding="utf-8")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SystemExit(f"{path}: {error}; save it as CSV in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=exchange.separator(text))
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    if lost := {"student", "exercise", "points"} - {*reader.fieldnames}:
        raise SystemExit(f"{path}: no column {', '.join(sorted(lost))}; its first line must be {BY_HAND}")
    for row in reader:
        row = {key: value.strip() for key, value in row.items() if key and value}
        if row:
            student = found.setdefault(row.get("student", ""), {})
            points = points_of(row.get("points", ""), f"{path}, line {reader.line_num}")
            student[row.get("exercise", "")] = points, row.get("comment", "")
    return found


def points_of(text, place):
    """The number in a line of manual.csv, None where there is none."""
    try:
        value = float(text.replace(",", ".")) if text else None
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise SystemExit(f"{place}: points {text!r}; allowed is a number")
    return value


def unused(manual, results, names):
    """What to say of the lines of manual.csv that change nothing: no such student, or no such exercise."""
    graded = {names.get(student, student): each for student, each in results.items()} | results
    for student, given in manual.items():
        there = {row["exercise"] for one in graded.get(student, {}).values() for row in one["exercises"]}
        there |= {notebook[:2] for notebook in graded.get(student, ())}
        said = "nobody is called so" if student not in graded else "was not graded for this student"
        for exercise in sorted(set(given) - there):
            line = f"{report.readable(student)}, {report.readable(exercise)}"
            yield f"{MANUAL}: {line}: changes nothing, {said}"


def adjusted(results, manual):
    """Results with what was given by hand (a notebook's number: added to it), less what late days cost."""
    results = copy.deepcopy(results)
    free = max((result.get("late_free", 0) for result in results.values()), default=0)
    for notebook, result in sorted(results.items()):
        for row in result["exercises"]:
            points, comment = manual.get(row["exercise"], (None, ""))
            if points is not None:
                row["points"], row["note"] = points, "; ".join([row["note"], "points by hand"]).strip("; ")
            row["note"] = "; ".join(part for part in (row["note"], comment) if part)
        more, comment = manual.get(notebook[:2], (0, ""))
        result["points"] = sum(row["points"] for row in result["exercises"]) + (more or 0)
        result["notes"] += [part for part in (comment, f"{more:+g} points by hand" if more else "") if part]
        if days := result.get("late_days", 0):
            excused = min(free, days)
            free -= excused
            cost = result["points"] * late_cost(days - excused, result.get("late_percent", 0))
            result["points"] = round(result["points"] - cost, 2)
            result["notes"].append(f"{days} days late, {excused} of them free: {-cost:+.3g} points")
    return results


@dataclass(frozen=True)
class Lateness:
    """deadline: seconds since 1970; percent: of the points, for a day; free: days that cost nothing."""

    deadline: float | None = None
    percent: float = 0.0
    free: int = 0

    def days(self, moment):
        """Begun days after the deadline."""
        return max(0, math.ceil((moment - self.deadline) / 86400)) if moment and self.deadline else 0

    def share(self, moment):
        """What is left of the points of a file."""
        return 1 - late_cost(self.days(moment) - self.free, self.percent)


def late_cost(days, percent):
    """The share of the points that late days cost, at most all; days: those that are not free."""
    return min(1, max(0, days) * percent / 100)


def lateness(before, moment, said, options):
    """The late_* of a result. before: the one of an earlier run; said: whether the platform calls it late."""
    days = Lateness(options.deadline).days(moment)
    how = {"late_percent": options.late_percent, "late_free": options.late_free}
    if options.deadline:
        return {"late_days": days, **how} if days else {}
    if said:
        return {"late_days": 1, "late_said": True, **how}
    # what an earlier deadline found out stays; what the platform said then, it does not say any more
    kept = {} if before.get("late_said") else before
    return {key: value for key, value in kept.items() if key.startswith("late_")}


def names_of(folder, students, anonymous):
    """{student: name in the reports}; anonymous ones stay in names.csv, so that the next week agrees."""
    path, known = folder / NAMES, {}
    if path.exists():
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            known = {row["student"].removeprefix("'"): row["name"] for row in csv.DictReader(file)}
    if anonymous:
        known |= {one: f"s-{secrets.token_hex(4)}" for one in sorted(students) if one not in known}
        folder.mkdir(parents=True, exist_ok=True)
        with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            # a name's own ' is doubled: the one that keeps a spreadsheet from a formula is taken off again
            kept = lambda student: f"'{student}" if student.startswith("'") else report.cell(student)
            rows = [(kept(student), name) for student, name in known.items()]
            csv.writer(file).writerows([("student", "name"), *rows])
    return known


def write_one(folder, student, results, names, manual=None):
    """One student's report; returns (the name in it, the adjusted results)."""
    name, manual = names.get(student, student), by_hand(folder) if manual is None else manual
    shown = adjusted(results, {**manual.get(name, {}), **manual.get(student, {})})
    report.write_student(folder_of(folder, name), name, shown, results)
    return name, shown


def write(folder, students, names, roster=None, column="", due=None):
    """Everything in the folder of reports, from {student: {notebook: result}}; returns {name: adjusted ones}.

    names: {student: name} to write under; manual.csv and the roster know students by their own names.
    due: {student: numbers} of what was graded now, for the platform has a column of its own for each week.
    """
    manual, shown, totals = by_hand(folder), {}, {}
    for student, results in students.items():
        name, shown[name] = write_one(folder, student, results, names, manual)
        now = {key: one for key, one in shown[name].items() if due is None or key[:2] in due.get(student, ())}
        if now:
            totals[student] = report.total(now)
    for said in unused(manual, students, names):
        print(said, flush=True)
    report.write_class(folder, shown)
    overview.write(folder, shown)
    if roster:
        exchange.write(folder, roster, totals, column)
    return shown


def nothing(reference, status, note=""):
    """The result of a notebook of which there is nothing to grade."""
    book = plan.opened(reference)
    empty = contract.answers(book, nbformat.NotebookNode(cells=[]))
    result = {"status": status, "notes": [note] if note else [], "seconds": 0.0, "isolation": "", "cells": []}
    return {**result, **contract.score(book, empty, {})}


class Book:
    """The results of a class while they come in, on top of what stood in the folder of reports."""

    def __init__(self, reports, students, options):
        self.reports, self.students, self.options = reports, students, options
        by_hand(reports)  # a table that cannot be read is said before hours of grading
        self.names = names_of(reports, students, options.anonymous)
        before = earlier(reports, self.names)
        self.results = {**{student: {} for student in students}, **before}
        if options.roster and (others := sorted(set(before) - set(students))):
            few = ", ".join(map(report.readable, others[:3])) + ", ..." * (len(others) > 3)
            print(f"REPORTS: graded before and not in the roster: {few}; where they are the same under other "
                  "names, grade all weeks with ROSTER into a new folder", flush=True)  # fmt: skip

    def only(self, student, notebook):
        """The exercises to grade again; all of a notebook that was not graded before."""
        was = self.results[student].get(notebook, {}).get("status")
        return self.options.exercises if was == "graded" else ()

    def how(self, student, notebook):
        """(only, Lateness, file that counted before) for `batch.best`: free days are those that are left."""
        others = [one for name, one in self.results[student].items() if name != notebook]
        free = max(0, self.options.late_free - sum(one.get("late_days", 0) for one in others))
        late = Lateness(self.options.deadline, self.options.late_percent, free)
        return self.only(student, notebook), late, self.results[student].get(notebook, {}).get("file", "")

    def missing(self, student, notebook, reference):
        """Nothing was handed in for a notebook now: what was graded before stays."""
        if notebook not in self.results[student]:
            self.add(student, notebook, nothing(reference, "not submitted"))

    def add(self, student, notebook, result):
        """Take one result and write the student's report."""
        given, old = self.students.get(student, collect.Student(student)), self.results[student]
        result["notes"] += given.notes
        moment = result.pop("handed_in", None)
        result.update(lateness(old.get(notebook, {}), moment, given.late, self.options))
        self.results[student] = added(old, notebook, result, self.only(student, notebook))
        write_one(self.reports, student, self.results[student], self.names)

    def close(self, due=None):
        """Write the tables of the class; due: {student: numbers} that the platform's column gets."""
        options = self.options
        return write(self.reports, self.results, self.names, options.roster, options.column, due)
