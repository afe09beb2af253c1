"""Print one table of the executed notebooks and write it to build/summary.md and build/summary.json.

    python -m course.run.summary
    python -m course.run.summary --readme     and write the seconds of this run into README's table

The exit code is 1 where a notebook failed or has not been executed.
"""

import json
import re
import sys

from course.notebooks import BUILD, DECISIONS, ROOT, all_notebooks, executed_copy, failed_copy, unchecked

COLUMNS = ["notebook", "status", "seconds", "budget_s", "peak_memory_mb", "device", "data", "message"]


def row(path):
    """One notebook's run as a dict of COLUMNS; a failed run counts only where it is the newer one."""
    target = executed_copy(path)
    budget = unchecked(path)["metadata"].get("budget", {})
    runs = [file for file in (target, failed_copy(path)) if file.exists()]
    record = {"status": "not executed", "message": ""}
    if runs:
        record = unchecked(max(runs, key=lambda file: file.stat().st_mtime))["metadata"]["run"]
    over = [
        what
        for what, used, allowed in (
            ("seconds", "seconds", "seconds"),
            ("memory", "peak_memory_mb", "memory_mb"),
        )
        if (record.get(used) or 0) > budget.get(allowed, float("inf"))  # Windows does not say the memory
    ]
    message = record["message"] or (f"over its budget: {', '.join(over)}" if over else "")
    return {
        **{column: "" if record.get(column) is None else record[column] for column in COLUMNS},
        "notebook": path.stem,
        "budget_s": budget.get("seconds", ""),
        "message": message,
    }


def markdown(rows):
    """The rows as a Markdown table, with a loud line where a result comes from the sample."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "| " + " | ".join("---" for _ in COLUMNS) + " |"]
    lines += [
        "| " + " | ".join(str(entry[column]).replace("|", "\\|") for column in COLUMNS) + " |"
        for entry in rows
    ]
    passed = sum(entry["status"] == "passed" for entry in rows)
    seconds = sum(entry["seconds"] or 0 for entry in rows)
    lines += ["", f"{passed} of {len(rows)} notebooks passed, {seconds:.0f} s in all."]
    if any(entry["data"] == "sample" for entry in rows):
        lines += ["", "**SAMPLE: some results come from the embedded sample, not from the real data.**"]
        decided = json.loads(DECISIONS.read_text(encoding="utf-8")) if DECISIONS.exists() else {}
        lines += [
            f"- {name}: sample" + (f" ({said['reason']})" if said["reason"] else "")
            for name, said in decided.items()
            if said["source"] == "sample"
        ]
    return "\n".join(lines)


def with_seconds(text, rows):
    """README's text with the seconds of the rows, "(14 s)" in the line that links to the notebook.

    Raises ValueError where a run is none to report, or a notebook's line has no seconds.
    """
    for entry in rows:
        if entry["status"] != "passed" or entry["data"] == "sample":
            raise ValueError(f"{entry['notebook']}: {entry['status']}, data {entry['data']}; needed is a run "
                             "that passed on the real data")  # fmt: skip
        line = re.compile(rf"(?m)^(.*/{entry['notebook']}\.ipynb.* \()\d+( s\).*)$")
        text, count = line.subn(rf"\g<1>{entry['seconds']:.0f}\g<2>", text)
        if count != 1:
            raise ValueError(
                f"README.md: {count} lines link to {entry['notebook']} with seconds; needed is 1"
            )
    return text


def main(wanted=None, readme=False):
    """Print and write the table of all notebooks; exit code 1 where one of the wanted ones did not pass."""
    paths = all_notebooks()
    rows = [row(path) for path in paths]
    BUILD.mkdir(exist_ok=True)
    table = markdown(rows)
    (BUILD / "summary.md").write_text(table + "\n", encoding="utf-8")
    (BUILD / "summary.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table)
    if readme:
        page = ROOT / "README.md"
        page.write_text(with_seconds(page.read_text(encoding="utf-8"), rows), encoding="utf-8")
    counted = [entry for path, entry in zip(paths, rows, strict=True) if wanted is None or path in wanted]
    sys.exit(any(entry["status"] != "passed" for entry in counted))


if __name__ == "__main__":
    main(readme="--readme" in sys.argv[1:])
