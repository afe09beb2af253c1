"""The finished website, built once, read as files and then in a real browser."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from functools import partial

import nbformat
import pytest
from bs4 import BeautifulSoup

from course import contract
from course.learn.copies import equipped
from course.notebooks import NOTEBOOKS, all_notebooks
from course.publish import finish, site
from course.publish.pages import Hosting, PageError
from tests.turns import share

FLAT_FORMULAS = """[...document.querySelectorAll('article math')].filter(
    m => m.checkVisibility() && m.getBoundingClientRect().height < 4).length"""
CUT_HEADINGS = """[...document.querySelectorAll('article :is(h1, h2, h3)')].filter(
    h => h.scrollWidth > h.clientWidth + 1).map(h => h.textContent)"""
# a word of a heading or of a link to a neighbour that stands on two lines
BROKEN_WORDS = """[...document.querySelectorAll('article :is(h1, h2, h3), .prev-next-title')].flatMap(e => {
    const text = document.createTreeWalker(e, NodeFilter.SHOW_TEXT), found = [];
    while (text.nextNode()) for (const word of text.currentNode.data.matchAll(/[\\p{L}\\d]+/gu)) {
        const range = document.createRange();
        range.setStart(text.currentNode, word.index);
        range.setEnd(text.currentNode, word.index + word[0].length);
        if (range.getClientRects().length > 1) found.push(e.textContent + ': ' + word[0]);
    }
    return found;
})"""
# of a page on a phone: a formula beyond the edge, punctuation that a formula leaves to the next line,
# a heading not smaller than that above it, a figure too small to read
AMISS = """(() => {
    const article = document.querySelector('article'), found = [];
    if (!article) return found;
    const right = article.getBoundingClientRect().right + 1;
    for (const m of article.querySelectorAll('math')) {
        if (m.closest('.formula, table') || !m.checkVisibility()) continue;
        const outer = m.closest('.formula-long') || m;
        const box = outer.getBoundingClientRect(), next = outer.nextSibling;
        if (box.right > right) found.push(m.getAttribute('alttext') + ' is cut');
        if (next && next.nodeType === 3 && /^\\S/.test(next.data)) {
            const range = document.createRange();
            range.setStart(next, 0);
            range.setEnd(next, 1);
            if (range.getBoundingClientRect().left < box.left) found.push('a line begins with ' + next.data);
        }
    }
    const sizes = ['h1', 'h2', 'h3'].map(name => article.querySelector(name)).filter(e => e)
        .map(e => parseFloat(getComputedStyle(e).fontSize));
    if (sizes.some((size, k) => k && size >= sizes[k - 1])) found.push('headings of ' + sizes + ' px');
    for (const image of article.querySelectorAll('figure img'))
        if (image.width < Math.min(image.getAttribute('width'), 600))
            found.push(image.alt.slice(0, 40) + ' is ' + image.width + ' px wide');
    return found;
})()"""
# what a cell printed and a wide window cuts
CUT_OUTPUTS = """[...document.querySelectorAll('.cell_output pre, article table')].filter(
    e => e.checkVisibility() && e.scrollWidth > e.closest('div').clientWidth + 1).map(
    e => e.textContent.slice(0, 60))"""
SHIFTS = """new Promise(done => {
    new PerformanceObserver(list => done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
        .observe({type: 'layout-shift', buffered: true});
    setTimeout(() => done(0), 100);
})"""
FOCUSABLE = """[...document.querySelectorAll('a[href], button, summary, input, select')].filter(
    e => e.checkVisibility({visibilityProperty: true}) && !e.disabled && e.tabIndex >= 0
         && e.getClientRects().length).length"""

REACHED = "[...reached].filter(e => e.matches('a[href], button, summary, input, select')).length"


def local(address):
    return address.startswith(("file:", "data:", "blob:", "about:"))


@functools.cache
def parsed(path):
    """A page's BeautifulSoup; nobody changes it."""
    return BeautifulSoup(path.read_text(), "html.parser")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "site"
    hosted = ("COURSE_REPOSITORY", "COURSE_HUB")
    made = subprocess.run(
        [sys.executable, "-m", "course.publish.site", "--to", folder], cwd=site.ROOT, capture_output=True,
        env={name: value for name, value in os.environ.items() if name not in hosted}, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


@pytest.fixture(scope="module")
def html_pages(built):
    return [path for path in sorted(built.rglob("*.html")) if "_static" not in path.parts]


def test_every_notebook_has_a_page_a_download_and_neighbours(built):
    for path in all_notebooks():
        name = path.relative_to(NOTEBOOKS)
        soup = parsed(built / name.with_suffix(".html"))
        assert soup.find("a", download=True)["href"] == f"../student/{name.as_posix()}"
        copy = nbformat.read(built / "student" / name, 4)
        assert copy.cells == equipped(contract.student_copy(nbformat.read(path, 4))).cells
        assert soup.select("a.left-prev, a.right-next")


def test_no_line_of_a_solution_is_on_the_site(built):
    for path in all_notebooks():
        text = parsed(built / path.relative_to(NOTEBOOKS).with_suffix(".html")).get_text()
        book = nbformat.read(path, 4)
        kept = "".join(cell.source for cell in contract.student_copy(book).cells)
        for exercise in contract.exercises(book):
            for found in contract.SOLUTION.finditer(exercise.source):
                lines = [line.strip() for line in found[0].splitlines() if "### " not in line]
                for line in lines:
                    if len(line) > 25 and line not in kept:
                        assert line not in text, f"{path.stem}: {line}"


def test_hints_are_folded_and_mathematics_is_written_out(built):
    soup = parsed(built / "1_wholesale" / "12_anomalies.html")
    hints = [tag for tag in soup.find_all("details") if tag.summary and "Hint" in tag.summary.get_text()]
    assert len(hints) >= 4
    assert not any(tag.has_attr("open") for tag in hints)
    assert len(soup.find_all("math")) > 10
    assert "$" not in re.sub(r"<(pre|code|math|script)\b.*?</\1>", "", str(soup.article), flags=re.DOTALL)


def test_every_page_has_one_file_of_styles_with_the_icons_that_are_drawn(built, html_pages):
    sheet = (built / "_static" / finish.ALL).read_text()
    assert len(sheet) < 400_000
    for path in html_pages:
        soup = parsed(path)
        assert len(soup.select('link[rel="stylesheet"]')) == 1, path.name
        assert soup.select('link[rel="icon"]'), path.name
        for icon in soup.select("[class*=fa-]"):
            named = [name for name in icon["class"] if f".{name}{{--fa:" in sheet or f".{name}," in sheet]
            assert named, f"{path.name}: {icon['class']}"
    assert "@import" not in sheet
    assert ".formula-end" in sheet


def test_no_page_shows_what_python_calls_a_thing(html_pages):
    for path in html_pages:
        text = parsed(path).article
        found = re.search(r"\(children=\(|\w at 0x[0-9a-f]+>|PosixPath\(", text.get_text() if text else "")
        assert not found, f"{path.name}: {found[0]}"


@pytest.mark.parametrize("formula", [r"\frac{1", r"\unheardof{x}"])
def test_a_formula_that_cannot_be_drawn_stops_the_build(formula, tmp_path, monkeypatch):
    (tmp_path / "bad.md").write_text(f"# Bad\n\nLook: ${formula}$\n")
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr("course.publish.pages.ROOT", tmp_path)
    (tmp_path / "README.md").write_text("# R\n")
    (tmp_path / "helpers").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    with pytest.raises(PageError, match=r"guide/bad.md:3"):
        site.build(tmp_path / "site", Hosting(), notebooks=[], documents={"bad": "bad.md"})


@pytest.fixture(scope="module")
def address(built):
    """The site served on this machine only."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(built)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_every_page_loads_from_a_plain_folder_without_an_error_or_a_call_elsewhere(browser, html_pages):
    said = []
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not local(request.url) else None)
    for path in html_pages:
        page.goto(path.as_uri())
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 390:
            said.append(f"{path.name} is {width} px wide")
        said += [f"{path.name}: {what}" for what in page.evaluate(AMISS)]
        said += [f"{path.name}: {heading} is cut" for heading in page.evaluate(CUT_HEADINGS)]
        said += [f"{path.name}: {words} is broken within a word" for words in page.evaluate(BROKEN_WORDS)]
        if flat := page.evaluate(FLAT_FORMULAS):
            said.append(f"{path.name}: {flat} formulas are not drawn")
    page.close()
    assert said == []


def kinds_and_share(built, pages):
    """The pages that axe reads now: one of each folder, the start page and an eighth of the others."""
    first = {path.parent: path for path in reversed(pages)}.values()
    return [path for path in pages if path in {built / "index.html", *first, *share(pages, 8)}]


def test_a_wide_page_stays_in_place_and_axe_finds_no_serious_violation(browser, address, built, html_pages):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found, read = [], kinds_and_share(built, html_pages)
    in_turn = share(read, 7)  # with their code, and in the dark scheme
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1300, "height": 1000}, color_scheme=scheme)
        for path in html_pages if scheme == "light" else in_turn:
            page.goto(f"{address}/{path.relative_to(built).as_posix()}")
            if (moved := page.evaluate(SHIFTS)) > 0.01:
                found.append(f"{path.name} {scheme}: what is read moves while the page loads ({moved:.2f})")
            if scheme == "light":
                found += [f"{path.name}: {text} is cut" for text in page.evaluate(CUT_OUTPUTS)]
            if path not in read:
                continue
            # the thousand coloured words of a page's code are the same five colours on every page
            context = None if path in in_turn else {"exclude": [[".highlight"]]}
            result = axe.run(page, context, {"resultTypes": ["violations"]})
            for violation in result.response["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    where = violation["nodes"][0]["html"][:120]
                    found.append(f"{path.name} {scheme}: {violation['id']} {where}")
        page.close()
    assert found == []


@pytest.mark.parametrize(
    ("words", "page_title"),
    [
        ("softmin", "12 Finding unusual customers"),
        ("gradcam", "34 Sensitivity"),
        ("Grad-CAM", "34 Sensitivity"),
        ("Holm", "11 Meet the customers"),
        ("saliency map", "Glossary"),
        ("schutt", "References"),
    ],
)
def test_the_search_finds_a_word_as_it_is_typed_without_a_network(words, page_title, browser, built):
    page = browser.new_page()
    page.goto((built / "search.html").as_uri() + f"?q={words.replace(' ', '+')}")
    page.wait_for_selector("#search-results li")
    assert page_title in page.inner_text("#search-results")
    page.close()


def test_code_is_not_cut_on_a_wide_screen_and_prose_keeps_a_line_to_follow(browser, built):
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.goto((built / "1_wholesale" / "12_anomalies.html").as_uri())
    cut = page.evaluate("""[...document.querySelectorAll('article pre')].filter(
        e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1).length""")
    widest = page.evaluate("""Math.max(...[...document.querySelectorAll('article p')].map(
        e => e.clientWidth / parseFloat(getComputedStyle(e).fontSize)))""")
    page.close()
    assert cut <= 5
    assert widest <= 46


@pytest.mark.parametrize("name", ["index.html", "api/helpers.lrp.html", "1_wholesale/12_anomalies.html"])
def test_the_keyboard_alone_reaches_every_link_of_a_page(name, browser, built):
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.goto((built / name).as_uri())
    wanted = page.evaluate(FOCUSABLE)
    page.evaluate("reached = new Set(); document.addEventListener('focusin', e => reached.add(e.target))")
    for count in range(1, 2 * wanted + 101):
        page.keyboard.press("Tab")
        if count % 50 == 0 and page.evaluate(REACHED) >= wanted:
            break
    reached = page.evaluate(REACHED)
    negative = page.evaluate("document.querySelectorAll('article a[tabindex=\"-1\"]').length")
    page.close()
    assert negative == 0
    assert reached >= wanted
