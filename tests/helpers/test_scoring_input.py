"""helpers.scoring: what is masked, missing, of another length or no level is refused in one line."""

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import scoring

SCORES, LABELS = [0.1, 0.4, 0.2, 0.9], [False, True, False, True]
HEATMAP = np.arange(1.0, 10).reshape(1, 3, 3)
HIDDEN = np.ma.masked_greater(HEATMAP, 8)


@pytest.mark.parametrize("function", [
    lambda **given: scoring.auc_interval(SCORES, LABELS, **given),
    lambda **given: scoring.auc_difference(SCORES, SCORES[::-1], LABELS, **given),
    lambda **given: scoring.mean_interval(SCORES, **given),
])
@pytest.mark.parametrize(("given", "says"), [
    ({"groups": [1, 2, 3]}, r"^groups: shape \(3,\) is not allowed; give \(4,\)"),
    ({"groups": [(1, 1)] * 4}, r"^groups: shape \(4, 2\) is not allowed"),
    ({"groups": [1, np.nan, np.nan, 2]}, r"^groups: 2 are missing, the first at \[1\]; give a name to each"),
    ({"groups": ["a", "b", None, "c"]}, r"^groups: 1 are missing, the first at \[2\]"),
    ({"groups": pd.Series(["a", "b", pd.NA, "c"], dtype="string")}, r"^groups: 1 are missing"),
    ({"groups": np.ma.masked_array([1, 2, 3, 4], [0, 0, 0, 1])}, r"^groups: 1 are missing, .* \[3\]"),
    ({"groups": ["a", "b", np.nan, "c"]}, r"^groups: 1 are missing, the first at \[2\]"),
    ({"groups": [1, "a", "b", 2]}, "^groups: 'a' and 1 differ in type; give words alone or numbers alone"),
    ({"groups": pd.Series([1, "a", "b", 2])}, "^groups: 'a' and 1 differ in type"),
    ({"groups": [[1], [1, 2], [3], [4]]}, r"^groups: entries differ in length; give \(4,\)"),
    ({"level": 95}, "^level: 95 is not allowed; give a share between 0 and 1"),
    ({"level": "high"}, "^level: 'high' is not allowed"),
    ({"draws": 0}, "^draws: 0 is not allowed; give a whole number of at least 1"),
    ({"draws": 9.5}, "^draws: 9.5 is not allowed"),
    ({"seed": -1}, "^seed: -1 is not allowed; give a whole number of at least 0"),
    ({"seed": 1.5}, "^seed: 1.5 is not allowed"),
])
def test_intervals_refuse(function, given, says):
    with pytest.raises(ValueError, match=says):
        function(**given)


@pytest.mark.parametrize(("values", "given", "says"), [
    (np.ma.masked_array([1.0, 2.0, 1e9], [0, 0, 1]), {}, "^values: 1 values are masked; fill them"),
    ([1.0, np.nan], {}, r"^values: value nan at \[1\]; allowed are finite numbers"),
    (pd.Series([1, None, 2], dtype="Int64"), {}, r"^values: value nan at \[1\]"),
    ([], {}, r"^values: shape \(1, 0\) is not allowed; give \(n,\) or"),
    (np.ones((2, 2, 2)), {}, r"^values: shape \(2, 2, 2\) is not allowed"),
    ([1.0, 2.0], {"classes": ["a"]}, r"^classes: shape \(1,\) is not allowed; give \(2,\)"),
    ([1.0, 2.0], {"classes": ["a", None]}, "^classes: 1 are missing"),
])
def test_mean_interval_refuses(values, given, says):
    with pytest.raises(ValueError, match=says):
        scoring.mean_interval(values, **given)


def test_what_has_no_mask_and_any_type_of_name_is_taken():
    plain = scoring.mean_interval(SCORES, ["a", "a", "b", "c"])
    for values in (torch.tensor(SCORES, dtype=torch.float64), np.ma.masked_array(SCORES), pd.Series(SCORES)):
        assert scoring.mean_interval(values, pd.Categorical(["a", "a", "b", "c"])) == plain
    assert scoring.mean_interval(SCORES, torch.tensor([1, 1, 2, 3])) == plain


def test_labels_may_be_words_for_true_and_false_and_scores_may_have_gradients():
    expected = scoring.auc(SCORES, LABELS)
    for labels in (["False", "True", "False", "True"], np.array(LABELS, dtype=object), ["0", "1", "0", "1"]):
        assert scoring.auc(SCORES, labels) == expected
    assert scoring.auc(torch.tensor(SCORES, requires_grad=True), LABELS) == expected
    for labels in ([1j, 0, 1, 0], np.array([0, 1, 0, 1], "datetime64[s]")):
        with pytest.raises(ValueError, match="^labels: type (complex128|datetime64.s.) is not allowed; give"):
            scoring.auc(SCORES, labels)


LEAVES, SHOWN = np.zeros((2, 3, 9, 9), np.uint8), np.ones((2, 9, 9), bool)


def flipped(**given):
    return scoring.flipping_curve(len, torch.rand(1, 3, 3, 3), HEATMAP, torch.rand(1, 3, 3, 3), **given)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: scoring.leaf_masks(LEAVES, grow=-1), "^grow: -1 .* give a whole number of at least 0"),
    (lambda: scoring.leaf_masks(LEAVES, grow=1.5), "^grow: 1.5 is not allowed"),
    (lambda: scoring.leaf_masks(LEAVES / 255), "^cutouts: type float64 is not allowed; give uint8"),
    (lambda: scoring.leaf_masks(LEAVES.transpose(0, 2, 3, 1)), r"^cutouts: shape \(2, 9, 9, 3\) is not"),
    (lambda: scoring.paint_lesions(LEAVES / 255, SHOWN), "^images: type float64 is not allowed; give uint8"),
    (lambda: scoring.paint_lesions(LEAVES, SHOWN, seed=-1), "^seed: -1 is not allowed"),
    (lambda: flipped(shares=[0, 10, 50, 100]), r"^shares: \[0.0, 10.0, 50.0, 100.0\] is not allowed; give"),
    (lambda: flipped(shares=[-0.1, 1]), r"^shares: \[-0.1, 1.0\] is not allowed"),
    (lambda: flipped(shares=[]), r"^shares: \[\] is not allowed"),
    (lambda: flipped(patch=0), "^patch: 0 is not allowed; give a whole number of at least 1"),
    (lambda: scoring.conservation(HEATMAP.repeat(3, 0), np.ones((3, 1))), r"^scores: shape \(3, 1\) is"),
    (lambda: scoring.conservation(HEATMAP.repeat(3, 0), [1.0]), r"^scores: shape \(1,\) .* \(3,"),
    (lambda: scoring.conservation(HEATMAP, [0.0]), r"^scores: 0 at \[0\]; allowed are numbers to divide by"),
    (lambda: scoring.conservation(HIDDEN, [1.0]), "^heatmaps: 1 values are masked"),
    (lambda: scoring.relevance_mass(HIDDEN, HEATMAP > 5), "^heatmaps: 1 values are masked"),
    (lambda: scoring.pointing_game(HEATMAP, HIDDEN > 5), "^masks: 1 values are masked"),
    (lambda: scoring.relevance_rank(HEATMAP, HEATMAP * np.nan), "^masks: value nan at"),
    (lambda: scoring.flipping_curve(len, torch.rand(2, 3, 3, 3), HEATMAP, 0), "^images: shape .2, 3, 3"),
    (lambda: scoring.paint_lesions(np.zeros((2, 3, 9, 9), np.uint8), np.ones((1, 9, 9), bool)),
     r"^masks: shape \(1, 9, 9\) is not allowed; images have \(2, 3, 9, 9\)"),
])
def test_heatmaps_refuse(call, says):
    with pytest.raises(ValueError, match=says):
        call()
