"""Create or update the virtual environment from requirements.lock; needs only Python and a package index.

    python3 course/run/environment.py .venv       install exactly the locked versions and `helpers` (editable)
    python3 course/run/environment.py --conda     write environment.yml with the same versions for conda users

uv does the work, several times faster than pip; where there is no uv, pip puts one into the environment.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"


def run(*command, **options):
    """Run a command, and stop with its exit code where it fails."""
    result = subprocess.run([str(part) for part in command], **options)
    if result.returncode:
        sys.exit(f"environment: `{' '.join(map(str, command))}` failed with exit code {result.returncode}")


def create(folder):
    """Bring the environment in `folder` to the locked versions."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit(
            f"PYTHON: this is Python {sys.version.split()[0]}; allowed are 3.11, 3.12 and 3.13 "
            "(for example: make all PYTHON=python3.12)"
        )
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    uv = shutil.which("uv")
    if not python.exists():
        print(f"environment: creating {folder.name} (some 6 GB with the GPU build of torch)", flush=True)
        run(sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), folder)
    environment = {**os.environ, "VIRTUAL_ENV": str(folder.resolve())}
    if not uv:
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
        uv = python.parent / "uv"
    # `install` instead of `sync` keeps the uv that pip put there
    # compiled once here: forty kernels that each compile torch and shap would cost minutes
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    run(*install, "--requirement", LOCK, env=environment, cwd=ROOT)
    run(*install, "--no-deps", "--editable", ROOT, env=environment)
    print("environment: ready", flush=True)


def direct_dependencies():
    """The names of the packages that pyproject.toml asks for, without their ranges."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
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

    for line in LOCK.read_text().splitlines():
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


if __name__ == "__main__":
    if sys.argv[1:] == ["--conda"]:
        (ROOT / "environment.yml").write_text(conda())
    else:
        create(Path(sys.argv[1]))
