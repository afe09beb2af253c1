"""What becomes of results over a term: earlier weeks, points by hand, late days, names, tables.

The folder of reports is the memory: each student's report.json keeps what was graded, manual.csv what
instructors gave (never written by us once it exists), names.csv which anonymous name belongs to whom.
"""

import contextlib
import copy
import csv
import json
import math
import secrets

import nbformat

from course import contract
from course.grade import collect, exchange, overview, plan, report

MANUAL, NAMES, TABLES = "manual.csv", "names.csv", (".csv", ".html")


def earlier(folder, names):
    """{student: {notebook: result}} of all reports in a folder."""
    found, owners = {}, {name: student for student, name in names.items()}
    for path in sorted(folder.glob("*/report.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            results = json.loads(path.read_text(encoding="utf-8"))["notebooks"]
            name = path.parent.name
            name = name[:-1] if name.removesuffix("_").endswith(TABLES) else name
            found[owners.get(name, name)] = results
    return found


def folder_of(folder, student):
    """Where a student's files are, whatever the student is called: never where a table of ours is."""
    name = student.replace("/", "_").lstrip(".") or "_"
    return folder / (f"{name}_" if name.endswith(TABLES) else name)


def added(old, notebook, new, only=()):
    """A student's results with a new one; only: the exercises that were graded again, the others stay."""
    before = old.get(notebook)
    if only and before and new["exercises"]:
        rows = {row["exercise"]: row for row in new["exercises"]}
        new = {**before, "notes": new["notes"], "status": new["status"],
               "exercises": [rows.get(row["exercise"], row) for row in before["exercises"]]}  # fmt: skip
        for key in ("points", "possible"):
            new[key] = sum(row[key] for row in new["exercises"])
    return {**old, notebook: new}


def by_hand(folder):
    """{student: {exercise: (points or None, comment)}} of manual.csv, which is begun where there is none."""
    path, found = folder / MANUAL, {}
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text("student,exercise,points,comment\n", encoding="utf-8")
    with open(path, newline="", encoding="utf-8-sig") as file:
        for place, row in enumerate(csv.DictReader(file), 2):
            points = (row.get("points") or "").strip()
            try:
                value = float(points.replace(",", ".")) if points else None
            except ValueError:
                raise SystemExit(f"{path}, line {place}: points {points!r}; allowed is a number") from None
            student = found.setdefault(row.get("student") or "", {})
            student[(row.get("exercise") or "").strip()] = value, (row.get("comment") or "").strip()
    return found


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
            cost = result["points"] * min(1, (days - excused) * result.get("late_percent", 0) / 100)
            result["points"] = round(result["points"] - cost, 2)
            result["notes"].append(f"{days} days late, {excused} of them free: {-cost:+.3g} points")
    return results


def days_late(moment, deadline):
    """Begun days after the deadline, both in seconds since 1970."""
    return max(0, math.ceil((moment - deadline) / 86400)) if moment and deadline else 0


def names_of(folder, students, anonymous):
    """{student: name in the reports}; anonymous ones stay in names.csv, so that the next week agrees."""
    path, known = folder / NAMES, {}
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            known = {row["student"].removeprefix("'"): row["name"] for row in csv.DictReader(file)}
    if anonymous:
        known |= {one: f"s-{secrets.token_hex(4)}" for one in sorted(students) if one not in known}
        folder.mkdir(parents=True, exist_ok=True)
        with open(path, "w", newline="", encoding="utf-8", errors="replace") as file:
            rows = [(report.cell(student), name) for student, name in known.items()]
            csv.writer(file).writerows([("student", "name"), *rows])
    return known


def write_one(folder, student, results, names, manual=None):
    """One student's report; returns (the name in it, the adjusted results)."""
    name, manual = names.get(student, student), by_hand(folder) if manual is None else manual
    shown = adjusted(results, {**manual.get(name, {}), **manual.get(student, {})})
    report.write_student(folder_of(folder, name), name, shown, results)
    return name, shown


def write(folder, students, names, roster=None, column=""):
    """Everything in the folder of reports, from {student: {notebook: result}}; returns {name: adjusted ones}.

    names: {student: name} to write under; manual.csv and the roster know students by their own names.
    """
    manual, shown, totals = by_hand(folder), {}, {}
    for student, results in students.items():
        name, shown[name] = write_one(folder, student, results, names, manual)
        totals[student] = report.total(shown[name])
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
        self.names = names_of(reports, students, options.anonymous)
        self.results = {**{student: {} for student in students}, **earlier(reports, self.names)}

    def missing(self, student, notebook, reference):
        """Nothing was handed in for a notebook now: what was graded before stays."""
        if notebook not in self.results[student]:
            self.add(student, notebook, nothing(reference, "not submitted"))

    def add(self, student, notebook, result):
        """Take one result and write the student's report."""
        given, old = self.students.get(student, collect.Student(student)), self.results[student]
        result["notes"] += given.notes
        late = days_late(result.pop("handed_in", None), self.options.deadline)
        if late or (given.late and not self.options.deadline):
            how = {"late_percent": self.options.late_percent, "late_free": self.options.late_free}
            result.update(late_days=late or 1, **how)
        elif not self.options.deadline:  # what an earlier run found out stays
            kept = {key: value for key, value in old.get(notebook, {}).items() if key.startswith("late_")}
            result.update(kept)
        self.results[student] = added(old, notebook, result, self.options.exercises)
        write_one(self.reports, student, self.results[student], self.names)

    def close(self):
        """Write the tables of the class."""
        options = self.options
        return write(self.reports, self.results, self.names, options.roster, options.column)
