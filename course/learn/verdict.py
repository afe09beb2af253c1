"""A verdict in words: as text and as HTML, both from the same lines."""

import html

from course import contract
from course.check import compare

COLOURS = {"correct": "#2e7d32", "partly": "#b26a00", "incorrect": "#c62828", "not attempted": "#6b6b6b"}
ROW = ("<tr><th scope='row' style='text-align:left;vertical-align:top'>{}</th>"
       "<td style='text-align:left'><pre style='margin:0'>{}</pre></td></tr>")  # fmt: skip
LINES = 6  # of each output that are shown
NEXT = {
    "correct": "Go on.",
    "partly": "Look at the check that fails, then run your cell and this one again.",
    "incorrect": "Look at the messages, change your cell, run it and this one again.",
    "stale": "Run your cell, then this one again.",
    "open": "Answer the open part as well: the hidden checks look at it.",
    "lost": "Put what is missing into a cell of this notebook and save: the saved file is what you hand in.",
    "not run": "Run it; after a restart choose Run, Run All Above Selected Cell first. Then run this one.",
    "not attempted": "Write your answer where it says YOUR CODE HERE, run its cell, then this one.",
}


def heading(found):
    unit = "point" if found["possible"] == 1 else "points"
    points = f"{found['points']:g} of {found['possible']:g} {unit} of the visible checks"
    ran = f", as your cell ran at {found['ran']}" if found["ran"] else ""
    stood = f"{contract.MARKS[found['outcome']]} {found['outcome']}: {points}{ran}"
    return f"{found['exercise']} – {found['stale']}; before, {stood}" if found["stale"] else (
        f"{found['exercise']} {stood}")  # fmt: skip


def failures(found):
    """Per failed check of an attempted exercise: (message, what was raised or differs, wanted, got).

    Nothing where that would be about another source than the one that stands in the cell.
    """
    if found["stale"] or all(check["verdict"].unfinished for check in found["checks"]):
        return
    raised = set()
    for check in found["checks"]:
        result = check["verdict"]
        if result.passed or (result.detail and result.detail in raised):
            continue
        raised.add(result.detail)
        if result.unfinished:
            yield "This part is not attempted yet.", "", "", ""
        elif result.detail:
            # an error of Python is answered by itself: a hint about the mathematics would mislead
            yield "", result.detail, "", ""
        else:
            yield check["message"], differs(result.expected, result.got), result.expected, result.got


def differs(expected, got):
    """In words how two outputs differ: by which numbers, or that their words or lines do."""
    if not got.strip():
        return "Nothing was printed."
    lines = len(expected.splitlines()), len(got.splitlines())
    if lines[0] != lines[1]:
        return f"{lines[1]} lines came, {lines[0]} are wanted."
    for place, (first, second) in enumerate(zip(expected.splitlines(), got.splitlines(), strict=True), 1):
        numbers = compare.pairs(first, second)
        where = f"In line {place}" if lines[0] > 1 else "Here"
        if numbers is None:
            counts = len(compare.NUMBER.findall(first)), len(compare.NUMBER.findall(second))
            if counts[0] != counts[1]:
                return f"{where} {counts[1]} numbers came, {counts[0]} are wanted."
            return f"{where} words or whole numbers differ."
        wrong = [(one, other) for one, other, *governs in numbers if not compare.same_number(one, other)]
        if wrong:
            away = abs(float(wrong[0][1]) - float(wrong[0][0]))
            told = f"{wrong[0][0]} is wanted, {wrong[0][1]} came, {away:.3g} away."
            if len(numbers) == 1:
                return f"{where} {told}"
            return f"{where} {len(wrong)} of {len(numbers)} numbers differ: {told}"
    return ""


def beyond(found):
    """What the hidden checks look at, one line each."""
    for check in found["hidden"]:
        yield f"{check['points']:g} {'point' if check['points'] == 1 else 'points'}: {check['message']}"


def cut(text):
    lines = text.rstrip("\n").splitlines()
    return lines[:LINES] + ["..."] * (len(lines) > LINES)


def beside(wanted, got):
    """Two outputs as lines of text, one below the other."""
    return ["wanted:", *(f"  {line}" for line in cut(wanted)), "yours:", *(f"  {line}" for line in cut(got))]


def text(found):
    lines = [heading(found), *found["notes"]]
    for message, detail, wanted, got in failures(found):
        lines += [line for line in (message, detail) if line]
        if wanted:
            lines += [f"  {line}" for line in beside(wanted, got)]
    lines.append(NEXT[found["advice"]])
    said = list(beyond(found))
    if said:
        lines += ["Hidden checks call it with other inputs; what they say to whoever fails:",
                  *(f"  {line}" for line in said)]  # fmt: skip
    return "\n".join(lines)


def page(found):
    escape, colour = html.escape, COLOURS["not attempted" if found["stale"] else found["outcome"]]
    parts = [f"<strong>{escape(heading(found))}</strong>"]
    parts += [f"<p>{escape(note)}</p>" for note in found["notes"]]
    for message, detail, wanted, got in failures(found):
        parts += [f"<p>{escape(line)}</p>" for line in (message, detail) if line]
        if wanted:
            rows = "".join(ROW.format(side, escape("\n".join(cut(shown)))) for side, shown in
                           (("wanted", wanted), ("yours", got)))  # fmt: skip
            parts.append(f"<table>{rows}</table>")
    parts.append(f"<p>{NEXT[found['advice']]}</p>")
    said = list(beyond(found))
    if said:
        items = "".join(f"<li>{escape(line)}</li>" for line in said)
        parts.append("<details><summary>Hidden checks call it with other inputs; what they say to whoever "
                     f"fails</summary><ul>{items}</ul></details>")  # fmt: skip
    style = f"border-left:5px solid {colour};padding:.3em 1em"
    return f"<div role='status' style='{style}'>{''.join(parts)}</div>"


def standing(book, remembered):
    """Per exercise of a notebook (id, mark and outcome, points, possible), from what is remembered."""
    rows = []
    for exercise in contract.exercises(book):
        possible = sum(check.points for check in exercise.checks if not check.hidden)
        points, outcome = remembered.get(exercise.id, (0, contract.MISSING))
        rows.append(
            (exercise.id, f"{contract.MARKS.get(outcome, '–')} {outcome}", min(points, possible), possible)
        )
    return rows


def standing_text(rows):
    points, possible = (sum(row[place] for row in rows) for place in (2, 3))
    lines = [f"{name:6} {outcome:16} {given:g} of {full:g}" for name, outcome, given, full in rows]
    return "\n".join([*lines, f"{points:g} of {possible:g} points of the visible checks. {advice(rows)}"])


def standing_page(rows):
    points, possible = (sum(row[place] for row in rows) for place in (2, 3))
    body = "".join(f"<tr><td>{name}</td><td style='text-align:left'>{outcome}</td>"
                   f"<td>{given:g} of {full:g}</td></tr>" for name, outcome, given, full in rows)  # fmt: skip
    head = "<tr><th scope='col'>exercise</th><th scope='col'>outcome</th><th scope='col'>points</th></tr>"
    total = f"<strong>{points:g} of {possible:g} points of the visible checks.</strong> {advice(rows)}"
    return f"<div role='status'><table>{head}{body}</table><p>{total}</p></div>"


def advice(rows):
    open_ones = [name for name, outcome, given, full in rows if given < full]
    if not open_ones:
        return "All visible checks pass. Save this file; `start.ipynb` has the next lesson."
    return f"Next: exercise {open_ones[0]}. Hidden checks count when you hand in; save before."
