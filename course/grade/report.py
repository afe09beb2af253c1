"""Write what grading found: per student JSON, Markdown and HTML, and one grades.csv for the class."""

import csv
import difflib
import html
import json
import re
from urllib.parse import quote, unquote

from course import contract
from course.grade import exchange
from course.grade.codec import readable

CLASS = "grades.csv"
TIMES = ("seconds", "cells")
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h2{margin-top:2.5rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;
padding:.35rem .6rem;border-bottom:1px solid #ccc}pre{background:#f4f4f4;padding:.6rem;overflow-x:auto}
.note{color:#555}.points,.outcome{white-space:nowrap}td p,td pre{margin:.2rem 0}"""


def difference(expected, got):
    """Lines of `expected` and `got`, marked - and +, the equal ones unmarked."""
    lines = difflib.ndiff(expected.splitlines()[:40], got.splitlines()[:40])
    return "\n".join(line.rstrip() for line in lines if not line.startswith("?"))


def number(points):
    """Points without a needless .0."""
    return f"{points:g}"


def remarks(check):
    """What to tell about a check that failed: the message, what was raised."""
    parts = [check["message"]] if check["message"] else []
    return parts + ([f"It {check['detail']}" if check["detail"].startswith("raised") else check["detail"]]
                    if check["detail"] else [])  # fmt: skip


def fence(text):
    """A fenced block that the text cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}diff\n{text}\n{ticks}"


def plain(text):
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&])", r"\\\1", " ".join(str(text).split()))


def markdown(student, results):
    """A student's report as Markdown; results: {notebook: result of course.grade.submission.grade}."""
    points, possible = total(results)
    lines = [f"# {plain(student)}: {number(points)} of {number(possible)} points", ""]
    for notebook, result in sorted(results.items()):
        given, full = number(result["points"]), number(result["possible"])
        lines += [f"## {plain(notebook)}: {given} of {full} points", ""]
        if result["status"] != "graded":
            lines += [f"**{result['status']}**", ""]
        lines += [f"- {plain(note)}" for note in result["notes"]] + ([""] if result["notes"] else [])
        lines += ["| exercise | outcome | points |", "| --- | --- | --- |"]
        for row in result["exercises"]:
            mark = f"{contract.MARKS[row['outcome']]} {row['outcome']}"
            share = f"{number(row['points'])} / {number(row['possible'])}"
            lines.append(f"| {row['exercise']} | {mark} | {share} |")
        lines.append("")
        for row in result["exercises"]:
            lines += [f"**{row['exercise']}** {plain(row['note'])}", ""] if row["note"] else []
            for check in row["checks"]:
                said = remarks(check)
                if said:
                    kind = "hidden check" if check["hidden"] else "check"
                    lines += [f"**{row['exercise']}, {kind}:** {plain(' '.join(said))}", ""]
                if check["expected"]:
                    lines += [fence(difference(check["expected"], check["got"])), ""]
    return "\n".join(lines)


def page(student, results):
    """The same report as an HTML page that needs nothing else."""
    points, possible = total(results)
    escape = html.escape
    title = f"{escape(student)}: {number(points)} of {number(possible)} points"
    body = [f"<h1>{title}</h1>"]
    for notebook, result in sorted(results.items()):
        given, full = number(result["points"]), number(result["possible"])
        body.append(f"<h2>{escape(notebook)}: {given} of {full} points</h2>")
        if result["status"] != "graded":
            body.append(f"<p><strong>{escape(result['status'])}</strong></p>")
        body += [f"<p class='note'>{escape(note)}</p>" for note in result["notes"]]
        heads = ("Exercise", "Outcome", "Points", "What to look at")
        body.append("<table><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>")
        for row in result["exercises"]:
            told = [f"<p class='note'>{escape(row['note'])}</p>"] if row["note"] else []
            for check in row["checks"]:
                kind = "<em>hidden check:</em> " if check["hidden"] else ""
                told += [f"<p>{kind}{escape(' '.join(remarks(check)))}</p>"] if remarks(check) else []
                if check["expected"]:
                    told.append(f"<pre>{escape(difference(check['expected'], check['got']))}</pre>")
            mark = f"{contract.MARKS[row['outcome']]} {row['outcome']}"
            body.append(
                f"<tr><td>{escape(row['exercise'])}</td><td class='outcome'>{mark}</td>"
                f"<td class='points'>{number(row['points'])} / {number(row['possible'])}</td>"
                f"<td>{''.join(told)}</td></tr>"
            )
        body.append("</table>")
    head = f"<meta charset='utf-8'><title>{title}</title><style>{STYLE}</style>"
    text = "\n".join(body)
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n{text}\n</body></html>\n"


def total(results):
    """(points, possible points) over a student's notebooks."""
    return tuple(sum(result[key] for result in results.values()) for key in ("points", "possible"))


def quoted(student):
    """A student's name as it is, in signs that every file can hold: names of files need not be text."""
    return quote(student, errors="surrogateescape")


def unquoted(key):
    """The name that `quoted` wrote."""
    return unquote(key, errors="surrogateescape")


def write_student(target, student, results, graded):
    """One student's files in a folder of their own. results: adjusted by hand; graded: as they came out.

    Without the seconds that checks took: in those of a hidden one the code may tell what it was given.
    """
    target.mkdir(parents=True, exist_ok=True)
    (points, possible), key, student = total(results), quoted(student), readable(student)
    graded = {name: {key: one[key] for key in one if key not in TIMES} for name, one in graded.items()}
    data = {"student": student, "key": key, "points": points, "possible": possible, "notebooks": graded}
    scope = {"score": points, "output": f"{student}: {number(points)} of {number(possible)} points"}
    texts = {
        "report.json": json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n",
        "report.md": markdown(student, results),
        "report.html": page(student, results),
        "results.json": json.dumps({**scope, "tests": exchange.gradescope(results)}, indent=1) + "\n",
    }
    for name, text in texts.items():
        # a run that is stopped, or a full disk, must not leave half of what earlier weeks are read from
        begun = target / f".{name}.new"
        begun.write_text(text, encoding="utf-8", errors="replace")
        begun.replace(target / name)


def cell(text):
    """A text for a spreadsheet: one that begins like a formula must not become one."""
    text = str(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write_class(folder, students):
    """grades.csv: a row per student, a column per exercise; students: {name: {notebook: result}}."""
    folder.mkdir(parents=True, exist_ok=True)
    exercises = sorted({
        row["exercise"]
        for results in students.values()
        for result in results.values()
        for row in result["exercises"]
    })  # fmt: skip
    with open(folder / CLASS, "w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(["student", *exercises, "points", "possible", "percent", "remarks"])
        for student, results in sorted(students.items()):
            rows = {row["exercise"]: row for result in results.values() for row in result["exercises"]}
            points, possible = total(results)
            said = [
                f"{notebook}: {'; '.join([result['status'], *map(readable, result['notes'])])}"
                for notebook, result in sorted(results.items())
                if result["status"] != "graded" or result["notes"]
            ]
            writer.writerow([
                cell(readable(student)),
                *(number(rows[name]["points"]) if name in rows else "" for name in exercises),
                number(points),
                number(possible),
                f"{100 * points / possible:.1f}" if possible else "",
                cell(" | ".join(said)),
            ])  # fmt: skip
