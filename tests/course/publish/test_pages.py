"""What becomes a page and what must not: each guard breaks on a page that is broken in just that way."""

import itertools
import re
from datetime import date

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

from course import contract
from course.commands import COMMANDS
from course.notebooks import NOTEBOOKS, ROOT, all_notebooks, find
from course.publish import copies, links, pages, site
from course.publish.mathml import overlined
from course.publish.pages import Hosting, PageError


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A function that breaks a copy of notebook 12 and makes its page."""

    def make(change):
        book = nbformat.read(find("12"), 4)
        change(book)
        path = tmp_path / find("12").relative_to(NOTEBOOKS)
        path.parent.mkdir()
        nbformat.write(book, path)
        monkeypatch.setattr(pages, "NOTEBOOKS", tmp_path)
        return pages.notebook_page(path, Hosting(), {})

    return make


def test_no_solution_and_no_hidden_check_is_on_a_page():
    found = 0
    for path in all_notebooks():
        source = nbformat.read(path, 4)
        text = nbformat.writes(pages.notebook_page(path, Hosting(), {}))
        assert contract.BEGIN not in text
        hidden = [cell.source for cell in source.cells if "hidden" in contract.tags(cell)]
        shown = [cell.source for cell in nbformat.reads(text, 4).cells]
        found += len(hidden)
        assert not set(hidden) & set(shown)
    assert found > 50


def test_an_unexecuted_cell_is_named(broken):
    def forget(book):
        next(cell for cell in book.cells if cell.cell_type == "code").execution_count = None

    with pytest.raises(PageError, match=r"12_anomalies.ipynb cell 1: was not executed; run make refresh"):
        broken(forget)


def test_a_picture_without_a_description_is_named(broken):
    def add(book):
        picture = nbformat.v4.new_output("display_data", data={"image/png": "iVBORw0KGgo="})
        cell = next(cell for cell in book.cells if cell.cell_type == "code")
        cell.outputs = [picture]

    with pytest.raises(PageError, match="12_anomalies.ipynb cell 1: a picture without a description"):
        broken(add)


def test_a_heading_that_stands_twice_is_named(broken):
    def repeat(book):
        book.cells.append(nbformat.v4.new_markdown_cell("## Again\n\n## Again"))

    with pytest.raises(PageError, match=r"12_anomalies.ipynb:\d+: the heading '## Again' stands already"):
        broken(repeat)


def test_a_comment_in_a_code_block_is_no_heading():
    pages.unique_headings("x.md", "# Title\n\n```sh\n# same\n# same\n```\n")


def test_a_broken_link_of_a_document_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "here.md").write_text("# Here\n\nSee [there](there.md).\n")
    with pytest.raises(PageError, match=r"here.md:3: broken link to there.md"):
        pages.document_page(tmp_path / "here.md", "guide/here.md", {}, Hosting())


def test_links_between_documents_lead_to_pages_and_others_to_the_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# Other\n")
    (tmp_path / "code.py").write_text("")
    (tmp_path / "here.md").write_text("# Here\n\n[a](other.md#part) [b](code.py) [c](https://example.org)\n")
    known = {"other.md": "guide/other.md"}
    text = pages.document_page(tmp_path / "here.md", "guide/here.md", known, Hosting("owner/name"))
    assert "[a](../guide/other.md#part)" in text
    assert "[b](https://github.com/owner/name/blob/HEAD/code.py)" in text
    assert "[c](https://example.org)" in text
    assert "](code.py)" not in pages.document_page(tmp_path / "here.md", "here.md", known, Hosting())


def test_buttons_stand_only_where_a_place_is_known():
    assert Hosting().buttons("1_wholesale/12_anomalies.ipynb") == []
    places = dict(Hosting("owner/name", "https://hub.example.org/").buttons("1_wholesale/12_anomalies.ipynb"))
    assert set(places) == {"Colab", "Binder", "JupyterHub"}
    assert places["Colab"] == (
        "https://colab.research.google.com/github/owner/name/blob/student/1_wholesale/12_anomalies.ipynb"
    )
    assert places["Binder"].startswith("https://mybinder.org/v2/gh/owner/name/student?urlpath=lab/tree/1_whole")
    assert places["JupyterHub"].startswith("https://hub.example.org/hub/user-redirect/git-pull?repo=https://g")


def test_every_picture_of_the_course_has_its_text_and_its_file():
    images = {}
    for path in all_notebooks():
        book = pages.notebook_page(path, Hosting(), images)
        for cell in book.cells:
            for output in cell.get("outputs", []):
                assert "image/png" not in output.get("data", {})
                shown = BeautifulSoup(output.get("data", {}).get("text/html", ""), "html.parser")
                for tag in shown.find_all("img"):
                    assert len(tag["alt"].split()) >= 5
                    assert tag.find_parent("figure").figcaption.get_text() == tag["alt"]
    assert len(images) >= 50
    assert all(picture.startswith(b"\x89PNG") for picture, _ in images.values())


def test_functions_without_a_docstring_do_not_stop_an_api_page():
    text = pages.module_page("helpers.anomalies")
    assert text.startswith("# helpers.anomalies")
    assert "softmin_scores(" in text


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ('<a href="gone.html">x</a>', "page.html:1: broken link to gone.html"),
        ('<a href="#gone">x</a>', "page.html:1: broken anchor #gone"),
        ('<p id="a"></p>\n<a href="page.html#b">x</a>', "page.html:2: broken anchor page.html#b"),
        ('<img src="data:,">', "page.html:1: picture data:, has no alternative text"),
        ('<img src="gone.png" alt="a b">', "page.html:1: img gone.png is not there"),
        ('<script src="https://example.org/x.js"></script>', "page.html:1: loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "page.html:1: loads //example.org/x.css from"),
    ],
)
def test_what_a_finished_page_must_not_hold(tmp_path, page, said):
    (tmp_path / "page.html").write_text(page)
    found = links.problems(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(said)


def test_a_sound_page_has_no_problems(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text('<p id="x"></p><a href="sub/page.html#y">x</a>')
    (tmp_path / "sub" / "page.html").write_text('<p id="y"></p><a href="../index.html#x">x</a>')
    assert links.problems(tmp_path) == []


def test_every_document_of_the_site_is_there():
    for path in site.DOCUMENTS.values():
        assert (ROOT / path).exists(), path


def test_a_class_shows_its_methods_and_a_long_call_an_argument_a_line():
    page = pages.module_page("helpers.predictor")
    assert "## EnergyModel\n" in page
    assert "### EnergyModel.predict\n\n```python\npredict(coordinates, charges, unit)\n```" in page
    assert "-> None" not in page
    for name in ("helpers.datasets", "helpers.descriptors", "helpers.files", "helpers.molecules"):
        calls = re.findall(r"```python\n(.+?)\n```", pages.module_page(name), re.DOTALL)
        assert max(len(line) for call in calls for line in call.splitlines()) <= 100
        assert "PosixPath" not in "".join(calls)


def test_the_contents_of_the_functions_say_what_each_module_is_for():
    page = pages.modules_page(["helpers.lrp"])
    assert "**[helpers.lrp](helpers.lrp.md)** LRP-gamma as gradient times input of a changed copy" in page
    assert "[Biased](helpers.lrp.md#biased), " in page
    assert "[biased](helpers.lrp.md#biased-1)" in page


def test_a_bar_over_a_formula_is_as_long_as_what_it_covers():
    text = overlined(r'<math><mover><mi>ab</mi><mo accent="true">&#x02015;</mo></mover></math>')
    assert text == '<math><mrow style="border-top: .06em solid"><mi>ab</mi></mrow></math>'
    assert overlined("<math><mi>&lt;</mi></math>") == "<math><mi>&lt;</mi></math>"


def test_a_docstring_is_shown_as_it_is_typed():
    def thing():
        """`preprocessing_of` of [x_1] is x_1 * 2."""

    assert list(pages.docstring(thing)) == [r"`preprocessing_of` of \[x\_1\] is x\_1 \* 2.", ""]


def test_the_start_page_begins_with_what_the_course_is():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert site.introduction(readme).startswith("A course on explainable machine learning")


def test_the_address_of_the_course_stands_in_one_place(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_REPOSITORY", raising=False)
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    citation = tmp_path / "CITATION.cff"
    citation.write_text("version: 1\n# repository-code: https://github.com/no/where\n", encoding="utf-8")
    assert Hosting.known() == Hosting()
    citation.write_text('repository-code: "https://github.com/owner/a.name.git"\n', encoding="utf-8")
    assert Hosting.known().repository == "owner/a.name"
    monkeypatch.setenv("COURSE_REPOSITORY", "other/place")
    assert Hosting.known().repository == "other/place"


def test_no_document_asks_the_reader_to_fill_in_an_address():
    for path in ["README.md", *site.DOCUMENTS.values()]:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not re.findall(r"<(?:this|its|your|address|the)\b[^>]*>", text), path


def test_the_documents_name_files_and_commands_that_exist():
    made = ("build/", "work/", "data/raw")  # by commands, not in the repository
    named = 0
    for path in ["README.md", *site.DOCUMENTS.values()]:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`((?:tests|docs|course|helpers|data|benchmarks|notebooks)/[\w./-]+)`", text):
            assert name.startswith(made) or (ROOT / name).exists(), f"{path}: {name}"
            named += 1
        for name in re.findall(r"(?:`|^)(?:make|python -m course) ([a-z][a-z-]*)", text, re.MULTILINE):
            assert name in (*COMMANDS, "help"), f"{path}: make {name}"
            named += 1
    assert named > 60


def test_every_command_that_is_written_down_takes_the_parameters_it_is_given():
    folders = (".github/workflows", ".devcontainer", ".binder", ".ci")
    files = [file for name in folders for file in sorted((ROOT / name).iterdir())]
    given = 0
    for file in [ROOT / name for name in ("README.md", *site.DOCUMENTS.values())] + files:
        text = file.read_text(encoding="utf-8")
        for line in re.findall(r"(?:make|python -m course) ((?:-\S+ )*[a-z][^`\n\"&#(]*)", text):
            known = lambda word: re.match(r"-|[A-Z_]+=", word) or word in COMMANDS
            words = [word for word in itertools.takewhile(known, line.split()) if word[0] != "-"]
            names = {word.partition("=")[0] for word in words if "=" in word}
            for command in (word for word in words if "=" not in word):
                assert names <= {*COMMANDS[command].parameters, "PYTHON"}, f"{file.name}: {command} {names}"
                given += len(names)
    assert given > 15


def test_the_start_page_says_how_to_cite_and_where_to_get_the_course():
    start = lambda repository: site.start_page([], {}, {}, copies.offer(repository, 12_400_000), "## Cite\n")
    assert "git clone" not in start("")
    assert f'href="student/{copies.ZIP}" download' in start("")
    assert "(12 MB)" in start("")
    assert "`git clone https://github.com/owner/name`" in start("owner/name")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert site.section(readme, "Cite").startswith("## Cite\n\nThe authors of Open the black box")


def test_the_citation_file_is_whole_and_says_what_the_other_files_say():
    text = lambda name: (ROOT / name).read_text(encoding="utf-8")
    cited = yaml.load(text("CITATION.cff"), yaml.BaseLoader)  # every value as it is written
    # what version 1.2.0 of the Citation File Format requires, and what it knows of the rest
    required = {"cff-version", "message", "title", "authors"}
    assert required <= set(cited)
    known = {"type", "version", "date-released", "license", "keywords", "repository-code", "url", "doi"}
    assert set(cited) <= required | known
    assert cited["cff-version"] == "1.2.0"
    assert cited["type"] in ("software", "dataset")
    assert cited["authors"]
    assert all(author.get("name") or author.get("family-names") for author in cited["authors"])
    assert len(set(cited["keywords"])) == len(cited["keywords"])
    year = str(date.fromisoformat(cited["date-released"]).year)
    assert f"## {cited['version']} ({cited['date-released']})" in text("CHANGELOG.md")
    assert f'version = "{cited["version"]}"' in text("pyproject.toml")
    assert f'license = "{cited["license"]}"' in text("pyproject.toml")
    said = " ".join(site.section(text("README.md"), "Cite").split())
    assert f"{cited['authors'][0]['name']} ({year}), *{cited['title']}*, version {cited['version']} " in said


def test_the_start_page_names_lessons_as_readme_does_and_no_seconds():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, members = site.by_series([find("26")], readme)["2_qm7"]
    page, name, learn, result = members[0]
    assert (page, name) == ("2_qm7/26_a_network_in_pytorch.ipynb", "26 a network in PyTorch")
    assert not re.search(r"\d s\b", learn)
    assert len(result) > 20


def test_a_word_with_a_hyphen_or_an_accent_is_found_without_it():
    words = pages.keywords("Grad-CAM of Schütt, k-means; 11-13 and snake_case-x")
    assert ":keywords: gradcam, kmeans, schutt\n" in words
    assert pages.keywords("plain words") == ""


def test_a_page_says_in_a_sentence_what_it_is():
    text = "# Title\n\n```sh\nCode is no sentence, however long it may be, in a block of its own\n```\n\n"
    text += "**Aim:** say *why* a customer is [unusual](12.ipynb) (which `spendings`, in which direction)."
    said = "Aim: say why a customer is unusual (which spendings, in which direction)."
    assert pages.description(text) == said
    assert f"   :description: {said}\n" in pages.keywords(text)
    assert len(pages.description("A" + " word" * 100)) <= 161
    assert pages.description("# Title\n\n- a list") == ""
