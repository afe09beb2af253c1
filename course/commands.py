"""The commands of the course, one entry each: what `python -m course --help` prints and what is run.

Standard library only, because it is read before the environment exists.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# pytest with nbval and the course's comparison; kernels start in this environment
NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "600", "-p", "course.check.tolerance"]


@dataclass(frozen=True)
class Command:
    """help: one line; parameters: names that it takes; steps(parameters, jobs): arguments of Python.

    jobs: what -j says, None without it.
    """

    help: str
    steps: Callable
    parameters: tuple = ()
    needs: tuple = ()  # parameters that must be given
    environment: bool = True
    windows: bool = True  # False: it starts processes in a way that Windows has not
    writes: bool = True  # False: it works in a folder that is read-only
    computes: bool = False  # True: in its own process, which sees more cores than a container may use
    prints: bool = False  # True: it prints a table or a list, of which somebody may read the first line alone


def module(name, *arguments):
    return ["-m", name, *(str(argument) for argument in arguments if argument not in (None, ""))]


def numbers(parameters):
    return parameters.get("NB", "").split()


def option(name, value):
    return [name, value] if value else []


DATA = module("course.run.data")


def execute_all(parameters, jobs):
    given = [f"{key}={parameters[key]}" for key in ("NETWORK", "PROFILE") if parameters.get(key)]
    return [DATA, module("course.run.all", *option("--jobs", jobs), *numbers(parameters), *given)]


def tests(parameters, jobs):
    chosen = [*option("--jobs", jobs), "--tests", "--notebooks", *numbers(parameters)]
    return [DATA, module("course.check.run", *chosen)]


def unit(parameters, jobs):
    return [module("course.check.run", *option("--jobs", jobs), "--tests")]


def check(parameters, jobs):
    chosen = [*option("--jobs", jobs), "--verbose", "--notebooks", *numbers(parameters)]
    return [DATA, module("course.check.run", *chosen)]


def refresh(parameters, jobs):
    tie = module("course.check.prose", "--tie", *numbers(parameters))
    return [DATA, module("course.run.execute", "--refresh", *numbers(parameters)), tie]


def lab(parameters, jobs):
    return [module("course.run.lab")]


def learn(parameters, jobs):
    return [DATA, module("course.learn.start", "--no-lab" if parameters.get("OPEN") == "no" else "")]


def student(parameters, jobs):
    force = ["--force"] if parameters.get("FORCE") else []
    return [DATA, module("course.grade.release", *numbers(parameters), *force)]


GRADE = ("SCHEDULER", "ROSTER", "COLUMN", "DEADLINE", "LATE_PERCENT", "LATE_FREE")


def grade(parameters, jobs):
    chosen = [
        *option("--reports", parameters.get("REPORTS")),
        *(["--notebooks", *numbers(parameters)] if numbers(parameters) else []),
        *option("--jobs", parameters.get("JOBS") or jobs or 1),
        *(["--exercises", *parameters["EXERCISES"].split()] if parameters.get("EXERCISES") else []),
        *(["--anonymous"] if parameters.get("ANONYMOUS") else []),
    ]
    for name in GRADE:
        chosen += option(f"--{name.lower().replace('_', '-')}", parameters.get(name))
    return [DATA, module("course.grade.batch", parameters["SUBMISSIONS"], *chosen)]


def grade_mine(parameters, jobs):
    return [module("course.grade.mine", *numbers(parameters), parameters.get("FILE"))]


def term(parameters, jobs):
    return [DATA, module("course.grade.term", "--jobs", parameters.get("JOBS") or jobs or 1)]


def drift(parameters, jobs):
    return [
        DATA,
        module("course.check.drift", *numbers(parameters), *option("--share", parameters.get("SHARE"))),
    ]


def mutate(parameters, jobs):
    return [module("course.check.mutate", "--survivors" if parameters.get("SHOW") else "")]


def compare(parameters, jobs):
    return [module("course.check.comparison", parameters["A"], parameters["B"])]


def site(parameters, jobs):
    return [module("course.publish.site")]


def new(parameters, jobs):
    return [module("course.run.new", parameters["NB"], parameters["TITLE"])]


def own(parameters, jobs):
    given = [f"{key}={value}" for key, value in parameters.items() if key not in ("NB", "PATH")]
    place = Path(parameters["PATH"]).resolve()  # what runs starts in the course's folder
    return [module("course.run.own", parameters["NB"], place, *given)]


def bench(parameters, jobs):
    return [module("benchmarks", *parameters.get("BENCH", "").split())]


COMMANDS = {
    "all": Command("environment, data, every notebook executed that changed, summary", execute_all,
                   ("NB", "DATA", "DEVICE", "NETWORK", "PROFILE", "THREADS", "TORCH")),
    "test": Command("the project's tests, and nbval over every notebook", tests, ("NB", "DATA", "DEVICE")),
    "unit": Command("the project's tests alone", unit, ("DATA",)),
    "check": Command("nbval on one notebook, or on all", check, ("NB", "DATA", "DEVICE", "THREADS")),
    "refresh": Command("run one notebook and store its new outputs (for authors)", refresh,
                       ("NB", "DATA", "THREADS"), ("NB",)),
    "own": Command("a report on your own table, molecules or photographs, in build/own", own,
                   ("NB", "PATH", "TARGET", "GROUP", "LEAVE_OUT", "UNIT", "KNOWN", "CLASS", "MOST",
                    "NETWORK", "DEVICE", "SEED"), ("NB", "PATH")),
    "new": Command("write a new notebook that fulfils the contract (for authors)", new, ("NB", "TITLE"),
                   ("NB", "TITLE")),
    "learn": Command("your own copies in work/, and JupyterLab on them (for students)", learn,
                     ("OPEN", "DATA")),
    "lab": Command("JupyterLab on notebooks/, with solutions (for authors)", lab),
    "student": Command("student copies to hand out, in build/student", student, ("NB", "FORCE", "DATA")),
    "grade-mine": Command("how your own copy of a notebook stands", grade_mine, ("NB", "FILE", "DATA"),
                          ("NB",), windows=False),
    "grade": Command("grade a class", grade,
                     ("SUBMISSIONS", "REPORTS", "NB", "EXERCISES", "ANONYMOUS", "JOBS", *GRADE, "DATA"),
                     ("SUBMISSIONS",), windows=False),
    "term": Command("play a term through: release, synthetic submissions, grades", term, ("JOBS", "DATA"),
                    windows=False),
    "site": Command("the course as a website in build/site", site,
                    ("COURSE_REPOSITORY", "COURSE_HUB")),
    "drift": Command("how far the numbers move between processors (slow)", drift, ("NB", "SHARE", "DATA")),
    "compare": Command("two executed builds side by side, as a page", compare, ("A", "B"), ("A", "B")),
    "mutate": Command("how tight the net is: changes that the comparison notices", mutate, ("SHOW",)),
    "bench": Command("speed beside other libraries, as ratios in one run", bench, ("BENCH",), computes=True,
                     prints=True),
    "doctor": Command("what this machine has, and what to do about each problem",
                      lambda parameters, jobs: [["course/run/doctor.py"]], environment=False,
                      writes=False, prints=True),
    "env": Command("make or mend the environment", lambda parameters, jobs: [], ("TORCH",)),
    "data": Command("find, verify and fetch the data", lambda parameters, jobs: [DATA], ("DATA",),
                    prints=True),
    "summary": Command("the table of the executed notebooks",
                       lambda parameters, jobs: [module("course.run.summary")], prints=True),
    "lint": Command("ruff", lambda parameters, jobs: [module("ruff", "check", ".")], prints=True),
    "lock": Command("compile requirements.lock and environment.yml again (for maintainers)",
                    lambda parameters, jobs: [["course/run/environment.py", "--lock"]]),
    "clean": Command("forget results; student copies, reports, data and environment stay",
                     lambda parameters, jobs: [["course/run/clean.py"]], environment=False),
}  # fmt: skip
