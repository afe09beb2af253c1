"""The hints of an exercise: three in steps, each says something, and none gives a piece of the solution."""

import re

from course.contract import SOLUTION

# each hint opens inside the one before; the blank lines let JupyterLab and the site render its Markdown
STEP = r"<details><summary>Hint {}</summary>\n\n(.+?)\n\n"
STEPS = re.compile("".join(map(STEP.format, (1, 2, 3))) + r"(?:</details>\s*){3}\Z", re.DOTALL)
SHORTEST = 3  # words
CODE = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"[\w.]+")


def faults(task, exercise):
    """What is wrong with the hints at the end of a task's text; exercise: the source of its code cell."""
    opened, found = task.count("<details>"), STEPS.search(task)
    if opened != 3 or not found:
        yield f"{opened} hints; end with Hint 1, 2 and 3, each inside the one before: see notebook 11"
        return
    solution = squeezed("".join(part[0] for part in SOLUTION.finditer(exercise)))
    for number, hint in enumerate(found.groups(), 1):
        if len(hint.split()) < SHORTEST:
            yield f"hint {number} is {hint!r}; say what helps"
        for code in CODE.findall(hint):
            if not NAME.fullmatch(code) and squeezed(code) in solution:
                yield f"hint {number} gives `{code}`, which stands in the solution; say what it should do"


def squeezed(code):
    """Code without blanks and line ends."""
    return re.sub(r"\s+", "", code)
