"""Kernels of environments and their regression against plain loops and other libraries."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import manhattan_distances, rbf_kernel

from helpers import descriptors, kernels
from tests.helpers.test_descriptors import COSINES, CUTOFF, LEGS, NEAR, random_molecules, spread


def test_city_block_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2 * kernels.ROWS + 7, 6)), rng.normal(size=(9, 6))
    np.testing.assert_allclose(kernels.city_block(X, Y), manhattan_distances(X, Y), rtol=1e-6)
    np.testing.assert_allclose(kernels.city_block(X), manhattan_distances(X), rtol=1e-6)
    assert kernels.city_block(X).dtype == np.float32


@pytest.mark.parametrize("block", [1, 3, 32])
def test_environment_kernel_equals_a_plain_loop(block):
    x, molecule, element = spread(random_molecules(12, seed=5))
    expected = np.zeros((13, 13))
    for i in range(len(x)):
        for j in range(len(x)):
            if element[i] == element[j]:
                expected[molecule[i], molecule[j]] += np.exp(-((x[i] - x[j]) ** 2).sum() / (2 * 1.5**2))
    found = kernels.environment_kernel(x, molecule, element, 13, 1.5, block)  # the 13th has no atoms
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.linalg.eigvalsh(found).min() > -1e-6  # a sum of kernels is a kernel


def test_compress_keeps_the_distances_between_atoms_of_one_element():
    found = descriptors.environments(random_molecules(20), NEAR, COSINES, LEGS, (6.0, CUTOFF))
    short = kernels.compress(found, found.features.shape[1])
    same = found.element == 1
    distance = lambda x: np.linalg.norm(x[same][:, None] - x[same], axis=-1)
    np.testing.assert_allclose(distance(short), distance(found.features), atol=2e-3)
    assert kernels.compress(found, 3).shape == (len(found.features), 3)
    np.testing.assert_allclose(kernels.compress(found, 1)[:, 0], kernels.compress(found, 3)[:, 0], rtol=1e-5)
    assert (distance(kernels.compress(found, 3)) <= distance(found.features) + 1e-3).all()


def test_compress_gives_the_leading_principal_components_of_each_element():
    found = descriptors.environments(random_molecules(20), NEAR, COSINES, LEGS, (6.0, CUTOFF))
    short = kernels.compress(found, 3)
    for element in np.unique(found.element):
        rows = found.element == element
        theirs = PCA(3, svd_solver="full").fit_transform(found.features[rows].astype(float))
        signs = np.sign((short[rows] * theirs).sum(0))
        np.testing.assert_allclose(short[rows] * signs, theirs, atol=2e-3)


def test_kernel_ridge_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    X, t, new = rng.normal(size=(40, 3)), rng.normal(size=40), rng.normal(size=(5, 3))
    theirs = KernelRidge(alpha=0.1, kernel="rbf", gamma=0.5).fit(X, t).predict(new)
    alpha = kernels.kernel_ridge(rbf_kernel(X, gamma=0.5), t, 0.1)
    np.testing.assert_allclose(rbf_kernel(new, X, gamma=0.5) @ alpha, theirs, atol=1e-10)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_a_kernel_matrix_is_overwritten_only_where_that_is_said(precision):
    X, t = np.random.default_rng(1).normal(size=(30, 3)), np.arange(30.0)
    K = rbf_kernel(X).astype(precision)
    kept = K.copy()
    alpha = kernels.kernel_ridge(K, t, 0.1)
    np.testing.assert_array_equal(K, kept)
    np.testing.assert_allclose(kernels.kernel_ridge(K, t, 0.1, overwrite=True), alpha, rtol=1e-4)
    assert not np.array_equal(K, kept)


def test_new_molecules_have_the_kernel_that_they_have_in_one_set_with_the_known():
    around = descriptors.environments(random_molecules(40), NEAR, COSINES, LEGS, (6.0, CUTOFF))
    both = kernels.environment_kernel(around.features, around.molecule, around.element, 40, 1.7)
    old, late = around.molecule < 29, around.molecule >= 29
    new = around.features[late], around.molecule[late] - 29, around.element[late], 11
    known = around.features[old], around.molecule[old], around.element[old], 29
    for block in (1, 32):
        np.testing.assert_allclose(kernels.kernel_between(new, known, 1.7, block), both[29:, :29], rtol=1e-6)
        np.testing.assert_array_equal(kernels.unchecked_between(new, known, 1.7, block),
                                      kernels.kernel_between(new, known, 1.7, block))
    t = np.random.default_rng(0).normal(size=29)
    alpha = kernels.kernel_ridge(both[:29, :29], t, 0.5)
    theirs = KernelRidge(alpha=0.5, kernel="precomputed").fit(both[:29, :29], t).predict(both[29:, :29])
    np.testing.assert_allclose(kernels.kernel_between(new, known, 1.7) @ alpha, theirs, rtol=1e-5)


def test_new_molecules_are_compressed_on_the_axes_of_the_known():
    around = descriptors.environments(random_molecules(40), NEAR, COSINES, LEGS, (6.0, CUTOFF))
    part = lambda rows: SimpleNamespace(features=around.features[rows], element=around.element[rows])
    old, late = part(around.molecule < 29), part(around.molecule >= 29)
    np.testing.assert_array_equal(kernels.compress(old, 4, axes_of=old), kernels.compress(old, 4))
    more = kernels.principal_axes(old, 6)  # kept for several sizes: the leading ones are taken
    np.testing.assert_array_equal(kernels.compress(old, 4, axes_of=more), kernels.compress(old, 4))
    found, element = kernels.compress(late, 4, axes_of=old), 1
    theirs = PCA(4, svd_solver="full").fit(old.features[old.element == element].astype(float))
    expected = theirs.transform(late.features[late.element == element].astype(float))
    signs = np.sign((found[late.element == element] * expected).sum(0))
    np.testing.assert_allclose(found[late.element == element] * signs, expected, atol=5e-3)
    with pytest.raises(ValueError, match="axes_of: holds no atom of element 4"):
        kernels.compress(SimpleNamespace(features=around.features[:1], element=np.array([4])), 2,
                         axes_of=part(around.element != 4))


def test_bad_kernels_are_refused():
    X = np.ones((4, 2))
    with pytest.raises(ValueError, match="sigma"):
        kernels.environment_kernel(X, [0, 1, 2, 3], [1] * 4, 4, 0.0)
    with pytest.raises(ValueError, match="Y"):
        kernels.city_block(X, np.ones((4, 3)))
    with pytest.raises(ValueError, match="lam"):
        kernels.kernel_ridge(np.eye(3), np.ones(3), -1)
    with pytest.raises(ValueError, match="lam"):
        kernels.kernel_ridge(-np.eye(3), np.ones(3), 0.0)
    with pytest.raises(ValueError, match="molecule"):
        kernels.environment_kernel(X, [0, 1, 2, 9], [1] * 4, 4, 1.0)
    with pytest.raises(ValueError, match="equal lengths"):
        kernels.environment_kernel(X, [0, 1], [1] * 4, 4, 1.0)
    with pytest.raises(ValueError, match="size"):
        kernels.compress(SimpleNamespace(features=X, element=np.zeros(4)), 3)


def test_distances_in_a_kernels_own_space():
    """The distance of feature vectors, and zero where rounding would put it below."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    found = kernels.squared_distances(x @ y.T, (x * x).sum(1), (y * y).sum(1))
    np.testing.assert_allclose(found, ((x[:, None] - y) ** 2).sum(-1), rtol=1e-10)
    assert kernels.squared_distances([[1.0 + 1e-15]], [1.0], [1.0]) == 0


def test_axes_that_do_not_fit_are_refused():
    around = descriptors.environments(random_molecules(20), NEAR, COSINES, LEGS, (6.0, CUTOFF))
    few = kernels.principal_axes(around, 2)
    for size in (3, 0, -1, 1.5, True):
        with pytest.raises(ValueError, match=f"^size: {size} is not allowed; give 1 to 2, the axes of"):
            kernels.compress(around, size, axes_of=few)
    with pytest.raises(ValueError, match="^size: 1.5 is not allowed; give 1 to"):
        kernels.principal_axes(around, 1.5)
    narrow = SimpleNamespace(features=around.features[:, :1], element=around.element)
    with pytest.raises(ValueError, match="^axes_of: it has .* features; allowed are 1, as environments has"):
        kernels.compress(narrow, 1, axes_of=few)


def test_rows_of_no_molecule_and_gaps_are_refused_on_both_sides():
    x, good = np.arange(8.0).reshape(4, 2), (np.arange(8.0).reshape(4, 2), [0, 0, 1, 1], [1, 2, 1, 2], 2)
    assert kernels.kernel_between(good, good, 1.0).shape == (2, 2)
    for bad, says in (((x, [0, 0, 1, -1], [1, 2, 1, 2], 2), "^molecule: -1 to 1 is not allowed; give 0 to 1"),
                      ((x, [0, 0, 1, 2], [1, 2, 1, 2], 2), "^molecule: 0 to 2 is not allowed; give 0 to 1"),
                      ((x, [0, 0, 1], [1, 2, 1, 2], 2), "^molecule: lengths 4, 3, 4 .* equal lengths"),
                      ((x * np.nan, *good[1:]), r"value nan at \[0, 0\]; allowed are finite numbers"),
                      ((np.ma.masked_less(x, 1), *good[1:]), "1 values are masked")):
        for sides in ((bad, good), (good, bad)):
            with pytest.raises(ValueError, match=says):
                kernels.kernel_between(*sides, 1.0)
    for X in (np.full((3, 2), np.nan), np.ma.masked_less(x, 1)):
        with pytest.raises(ValueError, match="^X: "):
            kernels.city_block(X)


def test_a_matrix_may_be_a_list_or_a_frame_and_is_named_where_it_does_not_fit():
    K, t = rbf_kernel(np.arange(4.0)[:, None]), np.arange(4.0)
    alpha = kernels.kernel_ridge(K, t, 0.1)
    for form in (K.tolist(), pd.DataFrame(K)):
        np.testing.assert_array_equal(kernels.kernel_ridge(form, t, 0.1), alpha)
    holed = np.where(np.eye(4)[::-1] > 0, np.nan, K)
    for bad, says in ((K[:3], r"^K: type float64, shape \(3, 4\) is not allowed; give numbers \(n, n\)"),
                      (K.astype(str), "^K: type <U.*, shape"), (np.ma.masked_less(K, 0.1), "^K: .* masked"),
                      (np.triu(K), r"^K: \[0, 1\] is 0\.\d+ and \[1, 0\] 0; allowed is a symmetric matrix"),
                      (holed, "^K: some values are NaN or infinite"), (K * np.inf, "^K: some values")):
        for function in (kernels.kernel_ridge, kernels.leave_one_out):
            with pytest.raises(ValueError, match=says):
                function(bad, t[:len(bad)], 0.1)
    for bad, says in ((t[:3], r"^t: shape \(3,\) does not match K; allowed are \(4,\) and \(4, k\)"),
                      (t * np.nan, r"^t: value nan at \[0\]")):
        for function in (kernels.kernel_ridge, kernels.leave_one_out):
            with pytest.raises(ValueError, match=says):
                function(K, bad, 0.1)
    with pytest.raises(ValueError, match="^lam: 'small' is not allowed"):
        kernels.kernel_ridge(K, t, "small")
