"""What must not be in a finished page: a broken link, a picture that says nothing, a call to elsewhere."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

LOADS = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}


def problems(folder):
    """One line per problem of the HTML files below a folder: page, line and what was found."""
    paths = [path for path in sorted(Path(folder).rglob("*.html")) if "_static" not in path.parts]
    pages = {path.relative_to(folder).as_posix(): parsed(path) for path in paths}
    anchors = {name: identifiers(soup) for name, soup in pages.items()}
    found = []
    for name, soup in pages.items():
        found += [
            f"{name}:{tag.sourceline}: {text}" for tag, text in page_problems(folder, name, soup, anchors)
        ]
    return found


def parsed(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def identifiers(soup):
    """All names that a link can lead to on a page."""
    return {tag["id"] for tag in soup.find_all(id=True)} | {
        tag["name"] for tag in soup.find_all("a", attrs={"name": True})
    }


def page_problems(folder, name, soup, anchors):
    """Yield (tag, what is wrong) of one page."""
    for tag in soup.find_all(LOADS):
        address = tag.get(LOADS[tag.name], "")
        if urlsplit(address).scheme in ("http", "https") or address.startswith("//"):
            if tag.name != "link" or set(tag.get("rel", [])) & {"stylesheet", "preload", "icon"}:
                yield tag, f"loads {address} from elsewhere"
        elif (
            address
            and not address.startswith("data:")
            and not (Path(folder, name).parent / clean(address)).exists()
        ):
            yield tag, f"{tag.name} {address} is not there"
        if tag.name == "img" and "alt" not in tag.attrs:
            yield tag, f"picture {address} has no alternative text"
    for tag in soup.find_all("a", href=True):
        parts = urlsplit(tag["href"])
        if parts.scheme or parts.netloc:
            continue
        target = (Path(name).parent / unquote(parts.path)) if parts.path else Path(name)
        target = Path(*resolved(target))
        if not Path(folder, target).exists():
            yield tag, f"broken link to {tag['href']}"
        elif (
            parts.fragment
            and target.suffix == ".html"
            and unquote(parts.fragment) not in anchors[target.as_posix()]
        ):
            yield tag, f"broken anchor {tag['href']}"


def clean(address):
    return unquote(urlsplit(address).path)


def resolved(path):
    """The parts of a relative path without `..`."""
    parts = []
    for part in path.parts:
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return parts or ["index.html"]
