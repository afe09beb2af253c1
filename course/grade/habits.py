"""Ways in which students write and hand in what is right: each changes a whole answered copy in place.

All of them work in JupyterLab, so each has to earn all points (course.grade.synthetic grades every one).
"""

import re

from course import contract


def cell(source, **metadata):
    return {"cell_type": "code", "id": f"own-{abs(hash(source)) % 10**8}", "metadata": metadata,
            "source": source, "outputs": [], "execution_count": None}  # fmt: skip


def owned(book):
    """The exercise cells of a copy."""
    return [one for one in book["cells"] if "exercise" in contract.tags(one)]


def functions(source):
    return [name for name in contract.defined(source) if f"def {name}(" in source]


def below(book):
    """The answers in cells of their own at the end, the stubs as they were."""
    for one in owned(book):
        book["cells"].append(cell(one["source"]))
        one["source"] = contract.STUB.format(id=contract.course(one)["id"])


def helpers(book):
    """The answer in a cell of its own under another name, the exercise's cell only calls it."""
    for one in owned(book):
        for name in functions(one["source"]):
            book["cells"].insert(2, cell(one["source"].replace(f"{name}(", f"my_{name}(")))
            one["source"] = f"def {name}(*args, **kwargs):\n    return my_{name}(*args, **kwargs)"


def split(book):
    """Helper and answer in two cells with the same metadata, as JupyterLab splits a cell."""
    for one in owned(book):
        upper = {**one, "id": one["id"][::-1], "source": "def at_hand(x):\n    return x"}
        book["cells"].insert(book["cells"].index(one), upper)
        one["source"] += "\nat_hand(1)"


def pasted(book):
    """Every exercise's cell cut and pasted: a new id, the same metadata."""
    for one in owned(book):
        one["id"] = one["id"][::-1]


def demo(book):
    for one in owned(book):
        one["source"] += "\nprint(undefined_here)\nraise ValueError('a try-out')"


def shell(book):
    for one in owned(book):
        one["source"] = f"!echo hello\n%matplotlib inline\n{one['source']}\nname = input('your name? ')"


def types(book):
    for one in owned(book):
        one["cell_type"] = "raw"


def ids(book):
    for one in book["cells"]:
        del one["id"]


def metadata(book):
    for one in book["cells"]:
        one["metadata"] = {}


def edited(book):
    """Cells of the lesson and checks changed, the order reversed."""
    for one in book["cells"]:
        one["source"] = "print('mine')" if one["id"].startswith("check") else one["source"]
    book["cells"].reverse()


def each(change):
    """A habit that changes the source of every exercise's cell; change(source, first function's name)."""

    def habit(book):
        for one in owned(book):
            one["source"] = change(one["source"], functions(one["source"])[0])

    return habit


def above(source, change):
    """A cell of one's own above the exercises, and a habit for their cells."""

    def habit(book):
        each(change)(book)
        book["cells"].insert(2, cell(source))

    return habit


def in_a_block(head, tail=""):
    """The answers in cells of their own, inside a block at the top level."""

    def habit(book):
        below(book)
        for one in book["cells"][-len(owned(book)) :]:
            lines = [f"    {line}" if line else line for line in one["source"].splitlines()]
            one["source"] = "\n".join([head, *lines]) + tail

    return habit


def renamed(form):
    """Written under another name; the asked one is bound to that in a cell below. form: of FIRST and NAME."""

    def habit(book):
        for one in owned(book):
            for name in functions(one["source"]):
                book["cells"].append(cell(form.replace("FIRST", f"try_{name}").replace("NAME", name)))
                one["source"] = re.sub(rf"\b{name}\(", f"try_{name}(", one["source"])

    return habit


def first_line(source, line):
    """A line put at the beginning of the body of every function of a source."""
    return re.sub(r"^(def .*\n(?:    \"\"\".*\"\"\"\n)?)", rf"\1    {line}\n", source, flags=re.MULTILINE)


def nameless(book):
    """Ids and metadata lost."""
    ids(book)
    metadata(book)


def named_like_the_lesson(book):
    """A helper that bears the name of a variable or function of the lesson."""
    for one, name in zip(owned(book), TAKEN * len(book["cells"]), strict=False):
        one["source"] = first_line(one["source"], f"{name}(0)")
        book["cells"].insert(book["cells"].index(one), cell(f"def {name}(x):\n    return x + 1"))


TAKEN = ("score", "nearest", "values", "one")
COUNT = "global calls\n    calls += 1"
HABITS = {
    "in a cell below": below, "with helpers elsewhere": helpers, "split": split, "pasted": pasted,
    "a try-out that fails": demo, "shell lines and input": shell, "types changed": types, "ids lost": ids,
    "metadata lost": metadata, "everything else edited": edited, "ids and metadata lost": nameless,
    "star import elsewhere": above("from math import *", lambda source, _: first_line(source, "isqrt(9)")),
    "timed": each(lambda source, _: f"%%time\n{source}"),
    "timed, with a helper": above("%%time\ndef at_hand(x):\n    return x", lambda source, _:
                                  f"%%time\n{first_line(source, 'at_hand(1)')}"),
    "counts its calls": above("calls = 0", lambda source, _: first_line(source, COUNT)),
    "slow try-outs": each(lambda source, name: f"{source}\nimport time\ntime.sleep(40)\n"
                          f"for _ in range(9):\n    print({name}); time.sleep(9)\ny = time.sleep(30)"),
    "ends with sys.exit": each(lambda source, _: f"{source}\nimport sys\nsys.exit()\n"),
    "ends with exit": each(lambda source, _: f"{source}\nexit()\nquit()"),
    "raises SystemExit": each(lambda source, _: f"{source}\nraise SystemExit('done')"),
    "annotated": renamed("from collections.abc import Callable\nNAME: Callable = FIRST"),
    "walrus": renamed("print(NAME := FIRST)"),
    "unpacked": renamed("NAME, _ = FIRST, None"),
    "under if": in_a_block("if True:"),
    "under try": in_a_block("try:", "\nexcept ValueError:\n    raise"),
    "under with": in_a_block("import warnings\nwith warnings.catch_warnings():"),
    "in a loop": in_a_block("for round in range(2):"),
    "decorated": each(lambda source, _: "import functools\ndef plain(f):\n    return functools.wraps(f)"
                      "(lambda *given: f(*given))\n" + re.sub("^def ", "@plain\ndef ", source, flags=re.M)),
    "helpers named like the lesson's": named_like_the_lesson,
    "a module of one's own": above("%%writefile at_hand.py\ndef one(x):\n    return x", lambda source, _:
                                   f"from at_hand import one\n{first_line(source, 'one(1)')}"),
}  # fmt: skip
