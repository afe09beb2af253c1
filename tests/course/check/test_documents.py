"""README and the docs repeat of a notebook what it prints."""

import pytest

from course.check import documents


def test_what_the_pages_say_of_a_notebook_it_prints():
    assert documents.problems() == []
    assert len(list(documents.claims((documents.ROOT / "README.md").read_text("utf-8")))) > 25


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("15.70 ± 0.28", "15.73 ± 0.28"),
        ("15.70 ± 0.28", "15.70 ± 0.21"),
        ("MAE 1.20 kcal/mol", "MAE 1.20 eV"),
        ("for 7021, not", "for 7012, not"),
        ("orders 97 %", "orders 79 %"),
        ("and 0.51 on cut-outs", "and 0.59 on cut-outs"),
        ("ridge on the same 3.7 kcal/mol", "ridge on the same 4.0 kcal/mol"),
        ("AUC is still 0.97", "AUC is still 0.99"),
        ("AUC 0.99 on new", "AUC 0.97 on new"),
        ("from 0.91 (a tree", "from 0.89 (a tree"),
        ("2.22 to 1.89 bohr", "1.89 to 2.22 bohr"),
        ("0.94 on photographs and 0.51", "0.51 on photographs and 0.94"),
        ("2.81 ± 0.05", "0.05 ± 2.81"),
        ("fifteen colours", "sixteen colours"),
    ],
)
def test_a_changed_result_in_readmes_table_is_noticed(tmp_path, monkeypatch, old, new):
    root = documents.ROOT
    readme = (root / "README.md").read_text("utf-8")
    assert old in readme
    (tmp_path / "README.md").write_text(readme.replace(old, new), "utf-8")
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    monkeypatch.setattr(documents, "PAGES", ["README.md"])
    assert {page for page, *_ in documents.problems()} == {"README.md"}


def test_a_line_that_a_page_shows_of_a_notebook_is_read():
    page = "Of the wines, 41 says, in parts:\n\n```text\nsilhouette 0.27\n```\n"
    assert list(documents.claims(page)) == [("41", "silhouette 0.27")]
    assert list(documents.unsupported("41", "silhouette 0.28")) == ["0.28"]
