"""Synthetic hand-ins of a notebook, more than eighty: right, partly right, hostile or helpless.

`of(reference)` gives {student: ({file name: content}, points that it should get)}. Right and partly right
ones hold the reference's solution in the ways in which students write and hand in; hostile ones have
everything right but the first exercise, where they do their worst.
"""

import copy
import io
import itertools
import json
import zipfile

from course import contract
from course.grade.habits import HABITS, functions
from course.learn import copies

RETURNS = """
def _changed(function, change):
    import functools
    def each(value):
        import numpy as np
        if isinstance(value, tuple): return tuple(map(each, value))
        return change(np.asarray(value.detach() if hasattr(value, "detach") else value))
    return functools.wraps(function)(lambda *args, **kwargs: each(function(*args, **kwargs)))
"""
EXACT = "lambda v: __import__('numpy').frompyfunc(KIND, 1, 1)(v) if v.dtype.kind == 'f' else v"
FORMS = {  # harmless changes of what every function returns
    "lists and one dimension more": "lambda v: v[None].tolist()",
    "single precision": "lambda v: v.astype('float32') if v.dtype.kind == 'f' else v",
    "fractions": EXACT.replace("KIND", "__import__('fractions').Fraction"),
    "decimals": EXACT.replace("KIND", "__import__('decimal').Decimal"),
    "numbers of sympy": EXACT.replace("KIND", "__import__('sympy').Float"),
    "matrices and tensors": "lambda v: __import__('numpy').matrix(v) if v.ndim == 2 else "
    "__import__('torch').tensor(v) if v.dtype.kind in 'fi' else v",
}
SEARCH = """import gc, inspect, os, sys
    found = []
    frame = inspect.currentframe()
    while frame:
        found += [str(value) for value in frame.f_locals.values()]
        frame = frame.f_back
    found += [str(one)[:10_000] for one in gc.get_objects() if isinstance(one, (str, dict))]
    found = [one for one in found if "assert" in one and "NAME(" in one]
    if found: raise SystemExit
    return None"""
FILES = """import glob, os
    for place in [*glob.glob("/proc/*/environ"), *glob.glob("/proc/*/cmdline"), *glob.glob("/tmp/*")]:
        try: text = open(place, "rb").read()
        except OSError: continue
    for root, folders, names in os.walk("/"):
        folders[:] = [one for one in folders if one not in ("proc", "sys", "usr", "lib")]
        for name in names:
            if name.endswith((".ipynb", "report.json")): return open(os.path.join(root, name)).read()
    return None"""
PLANT = """import os, pathlib
    for place in PLACES:
        for name in ("numpy", "pandas", "torch", "json", "course", "sitecustomize", "usercustomize"):
            try: pathlib.Path(place, name + ".py").write_text("import os\\nos._exit(0)")
            except OSError: pass
    import pandas
    return pandas.Series([0.0])"""
EQUAL = """class Anything(float):
        def yes(self, *args, **kwargs): return True
        __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __bool__ = __contains__ = __call__ = yes
        def __len__(self): return 0
        def __iter__(self): return iter(())
        def __getattr__(self, name): return self
        def __array__(self, *args, **kwargs): return __import__("numpy").empty(0)
        __hash__ = None
    return Anything(0)"""
SAME = """import numpy as np
    class Same(np.ndarray):
        def yes(self, *args, **kwargs): return np.True_
        __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __array_ufunc__ = __array_function__ = yes
    return np.zeros(()).view(Same)"""
HOSTILE = {  # bodies of every function of the first exercise; NAME is the function's own
    "plants modules in tmp": PLANT.replace("PLACES", '("/tmp", "/dev/shm")'),
    "plants modules elsewhere": PLANT.replace("PLACES", '(".", os.path.expanduser("~"), "/proc/self/cwd")'),
    "searches frames": SEARCH,
    "searches files": FILES,
    "returns nothing": "return __import__('numpy').empty((0, 1, 1))",
    "returns no number": "return float('nan')",
    "equals everything": EQUAL,
    "equals every array": SAME,
    "changes the lesson": "for one in list(globals().values()):\n        try: one[...] = 0\n"
    "        except Exception: pass\n    return 0.0",
    "erases its arguments": "for one in args:\n        try: one[...] = 0\n        except Exception: pass\n"
    "    return 0.0",
    "loops deaf to signals": "import signal\n    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\n"
    "    while True: pass",
    "loops in its sleep": "import time\n    while True: time.sleep(1)",
    "returns an endless range": "return range(10**9)",
    "returns an endless generator": "return __import__('itertools').count()",
    "allocates": "return bytearray(10 * 2**30)",
    "allocates bit by bit": "held = []\n    while True: held.append(bytearray(2**25))",
    "forks": "import os, time\n    for _ in range(1000):\n        if os.fork() == 0: time.sleep(60)",
    "forks and leaves": "import os, time\n    for _ in range(9):\n        if os.fork() == 0:\n"
    "            os.setsid()\n            if os.fork() == 0: time.sleep(60)\n            os._exit(0)\n"
    "    return 0.0",
    "exits": "import os\n    os._exit(0)",
    "aborts": "import os\n    os.abort()",
    "kills itself": "import os\n    os.kill(os.getpid(), 9)",
    "ends the loop": "raise StopIteration",
    "ends the loop from afar": "raise StopAsyncIteration",
    "kills its parents": "import os\n    for one in (os.getppid(), 1, -1): os.kill(one, 15)\n    return 0.0",
}
AT_ONCE = {  # sources of the first exercise
    "overwrites numpy": "import numpy, sys\nfor name in ('allclose', 'array_equal', 'isclose', 'abs'):\n"
    "    setattr(numpy, name, lambda *args, **kwargs: True)\n"
    "numpy.testing.assert_allclose = lambda *args, **kwargs: None",
    "overwrites the rest": "import builtins, sys\nbuiltins.print = builtins.float = lambda *args: 0\n"
    "builtins.AssertionError = SystemExit\nget_ipython().run_cell = lambda *args: None\nsys.modules.clear()",
}
BROKEN = {  # other sources of one exercise, which then earns nothing
    "raises": "raise ValueError('not today')",
    "does not compile": "def f(:",
    "misses a name": "NAME = lambda *args: unheard_of",
    "returns none": "def NAME(*args):\n    pass",
    "returns another shape": "def NAME(*args):\n    return [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]] * 7",
    "is a comment": "# I have no idea",
}


def of(reference):
    """{student: ({file name: content}, points)}."""
    exercises = contract.exercises(reference)
    right = {one.id: contract.SOLUTION.sub(lambda found: plain(found[0]), one.source) for one in exercises}
    students = {**rights(reference, right), **partials(reference, right)}
    return {**students, **hostile(reference, right), **helpless(reference, right)}


def plain(block):
    """A solution without its markers."""
    marks = (contract.BEGIN, contract.END)
    return "\n".join(line for line in block.splitlines() if line.strip() not in marks)


def copied(reference, sources):
    """A student copy, as JSON, with these {exercise: source}."""
    book = json.loads(json.dumps(copies.equipped(contract.student_copy(reference))))
    for cell in book["cells"]:
        cell["source"] = sources.get(contract.course(cell).get("id"), cell["source"])
    return book


def text(book, encoding="utf-8"):
    return json.dumps(book, ensure_ascii=False).encode(encoding)


def rights(reference, right):
    full, name = sum(one.points for one in contract.exercises(reference)), "notebook.ipynb"
    whole, untouched = copied(reference, right), text(copied(reference, {}))
    found = {"as it should be": {name: text(whole)}}
    for habit, change in HABITS.items():
        book = copy.deepcopy(whole)
        change(book)
        found[habit] = {name: text(book)}
    bare = copy.deepcopy(whole)
    HABITS["ids and metadata lost"](bare)
    for form, change in FORMS.items():
        wrap = lambda source: [f"{one} = _changed({one}, {change})" for one in functions(source)]  # noqa: B023
        sources = {key: "\n".join([source, RETURNS, *wrap(source)]) for key, source in right.items()}
        found[form] = {name: text(copied(reference, sources))}
    found |= {
        "Copy1 beside the original": {name: untouched, "notebook-Copy1.ipynb": text(whole)},
        "(1) beside the original": {name: untouched, "notebook (1).ipynb": text(whole)},
        "BOM and CRLF": {name: text(whole, "utf-8-sig").replace(b"\\n", b"\\r\\n")},
        "a zip": {"mine.zip": zipped({"a/b/notebook.ipynb": text(whole), "a/notes.txt": b"x"})},
        "a copy without ids and metadata": {"Copy of exam (Ada).ipynb": text(bare)},
        "a browser's ending": {"notebook.IPYNB.txt": text(whole)},
        "a name with an escape \x1b[2J": {name: text(whole)},
        "a name with a line\nbreak": {name: text(whole)},
    }
    return {f"right {key}": (files, full) for key, files in found.items()}


def zipped(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def partials(reference, right):
    """Every choice of some exercises but not all, then single ones that go wrong in other ways; twenty."""
    exercises, found = contract.exercises(reference), {}
    numbers = range(1, len(exercises))
    for chosen in itertools.chain(*(itertools.combinations(exercises, number) for number in numbers)):
        sources = {one.id: right[one.id] for one in chosen}
        name = "partly " + " ".join(sources)
        found[name] = {"notebook.ipynb": text(copied(reference, sources))}, sum(one.points for one in chosen)
    for place, (name, source) in enumerate(BROKEN.items()):
        one = exercises[place % len(exercises)]
        source = source.replace("NAME", functions(one.source)[0])
        book = copied(reference, {**right, one.id: source})
        points = sum(other.points for other in exercises if other is not one)
        found[f"partly {one.id} {name}"] = {"notebook.ipynb": text(book)}, points
    return dict(list(found.items())[-20:])


def hostile(reference, right):
    first, *others = contract.exercises(reference)
    names, points = functions(first.source), sum(one.points for one in others)
    sources = {
        key: "\n".join(f"def {name}(*args, **kwargs):\n    {body.replace('NAME', name)}" for name in names)
        for key, body in HOSTILE.items()
    }
    for key, source in AT_ONCE.items():
        wrong = [f"def {name}(*args, **kwargs):\n    return 1.0" for name in names]
        sources[key] = "\n".join([source, *wrong])
    return {
        f"hostile {key}": ({"notebook.ipynb": text(copied(reference, {**right, first.id: source}))}, points)
        for key, source in sources.items()
    }


def helpless(reference, right):
    """Files of which nothing can be graded; None stands for a named pipe, a text for a link to there."""
    book = copied(reference, right)
    empty = [{"cell_type": "code", "source": ""}] * 300_000
    inner = zipped({"a.ipynb": b"\0" * 10**7})
    files = {
        "broken file": text(book)[:-60],
        "empty file": b"",
        "named pipe": None,
        "link to what never ends": "/dev/zero",
        "too many cells": text({**book, "cells": book["cells"] + empty}),
        "too deep": b'{"cells": ' + b"[" * 10**6,
        "zip bomb": zipped({f"{place}.zip": inner for place in range(50)}),
        "zip of many names": zipped({f"{place}.txt": b"" for place in range(30_000)}),
    }
    ending = {"zip bomb": "zip", "zip of many names": "zip"}
    return {
        f"helpless {key}": ({f"notebook.{ending.get(key, 'ipynb')}": content}, 0)
        for key, content in files.items()
    }
