"""Names in and points out, in the tables that learning platforms export and import.

A roster is the table that the platform itself gives: Moodle's offline grading worksheet, Canvas's gradebook,
GitHub Classroom's roster, or any CSV with a column that holds what the submissions are called and a column
`id`. Its rows come back with the points filled in, so that the platform takes it.
"""

import csv
import io
import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

# columns by which a hand-in is found, and those by which a student is known, the first one that is filled
GIVEN = {
    "moodle": (("identifier", "full name", "email address"), ("id number", "email address", "identifier")),
    "canvas": (("id", "sis login id", "student"), ("sis user id", "sis login id", "id")),
    "github": (("github_username", "name"), ("identifier",)),
    "own": (("submission", "name", "email", "login"), ("id",)),
}


@dataclass
class Roster:
    """kind: moodle, canvas, github or own; rows: dictionaries as they stand in the file."""

    kind: str
    header: list
    rows: list
    known: dict = field(default_factory=dict)

    def identifier(self, row):
        """What a student is called in the reports."""
        low = {key.lower(): (value or "").strip() for key, value in row.items() if key}
        return next((low[name] for name in GIVEN[self.kind][1] if low.get(name)), "")


def read(path):
    """The Roster in a CSV file; raises SystemExit that says what is missing."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"ROSTER={path}: {error}; give a CSV in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text), delimiter=separator(text))
    header, rows = list(reader.fieldnames or []), list(reader)
    low = {name.lower() for name in header}
    if "identifier" in low and "grade" in low:
        kind = "moodle"
    elif {"student", "id", "section"} <= low:
        kind = "canvas"
    elif "github_username" in low:
        kind = "github"
    elif "id" in low and low & set(GIVEN["own"][0]):
        kind = "own"
    else:
        allowed = "Moodle's worksheet, Canvas's gradebook, GitHub Classroom's roster, or submission and id"
        raise SystemExit(f"ROSTER={path}: its columns are {', '.join(header)}; allowed are {allowed}")
    roster = Roster(kind, header, rows)
    for row in rows:
        low = {key.lower(): value for key, value in row.items() if key}
        for name in GIVEN[kind][0]:
            if value := plain(low.get(name)):
                roster.known.setdefault(value, row)
    return roster


def separator(text):
    """What stands between the columns: the sign that the first line has most of."""
    return max(",;\t", key=text.partition("\n")[0].count)


def plain(name):
    """A name as it is compared: no capitals, no blanks, signs as one, of `Participant 123` the number."""
    name = unicodedata.normalize("NFC", (name or "").casefold())
    return re.sub(r"^participant(?=\d)|[\s,]", "", re.sub(r"\s", "", name))


def by_clone(student, roster, shared):
    """The row whose name a clone's folder, `week-2-ada`, ends with; shared: how all these folders begin.

    The longest such name counts, for names may have hyphens; what stands before it must be shared by all.
    """
    folder = plain(student.clone)
    ends = [name for name in roster.known if name and f"-{folder}".endswith(f"-{name}")]
    ends = [name for name in ends if shared.startswith(folder.removesuffix(name))]
    return roster.known[max(ends, key=len)] if ends and folder else None


def renamed(students, roster):
    """({identifier: Student}, [keys without a row]): students of one row are one; who is missing is empty."""
    found, unknown = {}, []
    shared = os.path.commonprefix([plain(one.clone) for one in students.values() if one.clone])
    for key, student in students.items():
        row = by_clone(student, roster, shared) or roster.known.get(plain(student.id))
        row = row or roster.known.get(plain(student.name))
        name = roster.identifier(row) if row else ""
        if not name:
            unknown.append(key)
        if (name or key) in found:
            found[name].files += student.files
            found[name].notes += student.notes
            found[name].late |= student.late
        else:
            found[name or key] = student
    return found, unknown


def checked_column(roster, column):
    """Raise SystemExit where Canvas's table has no such column: a new one would be no assignment there."""
    if roster and roster.kind == "canvas" and column:
        own = ("student", "id", "sis user id", "sis login id", "section")
        allowed = [name for name in roster.header if name.lower() not in own]
        if column.lower() not in map(str.lower, allowed):
            raise SystemExit(f"COLUMN={column}: not in the roster; allowed are {', '.join(allowed)}")


def write(folder, roster, totals, column=""):
    """The roster with points, as FOLDER/moodle.csv, canvas.csv or the like; totals: {id: (points, possible)}.

    column: Canvas's name of the assignment, `12 Anomalies (4711)`. Whoever has no points keeps what stands.
    """
    grade = {"moodle": "Grade", "canvas": column or "Open the black box"}.get(roster.kind, "points")
    grade = next((name for name in roster.header if name.lower() == grade.lower()), grade)
    header = roster.header if grade in roster.header else [*roster.header, grade]
    path = folder / f"{roster.kind}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, extrasaction="ignore", restval="")
        writer.writeheader()
        for row in roster.rows:
            points, possible = totals.get(roster.identifier(row), (None, 0))
            if points is not None:
                most = as_number(next((row[n] for n in row if n and n.lower() == "maximum grade"), ""))
                scale = most / possible if most and possible else 1
                row = {**row, grade: f"{round(points * scale, 2):g}"}
            writer.writerow(row)
    return path


def as_number(text):
    try:
        return float((text or "").replace(",", "."))
    except ValueError:
        return 0.0


def gradescope(results):
    """results.json for Gradescope: one test a check; what hidden ones say shows after publication."""
    tests = []
    for notebook, result in sorted(results.items()):
        for row in result["exercises"]:
            for place, check in enumerate(row["checks"], 1):
                said = [check["message"], check["detail"]]
                tests.append({
                    "name": f"{row['exercise']} check {place}" + (" (hidden)" if check["hidden"] else ""),
                    "score": check["points"],
                    "max_score": check["possible"],
                    "output": "\n".join(part for part in said if part),
                    "output_format": "text",
                    "visibility": "after_published" if check["hidden"] else "visible",
                    "tags": [notebook],
                })  # fmt: skip
    return tests
