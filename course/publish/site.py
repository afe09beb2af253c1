"""Build the course's website from the committed outputs: make site, or python -m course site [--to FOLDER].

No notebook is run. Sphinx with MyST-NB and the PyData theme write plain files: a folder that works from a
disk, without a network. The student copies lie in it for download, one by one and with the course as a zip.
Where its address is known (in CITATION.cff, or COURSE_REPOSITORY=owner/name), the start page says what to
clone, and each notebook has buttons that open its student copy in Colab and Binder, with COURSE_HUB (an
address) also in a JupyterHub.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from course.notebooks import BUILD, NOTEBOOKS, ROOT, all_notebooks
from course.publish import copies, finish, links, references
from course.publish.copies import write
from course.publish.pages import (
    Hosting,
    PageError,
    document_page,
    module_page,
    modules_page,
    notebook_page,
)

SITE, BRANCH = BUILD / "site", BUILD / "student-branch"
THEME = Path(__file__).with_name("theme")
DOCUMENTS = {
    "students": "docs/students.md",
    "instructors": "docs/instructors.md",
    "practitioners": "docs/practitioners.md",
    "examples": "docs/examples.md",
    "authors": "CONTRIBUTING.md",
    "architecture": "docs/architecture.md",
    "net": "docs/net.md",
    "drift": "docs/drift.md",
    "glossary": "docs/glossary.md",
    "references": "docs/references.md",
    "data": "data/README.md",
    "changelog": "CHANGELOG.md",
}
# the series, and the picture that stands for each on the start page: a notebook and which of its pictures
PICTURES = {"1_wholesale": ("12", 0), "2_qm7": ("24", 0), "3_leaves": ("36", 0), "4_own": ("41", 0)}
ROW = re.compile(r"^\| \[([^\]]+)\]\((notebooks/[^)]+)\) \|(.+)\|$", re.MULTILINE)
SERIES = re.compile(r"^\| \*\*(\d [^*:]+)", re.MULTILINE)
DOORS = {"students": "as a student", "instructors": "as an instructor", "practitioners": "with your own data",
         "authors": "as an author", "glossary": "with a word", "references": "with a source"}  # fmt: skip


def build(target=SITE, hosting=None, notebooks=None, documents=None):
    """Write the website to `target` and return the number of its pages.

    Raises PageError with the page and the place of what must not be published: an unexecuted notebook, a
    picture without a description, a broken link, a heading twice, a formula that cannot be drawn.
    """
    hosting = hosting or Hosting.known()
    notebooks = all_notebooks() if notebooks is None else notebooks
    documents = documents or {name: path for name, path in DOCUMENTS.items() if (ROOT / path).exists()}
    with tempfile.TemporaryDirectory() as folder:
        source, whole = Path(folder, "source"), Path(folder, copies.ZIP)
        copies.write_course(whole, notebooks)
        offer = copies.offer(hosting.repository, whole.stat().st_size)
        write_sources(source, hosting, notebooks, documents, offer)
        write_html(source, Path(folder, "html"))
        finish.finish(Path(folder, "html"))
        copies.write_student_copies(Path(folder, "html", "student"), notebooks)
        shutil.move(whole, Path(folder, "html", "student"))
        problems = links.problems(Path(folder, "html"))
        if problems:
            raise PageError("\n".join(problems))
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder, "html"), target)
    return len(list(target.rglob("*.html")))


def write_sources(source, hosting, notebooks, documents, offer):
    """Write everything that Sphinx reads; `offer` is the start page's sentence on where to get the course."""
    figures = source / "_static" / "figures"
    figures.mkdir(parents=True)
    for name in ("conf.py", "icon.svg"):
        shutil.copy(THEME / name, source)
    shutil.copy(THEME / "course.css", source / "_static")
    images, readme = {}, (ROOT / "README.md").read_text(encoding="utf-8")
    for path in notebooks:
        book = notebook_page(path, hosting, images)
        write(source / path.relative_to(NOTEBOOKS), nbformat.writes(book, version=4))
    for name, (picture, _) in images.items():
        (figures / name).write_bytes(picture)
    pages = {path: f"guide/{name}.md" for name, path in documents.items()}
    pages |= {path.relative_to(ROOT).as_posix(): path.relative_to(NOTEBOOKS).as_posix() for path in notebooks}
    pages["README.md"] = "index.md"
    places = {path.name[:2]: f"../{path.relative_to(NOTEBOOKS).as_posix()}" for path in notebooks}
    for name, path in documents.items():
        text = document_page(ROOT / path, f"guide/{name}.md", pages, hosting)
        if name == "references":
            text = references.with_notebooks(text, notebooks, places)
        elif name == "glossary":
            text = references.numbers_linked(text, places)
        write(source / "guide" / f"{name}.md", text)
    modules = [f"helpers.{path.stem}" for path in sorted((ROOT / "helpers").glob("[a-z]*.py"))]
    for name in modules:
        write(source / "api" / f"{name}.md", module_page(name))
    for series, (title, members) in by_series(notebooks, readme).items():
        names = [Path(page).stem for page, *_ in members]
        write(source / series / "index.md", listing(title, names, "The notebooks of this series, in order."))
    write(source / "guide" / "index.md", listing("Guides", list(documents), "For each kind of reader.", 1))
    write(source / "api" / "index.md", modules_page(modules))
    about = document_page(ROOT / "README.md", "index.md", pages, hosting)
    ending = "\n".join(section(about, name) for name in ("Cite", "Licences"))
    write(source / "index.md", start_page(notebooks, documents, images, offer, ending))


def listing(title, names, text, depth=2):
    """A page that is a table of contents, of pages alone or of their sections too."""
    return "\n".join(
        [f"# {title}", "", text, "", "```{toctree}", f":maxdepth: {depth}", "", *names, "```", ""]
    )


def start_page(notebooks, documents, images, offer, ending):
    """The start page: each series with a picture, its notebooks with what one learns and what comes out."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = ["# Open the black box", "", introduction(readme), ""]
    doors = [f"[{words}](guide/{name}.md)" for name, words in DOORS.items() if name in documents]
    lines += [f"**Begin** {', '.join(doors)}.", ""] if doors else []
    lines += [offer, ""]
    for series, (title, members) in by_series(notebooks, readme).items():
        picture, text = picture_of_series(series, images)
        lines += [f"## {title}", "", *([f"![{text}](_static/figures/{picture})", ""] if picture else [])]
        lines += [f"- [{name}]({page}): {learn}. *{result}*" for page, name, learn, result in members]
        lines.append("")
    lines += [ending, ""]
    lines += toctree(
        "Contents",
        [*(f"{series}/index" for series in by_series(notebooks, readme)), "guide/index", "api/index"],
    )
    return "\n".join(lines)


def by_series(notebooks, readme):
    """{folder: (title, [(page, name, what one learns, what comes out)])}, as README's table says."""
    rows = {path: (name, rest.strip()) for name, path, rest in ROW.findall(readme)}
    titles = dict(zip(sorted(PICTURES), SERIES.findall(readme), strict=False))
    found = {}
    for path in notebooks:
        name, said = rows.get(path.relative_to(ROOT).as_posix(), (path.stem.replace("_", " "), ""))
        said = re.sub(r" \(\d+ s\)(?=\. \*)", "", said)  # seconds that README's heading explains
        learn, _, result = said.rstrip("*").partition(". *")
        _, members = found.setdefault(path.parent.name, (titles.get(path.parent.name, path.parent.name), []))
        members.append((path.relative_to(NOTEBOOKS).as_posix(), name, learn, result))
    return found


def picture_of_series(series, images):
    """(file name, alternative text) of the picture that stands for a series, ("", "") where there is none."""
    number, which = PICTURES.get(series, ("", 0))
    names = [name for name in images if number and name.startswith(f"{number}_")]
    return (names[which], images[names[which]][1]) if len(names) > which else ("", "")


def section(readme, title):
    """A section of README with its heading, empty where there is none."""
    found = re.search(rf"^## {title}\n.*?(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def introduction(readme):
    """The first paragraph of README that is prose."""
    paragraphs = re.split(r"\n\s*\n", re.sub(r"```.*?```", "", readme, flags=re.DOTALL))
    return next((p for p in paragraphs if re.match(r"[A-Z]\w* ", p) and len(p) > 120), "")


def toctree(caption, names):
    return ["```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```", ""]


def write_html(source, target):
    """Run Sphinx; raises PageError with its warnings, each of which names a page and a line."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        str(source.parent / "doctrees"),
        str(source),
        str(target),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYDATA_SPHINX_THEME_DISABLE_TELEMETRY": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise PageError(result.stderr.replace(str(source), "").strip() or result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=SITE)
    arguments = parser.parse_args()
    begin = time.monotonic()
    try:
        pages = build(arguments.to.resolve())
    except PageError as error:
        sys.exit(f"site: {error}")
    if repository := Hosting.known().repository:
        copies.write_student_branch(BRANCH, all_notebooks(), repository)
        print(f"student copies for the launch buttons: {BRANCH.relative_to(ROOT)}")
    print(f"{pages} pages in {time.monotonic() - begin:.0f} s: {arguments.to / 'index.html'}")


if __name__ == "__main__":
    main()
