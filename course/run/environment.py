"""Make, mend and describe the virtual environment; needs only Python and a package index.

    python3 course/run/environment.py            make or mend .venv (the front door does this by itself)
    python3 course/run/environment.py --lock     compile requirements.lock and environment.yml again

uv does the work, several times faster than pip; where there is no uv, pip puts one into the environment.
"""

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
FOLDER = ROOT / ".venv"
# what an installation from the lock fetches and takes on disk, in GB, on Linux: with PyTorch's CUDA build as
# the index gives it (measured), and with its CPU build (the same without the packages that only CUDA needs)
SIZES = {"": (3.3, 6.8), "cpu": (0.6, 2.0)}
# what no kernel imports, two fifths of all: compiled by the one process that does
LATER = "tests?|dask|debugpy|docutils|jedi|networkx|playwright|prompt_toolkit|setuptools|sphinx|sqlalchemy"
NOT_COMPILED = rf".*[/\\]({LATER})[/\\]"
# packages that only the CUDA build of PyTorch needs
CUDA = re.compile(r"^(nvidia-|triton|cuda-)")


class NotPossible(Exception):
    """The environment cannot be made; the message is one line for the person who wants it."""


def python(folder=FOLDER):
    """The interpreter of the environment, there or not."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(folder=FOLDER):
    """Whether the environment's own interpreter starts and is a Python that the course runs on."""
    code = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"
    try:
        return subprocess.run([python(folder), "-c", code], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def missing(folder=FOLDER):
    """The packages of the course that are gone from an environment, whatever its stamp says."""
    look, paths = importlib.metadata.Distribution.discover, [str(path) for path in packages(folder)]
    return [name for name in direct_dependencies() if not any(look(name=name, path=paths))]


def packages(folder):
    """The folders of an environment that hold its packages: one, on every system."""
    return [*folder.glob("lib/python3*/site-packages"), *folder.glob("Lib/site-packages")]


def complete_here():
    """Whether the interpreter that runs this has all packages of the course, as a conda user's has."""
    if sys.prefix == sys.base_prefix and not os.environ.get("CONDA_PREFIX"):
        return False
    for name in direct_dependencies():
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return False
    return True


def interpreter():
    """The Python that runs the course: the environment's, else this one."""
    return python() if works() else Path(sys.executable)


def wanted(torch=""):
    """What the stamp of a complete environment says: a digest of the lock, and which build of PyTorch."""
    digest = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return f"{digest} {torch}".strip()


def installed(folder=FOLDER):
    """The stamp of the environment, "" where it is incomplete."""
    stamp = folder / "installed"
    return stamp.read_text(encoding="utf-8").strip() if stamp.exists() else ""


def check_python(folder):
    """Raise NotPossible for a Python that can make no environment.

    Once one is there, a newer Python may open the front door: what is run, runs inside.
    """
    here = sys.version_info[:2]
    if not (3, 11) <= here <= (3, 13) and (here < (3, 11) or not works(folder)):
        other = "py -3.12 -m course all" if os.name == "nt" else "make all PYTHON=python3.12"
        raise NotPossible(
            f"PYTHON: this is Python {sys.version.split()[0]}; allowed are 3.11, 3.12 and 3.13 "
            f"(for example: {other})"
        )


def ensure(torch="", folder=FOLDER, force=False):
    """Make or mend the environment where it is missing, broken or older than the lock.

    torch: "cpu" for PyTorch's own CPU build, a third of the size; force: install even where the stamp
    says that all is there. Raises NotPossible with what to do.
    """
    check_python(folder)
    if not folder.exists() and not folder.is_symlink() and complete_here():
        return
    sound = works(folder)
    stamp = installed(folder)
    fits = bool(stamp) and (stamp == wanted(torch) or (not torch and stamp.split()[0] == wanted()))
    gone = missing(folder) if sound and fits else []
    if sound and fits and not gone and not force:
        return
    if sound and folder.is_symlink():  # it belongs to somebody else
        raise NotPossible(
            f"environment: {folder.name} is a link to an environment that does not fit requirements.lock"
            f"{' (no ' + gone[0] + ')' if gone else ''}; "
            "remove the link, and the next command makes one here"
        )
    if not sound and (folder.exists() or folder.is_symlink()):
        remove(folder)
    if gone:
        print(f"environment: {folder.name} lacks {', '.join(gone)}; installing again", flush=True)
    torch = torch or (stamp.split()[1:] or [""])[0]
    announce(torch, folder)
    uv = uv_of(folder, sound)
    install(uv, torch, folder)
    (folder / "installed").write_text(wanted(torch) + "\n", encoding="utf-8")
    print("environment: ready", flush=True)


def remove(folder):
    """Take away an environment that does not start, or whatever stands in its place."""
    print(f"environment: {folder.name} is broken (its Python does not start); making it again", flush=True)
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def size(torch=""):
    """(GB to fetch, GB on disk) of an environment; for Windows and macOS the index has CPU builds alone."""
    return SIZES["cpu" if sys.platform in ("win32", "darwin") else torch]


def announce(torch, folder):
    """Say before anything is fetched how much it will be, and refuse where the disk is too small."""
    if sys.platform == "darwin" and platform.machine() != "arm64":  # requirements.lock holds nothing for it
        raise NotPossible("PYTHON: this one is for Intel Macs, for which PyTorch has no builds any more; on "
                          "Apple silicon install an arm64 Python")  # fmt: skip
    fetched, taken = size(torch)
    free = shutil.disk_usage(folder.parent).free / 2**30
    hint = "" if taken == SIZES["cpu"][1] else "; without a GPU, TORCH=cpu takes a third of that"
    print(
        f"environment: fetches up to {fetched} GB, takes {taken} GB of disk ({free:.0f} GB free){hint}",
        flush=True,
    )
    if free < taken and not installed(folder):
        raise NotPossible(
            f"environment: {taken} GB of disk are needed and {free:.1f} GB are free; free some space"
        )


def uv_of(folder, sound):
    """The path of uv, with an environment in `folder`: uv of this machine, else one that pip puts there.

    The pip of the Python that runs this does it, or the environment's own; where there is neither (Debian),
    the environment gets one, which takes eight seconds.
    """
    uv = shutil.which("uv")
    if not sound:
        make(folder, pip=False)
    own = python(folder).parent / ("uv.exe" if os.name == "nt" else "uv")
    if uv or own.exists():
        return uv or own
    install_uv = ["install", "--disable-pip-version-check", "--quiet", "uv"]
    for pip in ([sys.executable, "-m", "pip", "--python", python(folder)], [python(folder), "-m", "pip"]):
        if not subprocess.run([*pip, *install_uv], capture_output=True).returncode and own.exists():
            return own
    if sound:  # it is somebody's, with packages: nothing is taken away
        run(python(folder), "-m", "ensurepip")
    else:
        make(folder, pip=True)
    run(python(folder), "-m", "pip", *install_uv)
    return own


def make(folder, pip):
    """Make an empty environment in the place of whatever is there."""
    command = [sys.executable, "-m", "venv", "--clear", *([] if pip else ["--without-pip"]), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        said = (result.stdout + result.stderr).strip().splitlines() or [""]
        raise NotPossible(
            "PYTHON: this Python cannot make an environment with pip (Debian, Ubuntu: apt install "
            f"python3-venv; or install uv): {said[-1]}"
        )


def install(uv, torch, folder):
    """Bring the environment to the locked versions, and `helpers` into it.

    What kernels import is compiled once here: forty of them that each compile torch and shap would cost
    minutes.
    """
    surroundings = {**os.environ, "VIRTUAL_ENV": str(folder.resolve())}
    base = [uv, "pip", "install", "--python", python(folder)]
    with tempfile.TemporaryDirectory() as scratch:
        lock = LOCK
        if torch == "cpu":
            lock = Path(scratch, "requirements.lock")
            every = LOCK.read_text(encoding="utf-8").splitlines()
            lock.write_text("\n".join(line for line in every if not CUDA.match(line)), encoding="utf-8")
            base += ["--torch-backend", "cpu"]
        # `install` instead of `sync` keeps the uv that pip put there
        run(*base, "--requirement", lock, env=surroundings, cwd=ROOT)
    run(*base, "--no-deps", "--editable", ROOT, env=surroundings)
    for place in packages(folder):
        left_out = re.escape(str(place)) + NOT_COMPILED
        # -qq: some packages ship files that are no Python
        subprocess.run([python(folder), "-m", "compileall", "-qq", "-j", "0", "-x", left_out, place])


def run(*command, **options):
    """Run a command; raises NotPossible with its exit code where it fails."""
    result = subprocess.run([str(part) for part in command], **options)
    if result.returncode:
        said = " ".join(map(str, command))
        raise NotPossible(f"environment: `{said}` failed with exit code {result.returncode}")


def direct_dependencies():
    """The names of the packages that pyproject.toml asks for, without their ranges."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return sorted({re.match(r"[\w.-]+", line)[0] for group in groups for line in group})


def locked_versions(python="3.11"):
    """{name: version} of the lock as it applies to Linux and one minor version of Python."""
    versions = {}
    marker_environment = {
        "python_full_version": f"{python}.99",
        "python_version": python,
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "os_name": "posix",
    }
    from packaging.requirements import Requirement

    for line in LOCK.read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(marker_environment):
            versions[requirement.name] = str(requirement.specifier).removeprefix("==")
    return versions


def conda(python="3.11"):
    """The text of environment.yml: conda gives Python, pip the locked versions."""
    versions = locked_versions(python)
    lines = [
        "# Written by `make lock`; the versions are those of requirements.lock (a test compares the two).",
        "name: black-box",
        "channels: [conda-forge]",
        "dependencies:",
        f"  - python={python}",
        "  - pip",
        "  - make",
        "  - pip:",
    ]
    lines += [
        "      - -c requirements.lock",
        *(f"      - {name}=={versions[name]}" for name in direct_dependencies()),
    ]
    return "\n".join([*lines, "      - -e ."]) + "\n"


def lock():
    """Compile requirements.lock and environment.yml from pyproject.toml."""
    uv = shutil.which("uv") or python().parent / "uv"
    run(uv, "pip", "compile", "pyproject.toml", "--all-extras", "--universal", "--python-version", "3.11",
        "--no-header", "--no-annotate", "--no-emit-index-url", "-q", "-o", LOCK, cwd=ROOT)  # fmt: skip
    (ROOT / "environment.yml").write_text(conda(), encoding="utf-8")


if __name__ == "__main__":
    try:
        lock() if sys.argv[1:] == ["--lock"] else ensure()
    except NotPossible as error:
        sys.exit(str(error))
