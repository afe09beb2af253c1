"""Turn what the repository holds into pages for readers who run nothing: notebooks, documents, docstrings.

A notebook's page shows its committed outputs. Solutions and hidden checks never reach it: it is made from
the student copy. Pictures become files with alternative text, a caption and what is drawn behind a fold.
"""

import base64
import html
import importlib
import inspect
import json
import os
import re
import unicodedata
from dataclasses import dataclass

import nbformat
from bs4 import BeautifulSoup

from course import contract
from course.notebooks import NOTEBOOKS, ROOT
from course.publish import references
from course.publish.copies import ZIP
from helpers.figures import MIME as FIGURE

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```|~~~)")
WIDGET = re.compile(r"\w+\(children=\(")  # what a notebook that is not running keeps of its controls


class PageError(Exception):
    """A page that must not be published; the message names the file, the cell or line, and what to do."""


@dataclass(frozen=True)
class Hosting:
    """Where readers may run the course: `repository` owner/name on GitHub, `hub` address of a JupyterHub."""

    repository: str = ""
    hub: str = ""
    branch: str = "student"

    @classmethod
    def known(cls):
        """From COURSE_REPOSITORY and COURSE_HUB, or from CITATION.cff's address; empty where none is set."""
        cited = re.search(
            r"^repository-code: [\"']?https://github.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?[\"']?$",
            (ROOT / "CITATION.cff").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        repository = os.environ.get("COURSE_REPOSITORY") or (cited[1] if cited else "")
        return cls(repository, os.environ.get("COURSE_HUB", ""))

    def buttons(self, notebook):
        """[(text, address)] of the places that open a notebook's student copy (path below notebooks/)."""
        if not self.repository:
            return []
        name = self.repository.rpartition("/")[2]
        tree = f"{self.repository}/{self.branch}"
        places = [
            (
                "Colab",
                f"https://colab.research.google.com/github/{self.repository}/blob/{self.branch}/{notebook}",
            ),
            ("Binder", f"https://mybinder.org/v2/gh/{tree}?urlpath=lab/tree/{notebook}"),
        ]
        if self.hub:
            pull = f"repo=https://github.com/{self.repository}&branch={self.branch}"
            address = f"{self.hub.rstrip('/')}/hub/user-redirect/git-pull"
            places.append(("JupyterHub", f"{address}?{pull}&urlpath=lab/tree/{name}/{notebook}"))
        return places


def notebook_page(path, hosting, images):
    """The page of a notebook as an nbformat notebook; its pictures go into `images`, {name: (bytes, text)}.

    Raises PageError where a cell was not executed, a picture has no description or a heading stands twice.
    """
    source = nbformat.read(path, 4)
    book = contract.student_copy(source)
    place = path.relative_to(NOTEBOOKS).as_posix()
    unique_headings(path.name, "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown"))
    executed = {cell.id: cell.get("execution_count") for cell in source.cells}
    for number, cell in enumerate(book.cells):
        cell.metadata.pop("tags", None)
        if cell.cell_type == "code":
            if executed[cell.id] is None:
                raise PageError(
                    f"{path.name} cell {number}: was not executed; run make refresh NB={path.name[:2]}"
                )
            cell.outputs = [
                page_output(output, f"{path.name} cell {number}", f"{path.stem}-{cell.id}-{k}.png", images)
                for k, output in enumerate(cell.outputs)
            ]
        else:
            cell.source = references.linked(cell.source, references.known())
    words = keywords(*(cell.source for cell in book.cells))
    title, _, rest = book.cells[0].source.partition("\n")
    book.cells[0].source = f"{title}\n\n{bar(place, hosting)}\n{words}\n{rest}"
    return book


def keywords(*texts):
    """What a reader may type into the search for a word that is written otherwise: gradcam, schutt."""
    words = set(re.findall(r"\w+(?:-\w+)*", " ".join(texts)))
    joined = {
        word.replace("-", "").lower() for word in words if re.fullmatch(r"[^\W\d_]+(-[^\W\d_]+)+", word)
    }
    plain = {unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode().lower()
             for word in words if not word.isascii()}  # fmt: skip
    found = ", ".join(sorted(joined | plain - {""}))
    lines = [f"   :description: {said}" if (said := description(texts[0])) else "",
             f"   :keywords: {found}" if found else ""]  # fmt: skip
    return "\n".join(["```{eval-rst}", ".. meta::", *filter(None, lines), "```", ""]) if any(lines) else ""


def description(text):
    """The first sentences of a page, plainly, for whoever finds it in a search: at most 160 signs."""
    paragraphs = re.split(r"\n\s*\n", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    prose = next((one for one in paragraphs if re.match(r"(\*\*)?[A-Z]", one) and len(one) > 60), "")
    plain = " ".join(re.sub(r"\[([^\]]+)\]\([^)]*\)|[*`$\\]", lambda found: found[1] or "", prose).split())
    return plain if len(plain) <= 160 else plain[:159].rpartition(" ")[0] + " …"


def bar(place, hosting):
    """The line below a notebook's title: download of the student copy, or of all, and where to run it."""
    depth = "../" * place.count("/")
    links = [
        f'<a href="{depth}student/{place}" download>Download this notebook to work in</a>',
        f'<a href="{depth}student/{ZIP}" download>The whole course as a zip</a>',
    ]
    links += [f'<a href="{html.escape(url)}">Open in {name}</a>' for name, url in hosting.buttons(place)]
    return f'<p class="course-bar">{" ".join(links)}</p>\n'


def page_output(output, where, name, images):
    """An output as the page shows it: a picture as a figure with its file, a table that can scroll."""
    data = output.get("data", {})
    picture, alt = picture_of(output)
    if picture:
        if len(alt.split()) < 5:
            raise PageError(
                f"{where}: a picture without a description; draw it with helpers.plots.show(alt=...)"
            )
        images[name] = picture, alt
        drawn = described(data[FIGURE]) if FIGURE in data else ""
        wide, high = size(picture)
        return html_output(
            f'<figure><a class="picture" href="../_static/figures/{name}">'
            f'<img src="../_static/figures/{name}" alt="{html.escape(alt)}" loading="lazy" '
            f'width="{wide}" height="{high}"></a><figcaption>{html.escape(alt)}</figcaption>{drawn}</figure>'
        )
    if "text/html" in data:
        return html_output(accessible(data["text/html"]))
    if "application/vnd.jupyter.widget-view+json" in data or WIDGET.match(data.get("text/plain", "")):
        return html_output("<p><em>Here a running notebook shows controls to move.</em></p>")
    return output


def picture_of(output):
    """(PNG bytes, alternative text) of an output, (b"", "") where it holds no picture."""
    data = output.get("data", {})
    shown = BeautifulSoup(data.get("text/html", ""), "html.parser").find("img")
    alt = shown.get("alt", "") if shown else ""
    if "image/png" in data:
        encoded = data["image/png"]
        alt = (
            alt
            or output.get("metadata", {}).get("image/png", {}).get("alt", "")
            or data.get("text/plain", "")
        )
    elif shown and shown.get("src", "").startswith("data:image/png;base64,"):
        encoded = shown["src"].partition(",")[2]
    else:
        return b"", ""
    return base64.b64decode(encoded), " ".join(alt.split())


def size(picture):
    """The width and height of a PNG in pixels, from its header: a page that knows them does not jump."""
    return int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")


def described(description):
    """What a figure draws, as its description for machines says, behind a fold."""
    text = (
        description if isinstance(description, str) else json.dumps(description, indent=1, ensure_ascii=False)
    )
    shown = f'<pre tabindex="0">{html.escape(text)}</pre>'
    return f"<details><summary>What is drawn, in numbers</summary>{shown}</details>"


def accessible(text):
    """A table or frame for every reader: no style of its own, headers with a scope, a title."""
    soup = BeautifulSoup(text, "html.parser")
    for style in soup.find_all("style"):
        style.decompose()
    for cell in soup.select("thead th, thead td"):
        cell["scope"] = "col"
        if not cell.get_text(strip=True):  # an empty header cell says nothing
            cell.name = "td"
            del cell["scope"]
    for cell in soup.select("tbody th"):
        cell["scope"] = "row"
    for table in soup.find_all("table"):
        table.attrs.pop("border", None)
        table.wrap(soup.new_tag("div", attrs={"class": "pst-scrollable-table-container", "tabindex": "0"}))
    for frame in soup.find_all("iframe"):
        label = re.search(r'aria-label="([^"]*)"', frame.get("srcdoc", ""))
        frame["title"] = label[1] if label else "interactive figure"
    return str(soup)


def html_output(text):
    return nbformat.v4.new_output("display_data", data={"text/html": text})


def unique_headings(name, text):
    """Raise PageError where a heading stands twice on a page, with both lines."""
    seen, fenced = {}, False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        if fenced or not re.match(r"#{1,6} ", line):
            continue
        if line in seen:
            raise PageError(f"{name}:{number}: the heading {line!r} stands already in line {seen[line]}")
        seen[line] = number


def document_page(path, name, pages, hosting):
    """A Markdown document of the repository as a page `name`: links to other documents lead to their pages.

    pages: {path in the repository: page}; links to files without a page lead to the repository where one is
    known, else they become plain text.
    """
    text = path.read_text(encoding="utf-8")
    unique_headings(path.relative_to(ROOT).as_posix(), text)
    depth = "../" * name.count("/")

    def link(found):
        words, target, anchor = found[1], found[2], found[3] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        full = (path.parent / target).resolve()
        if not full.exists():
            line = text[: found.start()].count("\n") + 1
            raise PageError(f"{path.relative_to(ROOT)}:{line}: broken link to {target}")
        inside = full.relative_to(ROOT).as_posix()
        if inside in pages:
            return f"[{words}]({depth}{pages[inside]}{anchor})"
        if hosting.repository:
            return f"[{words}](https://github.com/{hosting.repository}/blob/HEAD/{inside})"
        return words

    return f"{LINK.sub(link, text)}\n{keywords(text)}"


def module_page(name):
    """The API page of a module of helpers as Markdown, made from its docstrings."""
    module = importlib.import_module(name)
    lines = [f"# {name}", "", *docstring(module), ""]
    for key, value in public(module):
        lines += [f"## {key}", "", *described_call(key, value)]
        for method, function in vars(value).items() if inspect.isclass(value) else ():
            if not method.startswith("_") and inspect.isfunction(function) and function.__doc__:
                lines += [f"### {key}.{method}", "", *described_call(method, function)]
    return "\n".join(lines)


def public(module):
    """[(name, function or class)] that a module defines for others."""
    return [(key, value) for key, value in vars(module).items() if not key.startswith("_")
            and getattr(value, "__module__", "") == module.__name__ and callable(value)]  # fmt: skip


def described_call(name, value):
    """How a function or class is called, a long call with an argument a line, and its docstring."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        call = f"{name}(...)"
    else:
        arguments = [re.sub(r"PosixPath\('([^']*)'\)", r"'\1'", str(one)).replace(str(ROOT), "<the course>")
                     for one in found.parameters.values() if one.name != "self"]  # fmt: skip
        call = f"{name}({', '.join(arguments)})"
        if len(call) > 100:
            call = f"{name}(\n    " + ",\n    ".join(arguments) + ",\n)"
    return ["```python", call, "```", "", *docstring(value), ""]


def modules_page(names):
    """The contents of the API pages: each module with its first sentence and the functions in it."""
    lines = ["# Functions for your own data", "", "The package `helpers`.", ""]
    for name in names:
        module = importlib.import_module(name)
        first, *_ = docstring(module)
        lines += [f"**[{name}]({name}.md)** {first}".replace("\n", " "), ""]
        found = [key for key, _ in public(module)]
        lower = [key.lower() for key in found]
        links = []
        for k, key in enumerate(found):  # a class and a function of the same letters: biased and biased-1
            again = lower[:k].count(lower[k])
            links.append(f"[{key}]({name}.md#{lower[k]}{f'-{again}' if again else ''})")
        lines += [", ".join(links), ""]
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *names, "```", ""])


def docstring(thing):
    """A docstring's paragraphs as Markdown; what looks like markup in it is shown as it is typed."""
    text = inspect.getdoc(thing) or ""
    for paragraph in re.split(r"\n\s*\n", text):
        literal = any(line.startswith((" ", ">>>")) for line in paragraph.splitlines())
        if literal:
            yield from ("```text", paragraph, "```", "")
        else:
            # what is between backticks is code already
            escaped = re.sub(r"(`[^`]*`)|([\\*_<>\[\]$#])", lambda m: m[1] or "\\" + m[2], paragraph)
            yield from (escaped, "")
