"""Answers to the first exercise of the small notebook (exam.py) that do their worst."""

from tests.course.grade.exam import inside

OVERWRITE = """import builtins, sys
import numpy as np
from course import contract
np.allclose = np.all = np.array_equal = lambda *args, **kwargs: True
contract.same_code = lambda *args: True
builtins.print = lambda *args, **kwargs: sys.stdout.write("[0. 2. 4.]\\n0.5\\n")
builtins.AssertionError = SystemExit
builtins.str = lambda x: "16"
sys.modules["numpy"].allclose = lambda *args, **kwargs: True
shell = get_ipython()
shell.showtraceback = shell.showsyntaxerror = lambda *args, **kwargs: None
shell.run_cell = shell.run_cell_async = lambda *args, **kwargs: None
import atexit
atexit.register(lambda: print("[0. 2. 4.]"))
def twice(x):
    return None"""
EQUAL = """class Anything(float):
    def _yes(self, *args, **kwargs): return True
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __bool__ = __call__ = _yes
    def __str__(self): return "16"
    __repr__ = __str__
    def __array__(self, *args, **kwargs):
        import numpy
        return numpy.array([-14.0, 11.0])
    def __hash__(self): return 1
def twice(x):
    return Anything(1)"""
FORGE = """import ctypes, glob, os
def twice(x):
    for number in range(3, 64):
        try: os.write(number, b'{"check": "check-98-1-01", "passed": true}')
        except OSError: pass
    found, parent = glob.glob("/tmp/course-*/k/s/*"), os.getppid()
    for name in ("mem", "environ", "maps", "root/etc/passwd"):
        try: found.append(open(f"/proc/{parent}/{name}"))
        except OSError: pass
    for name in os.listdir(f"/proc/{parent}/fd"):
        try: found.append(os.readlink(f"/proc/{parent}/fd/{name}"))
        except OSError: pass
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, parent, 0, 0) != -1: found.append("traced")
    if libc.unshare(0x10000000) != -1: found.append("became root")
    raise ValueError(f"found {found}")
"""
LOOK = """import os, sys
def twice(x):
    found = []
    for place, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if name not in ("proc", "usr", "lib", "site-packages", "dev")]
        found += [name for name in files if name.endswith((".ipynb", ".jsonl")) or name == "test_grade.py"]
    for number in os.listdir("/proc"):
        if number.isdigit() and int(number) != os.getpid():
            try: found += [1] if b"COURSE_GRADE=" in open(f"/proc/{number}/environ", "rb").read() else []
            except OSError: pass
    raise ValueError(f"found {found}")
"""
HOSTILE = {
    "loops": inside("while True: pass"),
    "loops-at-once": "while True: pass",
    "allocates": inside("import numpy\nhuge = numpy.ones(10 * 2**27)"),
    "forks": inside("import os, time\nfor _ in range(2000):\n    if os.fork() == 0: time.sleep(60)"),
    "exits-hard": inside("import os\nos._exit(0)"),
    "exits": inside("import sys\nsys.exit(0)"),
    "exits-at-once": "import sys\nsys.exit()",
    "kills": inside("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(os.getpid(), 9)"),
    "restarts": inside("get_ipython().kernel.do_shutdown(True)\nimport os\nos._exit(1)"),
    "overwrites": OVERWRITE,
    "equals": EQUAL,
    "forges": FORGE,
    "looks": LOOK,
    "prints": inside("print('x' * 50_000_000)"),
    "returns-much": "def twice(x):\n    return 'x' * 50_000_000",
    "returns-deep": "def twice(x):\n    for _ in range(100_000): x = [x]\n    return x",
    "warns": inside("import warnings, sys\nwarnings.warn('careful')\nprint('noise')\nsys.stderr.write('no')"),
    "hard-codes": "def twice(x):\n    return 0.5 if isinstance(x, float) else np.array([0., 2, 4])",
    "wrong": "def twice(x):\n    return 3 * x",
    "syntax": "def twice(x)\n    return 2 * x",
    "tells": "def twice(x):\n    raise ValueError(f'it was {x}')",
    "counts": "calls = []\ndef twice(x):\n    calls.append(x)\n    return 2 * x if len(calls) < 3 else None",
    "recurses": "def twice(x):\n    return twice(x)",
    "threads": inside("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()"),
}  # fmt: skip  # fmt: skip
