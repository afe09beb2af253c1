"""What a student copy has beyond the notebook without solutions: rules, wanted outputs, cells that answer.

`equipped` adds the cells; each has the tag `learn`, so that equipping twice changes nothing, and their ids
say which exercise they belong to.
"""

import copy
from textwrap import indent

import nbformat

from course import contract

TAG = "learn"
RULES = """\
**This is your copy; work in it as you like.**

- Answer where it says `# YOUR CODE HERE`, and keep the name of the function. Further cells are yours.
- The cell `self_check(...)` below an exercise says how your answer stands, as often as you want.
- What counts when you hand in is what works in front of you: save, then hand in this file.
- Your functions are also called with inputs that you do not see here (hidden checks).

Words and symbols: [glossary](../glossary.md). Works that are cited: [references](../references.md)."""
LOST = """\
print("This kernel has no course beside the notebook, or lacks its libraries. In its folder type\\n"
      "    make learn        or        python -m course learn\\n"
      "and take the kernel of that JupyterLab: menu Kernel, Change Kernel, Python 3 (ipykernel)")"""
START = f"""\
try:
    from course.learn.self_check import self_check
except ImportError:
    def self_check(*_):
{indent(LOST, " " * 8)}

    self_check()  # now, before a missing library ends the next cell"""
# of a lesson without exercises, which runs without `course` too
START_ALONE = f"""\
from importlib.util import find_spec

if not all(map(find_spec, ("helpers", "matplotlib", "numpy", "scipy", "torch"))):
{indent(LOST, " " * 4)}"""
CHECK = 'self_check("{}")  # after a restart: menu Run, Run All Above Selected Cell'
WANTED = "What the next cell should print:\n\n```text\n{text}\n```"


def equipped(book):
    """A student copy with its rules, the wanted outputs as text, and the cells that answer.

    book: a student copy (`course.contract.student_copy`); it stays as it is.
    """
    result = copy.deepcopy(book)
    cells = [cell for cell in result.cells if TAG not in contract.tags(cell)]
    exercises = {exercise.id: exercise for exercise in contract.exercises(book)}
    last = {exercise.checks[-1].cell: name for name, exercise in exercises.items() if exercise.checks}
    begin = [text("rules", RULES), code("start", START)] if exercises else [code("start", START_ALONE)]
    result.cells = cells[:1] + begin
    for cell in cells[1:]:
        if "for" in contract.course(cell):
            result.cells.append(text(f"wanted-{cell.id}", wanted(cell)))
        result.cells.append(cell)
        if cell.id in last:
            name = last[cell.id]
            result.cells.append(code(f"self-check-{name.replace('.', '-')}", CHECK.format(name)))
    if exercises:
        number = next(iter(exercises)).partition(".")[0]
        result.cells.append(code("points-so-far", CHECK.format(number)))
    return result


def wanted(check):
    """A check cell's stored output as Markdown, safe from Run All and Save."""
    return WANTED.format(text=contract.printed(check).rstrip("\n").replace("```", "'''"))


def text(identifier, source):
    metadata = {"tags": [TAG], "editable": False, "deletable": False}
    return nbformat.v4.new_markdown_cell(source, id=identifier, metadata=metadata)


def code(identifier, source):
    metadata = {"tags": [TAG, "raises-exception"]}
    return nbformat.v4.new_code_cell(source, id=identifier, metadata=metadata)
