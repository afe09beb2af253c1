"""How a class did, exercise by exercise: statistics.html, with a picture and what most often went wrong."""

import base64
import html
import io
from collections import Counter

from course import contract
from course.grade.report import STYLE, number

PAGE = "statistics.html"
COLOURS = {contract.CORRECT: "#1b7837", contract.PARTLY: "#a6dba0", contract.INCORRECT: "#e08214",
           contract.MISSING: "#cccccc"}  # fmt: skip


def counted(students):
    """[{exercise, share of points, count of each outcome, common failure}] over a class."""
    rows = {}
    for results in students.values():
        for result in results.values():
            if result["status"] in ("graded", "not submitted", "unreadable", "other notebook"):
                for row in result["exercises"]:
                    rows.setdefault(row["exercise"], []).append(row)
    return [summary(name, rows[name]) for name in sorted(rows)]


def summary(exercise, rows):
    """One exercise's line of the table."""
    said = Counter(
        f"hidden check: {check['message'] or check['detail']}"
        if check["hidden"]
        else check["detail"] or check["message"]
        for row in rows
        for check in row["checks"]
        if not check["passed"] and (check["detail"] or check["message"])
    )
    outcomes = Counter(row["outcome"] for row in rows)
    failure, count = (said.most_common(1) or [("", 0)])[0]
    possible = sum(row["possible"] for row in rows)
    return {
        "exercise": exercise,
        "students": len(rows),
        "share": sum(row["points"] for row in rows) / possible if possible else 0.0,
        "outcomes": {name: outcomes[name] for name in COLOURS},
        "failure": f"{count} of {len(rows)}: {failure}" if failure else "",
    }


def picture(rows):
    """(PNG, description) of the outcomes, one bar an exercise."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.8 + 0.28 * len(rows)), layout="constrained")
    axes, left = figure.add_subplot(), [0] * len(rows)
    for name, colour in COLOURS.items():
        widths = [100 * row["outcomes"][name] / row["students"] for row in rows]
        axes.barh([row["exercise"] for row in rows], widths, left=left, color=colour, label=name)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set(xlabel="share of the class in %", ylabel="exercise", xlim=(0, 100))
    axes.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    said = ", ".join(f"{one['exercise']} {share(one, contract.CORRECT)} % right" for one in rows)
    return file.getvalue(), f"Bars, one an exercise: {said}"


def share(row, outcome):
    return f"{100 * row['outcomes'][outcome] / row['students']:.0f}"


def write(folder, students):
    """Write the page; nothing where nobody was graded."""
    rows = counted(students)
    if not rows:
        return
    image, alt = picture(rows)
    heads = ("Exercise", "Students", *(f"% {name}" for name in COLOURS), "% of points", "Most common failure")
    table = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(part))}</td>" for part in (
            row["exercise"], row["students"], *(share(row, name) for name in COLOURS),
            number(round(100 * row["share"], 1)), row["failure"],
        )) + "</tr>\n"
        for row in rows
    )  # fmt: skip
    source = base64.b64encode(image).decode()
    body = (
        f"<h1>{len(students)} students</h1>\n<img alt='{html.escape(alt, quote=True)}' "
        f"src='data:image/png;base64,{source}' style='max-width:100%'>\n<table><tr>"
        + "".join(f"<th>{head}</th>" for head in heads)
        + f"</tr>\n{table}</table>"
    )
    head = f"<meta charset='utf-8'><title>Statistics</title><style>{STYLE}</style>"
    text = f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n{body}\n</body></html>\n"
    (folder / PAGE).write_text(text, encoding="utf-8", errors="replace")
