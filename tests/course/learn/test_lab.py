"""A student's hour in the real JupyterLab, driven by the system's Chromium: open, run, answer, save.

And an author's minute in it, where nothing may be saved that nobody saved.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pytest

from course import contract
from course.learn.work import RECORD, RELEASED
from course.notebooks import NOTEBOOKS, ROOT, all_notebooks, find
from tests.turns import share

NOTEBOOK = "const book = jupyterapp.shell.currentWidget;"
READY = f"""async () => {{ {NOTEBOOK} await book.context.ready; await book.context.sessionContext.ready;
    return book.content.widgets.length }}"""
SET = f"""([id, source]) => {{ {NOTEBOOK}
    const cell = book.content.widgets.find(one => one.model.id === id);
    cell.model.sharedModel.setSource(source) }}"""
ACTIVATE = f"""id => {{ {NOTEBOOK}
    book.content.activeCellIndex = book.content.widgets.findIndex(one => one.model.id === id) }}"""
OUTPUTS = f"""ids => {{ {NOTEBOOK}
    return ids.map(id => book.content.widgets.find(one => one.model.id === id).model.outputs.toJSON()) }}"""
ANSWERED = f"""id => {{ {NOTEBOOK}
    const outputs = book.content.widgets.find(one => one.model.id === id).model.outputs.toJSON();
    return outputs.length > 0 && !JSON.stringify(outputs).includes(': checking ...') }}"""
CUT = """() => [...document.querySelectorAll('.jp-DirListing-itemText, .jp-DirListing-itemText span')]
    .filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth).map(one => one.textContent)"""
SAVED = "!jupyterapp.shell.currentWidget.context.model.dirty"
IDLE = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
SOURCE = f"""id => {{ {NOTEBOOK}
    return book.content.widgets.find(one => one.model.id === id).model.sharedModel.source }}"""
BESIDE = (  # one exercise right, one half right, one wrong, by their ids
    ("12", {"12.1": "right", "12.2": "def halfway_gamma(z, j):\n    return 0.1575",
            "12.3": "def softmin_of_blocks(blocks, gamma):\n    return 0.0"},
     {"12.1": "✔ correct", "12.2": "◐ partly", "12.3": "✘ incorrect", "12.4": "– not attempted"}),
    ("22", {"22.1": "right", "22.3": "def raw_slopes(w, x_mean, x_sd, t_mean, t_sd):\n"
                                     "    return w * t_sd / x_sd, 0.0",
            "22.2": "def ridge_weights(Z, T, alpha):\n    return helper(Z)"},
     {"22.1": "✔ correct", "22.2": "✘ incorrect", "22.3": "◐ partly", "22.4": "– not attempted"}),
    ("34", {"34.1": "right", "34.2": "def wrong_name():\n    pass"},
     {"34.1": "✔ correct", "34.2": "✘ incorrect", "34.3": "– not attempted"}),
)  # fmt: skip
TURN = share(BESIDE, 3)


@contextlib.contextmanager
def serving(folder, *module):
    """JupyterLab as a module of the course starts it, without a browser of its own; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *module, "--no-browser"]
    command += ["--allow-root", f"--ServerApp.port={port}", "--IdentityProvider.token="]
    command += ["--LabApp.expose_app_in_browser=True"]  # the test asks the page's own model
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(folder / "config")}
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 600  # other tests may need the processor as well
    while True:
        try:
            urllib.request.urlopen(f"{address}/api").close()
            break
        except OSError:
            ended = process.poll() is not None or time.monotonic() > end
            assert not ended, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(30)
    with pytest.raises(urllib.error.URLError, match="refused"):  # it ends with the command
        urllib.request.urlopen(f"{address}/api")


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """make learn; yields (address, folder of the copies)."""
    folder = tmp_path_factory.mktemp("learn")
    with serving(folder, "course.learn.start", "--to", str(folder / "work")) as address:
        yield address, folder / "work"


@pytest.fixture
def page(browser):
    """A page that notes every request that leaves this machine."""
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    elsewhere = []
    inside = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")
    opened.on("request", lambda one: None if one.url.startswith(inside) else elsewhere.append(one.url))
    opened.set_default_timeout(400_000)
    yield opened
    opened.close()
    assert elsewhere == []


def screenshot(page, name):
    """Keep a picture where COURSE_SCREENSHOTS says."""
    if folder := os.environ.get("COURSE_SCREENSHOTS"):
        page.screenshot(path=os.path.join(folder, f"{name}.png"))


def opened(page, address, name):
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook")
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady")
    page.evaluate(READY)


def save(page):
    """Save; where JupyterLab was saving by itself at the same time it asks which of the two to keep."""
    page.evaluate("void jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function(f"{SAVED} || document.querySelector('.jp-Dialog')")
    if page.locator(".jp-Dialog").count():
        screenshot(page, "two-saves")
        page.locator(".jp-Dialog button", has_text="Overwrite").click()
        page.wait_for_function(SAVED)


def said(page, identifier):
    outputs = page.evaluate(OUTPUTS, [identifier])[0]
    return "".join(one.get("data", {}).get("text/plain", "") for one in outputs)


def test_every_name_fits_into_the_file_browser(server, page):
    """Before anybody has moved a border: this test comes first."""
    address, _ = server
    page.goto(f"{address}/lab/tree/start.ipynb")
    page.wait_for_selector(".jp-Notebook")
    for folder in sorted({path.parent.name for path in all_notebooks()}):
        page.evaluate(f"jupyterapp.commands.execute('filebrowser:go-to-path', {{path: '{folder}'}})")
        page.wait_for_selector(f".jp-DirListing-itemName:has-text('{folder[0]}1_')")
        cut = page.evaluate(CUT)
        screenshot(page, f"files-{folder[0]}")
        assert cut == [], folder


@pytest.mark.parametrize(("number", "answers", "verdicts"), TURN, ids=[one[0] for one in TURN])
def test_a_lesson_from_run_all_to_the_next_day(server, page, number, answers, verdicts):
    address, folder = server
    source = nbformat.read(find(number), 4)
    solution = {exercise.id: exercise.source for exercise in contract.exercises(source)}
    name = find(number).relative_to(NOTEBOOKS).as_posix()
    opened(page, address, name)
    for exercise, answer in answers.items():
        text = solution[exercise] if answer == "right" else answer
        page.evaluate(SET, [f"exercise-{exercise.replace('.', '-')}", text])
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(ANSWERED, arg="points-so-far")  # the command itself ends at the first failed check
    for exercise, outcome in verdicts.items():
        text = said(page, f"self-check-{exercise.replace('.', '-')}")
        assert text.startswith(f"{exercise} {outcome}"), text
    assert f"{number}.1" in said(page, "points-so-far")
    page.evaluate(ACTIVATE, f"self-check-{number}-2")
    page.evaluate("jupyterapp.commands.execute('notebook:move-cursor-down')")
    page.wait_for_timeout(500)
    screenshot(page, f"lesson-{number}")
    save(page)

    opened(page, address, name)  # the next day: what was wanted is still there, and so is the work
    saved = nbformat.read(folder / name, 4)
    checks = [check for exercise in contract.exercises(source) for check in exercise.checks]
    for check in (one for one in checks if not one.hidden):
        stored = next(cell for cell in source.cells if cell.id == check.cell)
        kept = next(cell.source for cell in saved.cells if cell.id == f"wanted-{check.cell}")
        assert stored.outputs[0].text.rstrip("\n") in kept
    assert "YOUR CODE HERE" not in page.evaluate(SOURCE, f"exercise-{number}-1")
    points = json.loads((folder / ".course" / "points" / f"{number}.json").read_text())
    assert points[f"{number}.1"][1] == "correct"


def test_the_start_page_leads_to_a_lesson_and_an_answer_by_the_keyboard_alone(server, page):
    """Tab and arrow keys, Enter and Shift+Enter: from the start page to a green verdict."""
    address, _ = server
    opened(page, address, "start.ipynb")
    link = page.locator(".jp-RenderedMarkdown a", has_text="11 ").first
    link.wait_for()
    screenshot(page, "start")
    assert page.locator(".jp-RenderedMarkdown a").count() >= 19
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("11 "):
            break
    page.keyboard.press("Enter")
    page.wait_for_function("jupyterapp.shell.currentWidget?.context?.path?.includes('11_')")
    page.evaluate(READY)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Home")
    cells = page.evaluate(f"() => {{ {NOTEBOOK} return book.content.widgets.map(one => one.model.id) }}")
    answer = next(cell.source for cell in nbformat.read(find("11"), 4).cells if cell.id == "exercise-11-1")
    for identifier in cells:
        if identifier == "exercise-11-1":
            page.keyboard.press("Enter")
            page.keyboard.press("Control+A")
            page.keyboard.insert_text(answer)
        page.keyboard.press("Shift+Enter")
        if identifier == "self-check-11-1":
            break
    page.wait_for_function(ANSWERED, arg="self-check-11-1")
    assert said(page, "self-check-11-1").startswith("11.1 ✔ correct")


def run_cell(page, identifier):
    """Run one cell and wait until the kernel has answered."""
    page.evaluate(ACTIVATE, identifier)
    page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")
    page.wait_for_function(IDLE)


def test_mishaps_of_an_hour_lead_to_a_line(server, page):
    """A cell edited and not run, an answer below the line that raises, a word to look up."""
    address, folder = server
    name = find("11").relative_to(NOTEBOOKS).as_posix()
    source = nbformat.read(find("11"), 4)
    answer = next(cell.source for cell in source.cells if cell.id == "exercise-11-1")
    (folder / name).unlink()  # another test has worked in it
    nbformat.write(nbformat.read(folder / RECORD / RELEASED / name, 4), folder / name)
    opened(page, address, name)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(ANSWERED, arg="points-so-far")
    stub = page.evaluate(SOURCE, "exercise-11-1")
    page.evaluate(SET, ["exercise-11-1", f"{stub}\n    return 0"])
    run_cell(page, "exercise-11-1")
    run_cell(page, "self-check-11-1")
    assert "still stands in your cell, and nothing below it runs" in said(page, "self-check-11-1")
    page.evaluate(SET, ["exercise-11-1", answer])
    run_cell(page, "exercise-11-1")
    run_cell(page, "self-check-11-1")
    text = said(page, "self-check-11-1")
    assert text.startswith("11.1 ✔ correct")
    assert "as your cell ran at [" in text
    page.evaluate(SET, ["exercise-11-1", answer.replace("return ", "return 0 * ")])
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")  # saved by itself
    run_cell(page, "self-check-11-1")
    assert "Your cell was changed after it ran at [" in said(page, "self-check-11-1")
    screenshot(page, "edited-not-run")
    page.locator(".jp-RenderedMarkdown a:visible", has_text="glossary").first.click()
    page.wait_for_selector(".jp-MarkdownViewer h1:has-text('Glossary')")
    screenshot(page, "glossary")


def test_an_author_saves_and_nothing_else_does(browser, page, tmp_path):
    """An open source is written by Ctrl+S alone, and a user's own settings count beside that."""
    name = find("11").relative_to(NOTEBOOKS).as_posix()
    path = tmp_path / "notebooks" / name
    path.parent.mkdir(parents=True)
    before = find("11").read_bytes()
    path.write_bytes(before)
    folder = tmp_path / "config" / "lab" / "user-settings" / "@jupyterlab" / "docmanager-extension"
    folder.mkdir(parents=True)
    own = {"autosaveInterval": 1}  # seconds: if anything saved by itself, it would do so at once
    (folder / "plugin.jupyterlab-settings").write_text(json.dumps(own))
    with serving(tmp_path, "course.run.lab", f"--ServerApp.root_dir={tmp_path / 'notebooks'}") as address:
        asked = urllib.request.urlopen(f"{address}/lab/api/settings/@jupyterlab/docmanager-extension:plugin")
        found = json.load(asked)
        assert found["schema"]["properties"]["autosave"]["default"] is False
        assert found["settings"] == own
        opened(page, address, name)
        page.evaluate(SET, ["code-11-02", "changed = 1"])
        page.wait_for_timeout(4000)
        assert not page.evaluate(SAVED)
        assert path.read_bytes() == before
        save(page)
        assert b"changed = 1" in path.read_bytes()
    assert "nothing is saved by itself" in (tmp_path / "log").read_text()
