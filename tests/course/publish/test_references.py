"""Every work that a notebook cites is listed with a link, every word that it needs is in the glossary."""

import re

import nbformat
import pytest

from course.notebooks import ROOT, all_notebooks
from course.publish import references

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
# heading of an entry: **word, another** (12, 14) or (every notebook)
HEADWORDS = dict(re.findall(r"^\*\*(.+?)\*\* \((.+?)\)$", GLOSSARY, re.MULTILINE))
# names of things that a reader of notebooks knows, of data, of people's projects, and letters of formulas
NAMES = {"ABC", "AC", "ACB", "BA", "BAC", "BC", "QK", "JB", "CPU", "CRC", "GPU", "GPUs", "GraphNeT", "JSON",
         "JupyterLab", "LeCun", "MB", "NumPy", "PlantVillage", "PyTorch", "RDKit", "SciPy",
         "UCI"}  # fmt: skip
# what a beginner cannot know and some notebook uses; the glossary has more
WORDS = """
adjusted Rand index, anomaly score, attention, autoencoder, autograd, average precision, bagging,
bag of words, batch normalisation, bohr, boosting, bootstrap, Brier score, calibration, checkpoint,
Cholesky, composite, conservation, convolution, copula, core, counterfactual, Coulomb matrix,
covalent radius, cross-entropy, cross-validation, decision tree, dendrogram, difference of means,
domain-adversarial, dropout, early stopping, effect size, enrichment, ensemble, entropy, epoch,
evaluation mode, extrapolation, feature map, fine-tuning, flipping, Gaussian process, Gini,
gradient boosting, grid search, half-sample, hardmin, Holm, hook, hyper-parameter, independent component,
inertia, integrated gradients, isolation forest, Jaccard index, joint loss, k-means, k-medoids,
kernel ridge, lasso, layer normalisation, layer-wise relevance propagation, learning curve, learning rate,
leave-one-out, linkage, local outlier factor, logit, log-sum-exp, lookalike, Mahalanobis, Mann-Whitney,
margin, max-sensitivity, McNemar, mean absolute error, message passing, micro-average, mini-batch, min-max,
mixture, momentum, naive Bayes, occlusion, one-class SVM, partial dependence, perceptron, permutation,
perplexity, planted, pointing game, pooling, precision, principal component, random forest,
random projection, random search, recall, receptive field, regularisation, residual, ridge,
robust covariance, ROC, saliency, Shapley, silhouette, skewness, SmoothGrad, softmax, softmin, sparseness,
spectral clustering, standard error, stochastic gradient descent, stratified, stride, support vector,
tensor, transfer learning, transformer, trustworthiness, validation curve, weight decay"""


def prose(path):
    """A notebook's Markdown without references, code and formulas."""
    cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    text = references.PARAGRAPH.sub("", "\n\n".join(cells))
    return re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("path", all_notebooks(), ids=lambda path: path.name[:2])
def test_every_citation_of_a_notebook_means_one_work_of_the_list(path):
    cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    found = [citation for source in cells for citation in references.citations(source)]
    assert found
    for citation in found:
        works = references.cited(citation, references.known())
        assert len(works) == 1, f"{citation}: {len(works)} entries of docs/references.md"
    names = {references.surname(citation) for citation in found}
    said = set(re.findall(r"([A-Z]\w+) et al\.", prose(path)))
    assert said <= names, f"named in the text, not in the notebook's references: {said - names}"


def test_every_work_of_the_list_is_cited_and_stands_once():
    used = {work for path in all_notebooks() for work in references.cited_in(path, references.known())}
    assert [work.text[:60] for work in references.known() if work not in used] == []
    addresses = [work.address for work in references.known()]
    assert len(addresses) == len(set(addresses)) > 100


def test_initials_and_journals_do_not_part_a_citation():
    cell = """What we found.

**References.** H. P. Young, Int. J. Game Theory 14:65 (1985). A. Dempster, N. Laird, D. Rubin, J. R. Stat.
Soc. B 39:1 (1977), on EM. L. van der Maaten, G. Hinton, JMLR 9:2579 (2008)."""
    names = [references.surname(citation) for citation in references.citations(cell)]
    assert names == ["Young", "Dempster", "van der Maaten"]
    assert references.citations("no references here. A. Dempster, in a sentence.") == []


def test_a_citation_becomes_a_link_and_an_unknown_one_stays_as_it_is():
    first = "- A. One, [*First*](https://doi.org/1), J. 1:2 (2001).\n"
    entries = references.works(first + "- A. One, [*Second*](https://doi.org/2), J. 3:4 (2001).\n")
    text = references.linked("**References.** A. One, J. 3:4 (2001), on it. B. Two, K. 5:6 (2002).", entries)
    assert text == "**References.** [A. One, J. 3:4 (2001), on it](https://doi.org/2). B. Two, K. 5:6 (2002)."
    assert len(references.cited("A. One, book (2001)", entries)) == 2
    with pytest.raises(ValueError, match="no link to 'A. One, without"):
        references.works("- A. One, without (2001).\n")


def test_the_words_of_the_notebooks_are_in_the_glossary():
    text = " ".join(prose(path) for path in all_notebooks())
    short = set(re.findall(r"\b[A-Z][A-Za-z]*[A-Z][A-Za-z]*\b", text)) - NAMES
    assert len(short) > 20
    assert sorted(name for name in short if not re.search(rf"\b{name}s?\b", GLOSSARY)) == []
    heads = " | ".join(HEADWORDS).lower()
    words = [word.strip().lower() for word in WORDS.split(",")]
    assert [word for word in words if word not in heads] == []


def test_the_glossary_names_notebooks_that_use_the_word_and_is_in_order():
    assert len(HEADWORDS) == GLOSSARY.count("\n: ")
    assert list(HEADWORDS) == sorted(HEADWORDS, key=str.lower)
    texts = {path.name[:2]: " ".join(cell.source for cell in nbformat.read(path, 4).cells).lower()
             for path in all_notebooks()}  # fmt: skip
    for head, numbers in HEADWORDS.items():
        words = [word for word in re.findall(r"[A-Za-z][\w-]+", head) if len(word) > 3 or word.isupper()]
        stems = [word[:6].lower() for word in words]
        for number in numbers.split(", ") if numbers != "every notebook" else ():
            assert any(stem in texts[number] for stem in stems), f"{head}: not in notebook {number}"


def test_words_and_works_of_the_website_lead_to_their_notebooks():
    places = {"12": "../a/12_x.ipynb"}
    assert references.numbers_linked("**hook** (12, 99)\n: it (12)", places) == (
        "**hook** ([12](../a/12_x.ipynb), 99)\n: it (12)"
    )
    books = [path for path in all_notebooks() if path.name[:2] == "12"]
    listed = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
    text = references.with_notebooks(listed, books, places)
    assert "ICDM (2008). Cited in [12](../a/12_x.ipynb)." in text
    assert text.count("Cited in") == len(references.cited_in(books[0], references.known()))
