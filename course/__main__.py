"""The one front door: python -m course NAME [NAME=VALUE ...] [-j N]; `make NAME ...` says the same.

Needs nothing but Python 3.11 to 3.13 until the environment is there: it is made with the first command that
needs it, and the command then runs inside it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "build" / "source"
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from course import machine  # noqa: E402
from course.commands import COMMANDS, DATA  # noqa: E402
from course.run import environment  # noqa: E402
from course.run.parameters import Refused, check_checkout, parse  # noqa: E402


def overview(chosen=None):
    """What `--help` prints: every command, or the chosen one."""
    lines = [
        "python -m course NAME [PARAMETER=VALUE ...]        the same as make NAME [PARAMETER=VALUE ...]",
        "",
    ]
    for name, command in COMMANDS.items() if chosen is None else [(chosen, COMMANDS[chosen])]:
        parameters = " ".join(f"{key}=..." for key in command.parameters)
        lines.append(f"  {name:12} {command.help}" + (f"\n{'':15}{parameters}" if parameters else ""))
    lines += ["", "all, test, unit, grade and term take -j N: so many at once."]
    return "\n".join(lines)


def variables(parameters):
    """The environment of everything that a command starts.

    PYTHONPATH makes kernels, tests and JupyterLab import `helpers` and `course` of this folder, wherever the
    environment was made.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    names = ("DATA", "DEVICE", "THREADS", "COURSE_REPOSITORY", "COURSE_HUB")
    chosen = {name: parameters[name] for name in names if parameters.get(name)}
    threads = chosen.get("THREADS") or os.environ.get("THREADS")
    chosen |= machine.counts(threads) if threads else {}
    # whoever types a command in a notebook's cell watches the command, not what its kernels do
    given = {name: value for name, value in os.environ.items() if name != "JPY_SESSION_NAME"}
    # a terminal without a sign for "correct" shows a question mark before the word, and nothing ends for that
    encoding = os.environ.get("PYTHONIOENCODING", "").partition(":")[0]
    told = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": f"{encoding}:replace"}
    told["PYTHONUTF8"] = "1"  # Windows: files are UTF-8 for every library that a command uses
    return {"DATA": "auto", **machine.EVERYWHERE, **given, **chosen, **told}


def main(arguments):
    """Check everything, then run; returns the exit code."""
    if not arguments or arguments[0] == "help" or {"-h", "--help"} & set(arguments):
        say(f"{overview(next((word for word in arguments if word in COMMANDS), None))}\n".encode())
        return 0
    try:
        command, parameters, jobs = parse(arguments, COMMANDS)
        if sys.platform == "win32" and not command.windows:
            raise Refused(f"{arguments[0]}: needs Linux or macOS; on Windows type it in WSL")
        check_checkout(ROOT, command.writes)
        if command.environment:
            environment.ensure(parameters.get("TORCH", ""), force=arguments[0] == "env")
    except (Refused, environment.NotPossible) as error:
        print(error, file=sys.stderr)
        return 2
    surroundings = {**(machine.within() if command.computes else {}), **variables(parameters)}
    for step in command.steps(parameters, jobs):
        code = run([str(environment.interpreter()), *step], surroundings, command.prints)
        if code:
            return code
        if step == DATA and SOURCE.exists():  # one decision for everything that follows
            surroundings["DATA"] = SOURCE.read_text(encoding="utf-8").strip()
    return 0


def run(command, surroundings, prints=False):
    """Run one step and return its exit code; Ctrl-C and SIGTERM end the step too, in its own words.

    prints: what the step prints passes through `say`, unless a terminal shows it.
    """
    piped = prints and not sys.stdout.isatty()
    process = subprocess.Popen(command, cwd=ROOT, env=surroundings, stdout=subprocess.PIPE if piped else None)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())  # else the step outlives its caller
    while True:
        try:
            for line in process.stdout or ():
                say(line)
            return process.wait()
        except KeyboardInterrupt:
            continue


def say(line):
    """Print bytes; once nobody reads on, as behind `| head -1`, they go nowhere, and nothing fails."""
    try:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
