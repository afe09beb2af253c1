"""The sample's customers and molecules: rebuilt alike, close to what they stand for, teaching the same."""

import sys

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from helpers import anomalies, datasets, files, molecules, sources

FOLDER = files.ROOT / "data" / "sample"
sys.path.insert(0, str(FOLDER))
import make_customers  # noqa: E402

TOP_TEN = [338, 75, 154, 95, 142, 128, 187, 66, 109, 183]


@pytest.fixture(scope="module")
def customers():
    return datasets.load_wholesale(FOLDER / "customers.csv")


@pytest.fixture(scope="module")
def qm7():
    return datasets.load_qm7(FOLDER / "molecules.npz")


# --- customers


def test_rebuilt_customers_are_the_committed_ones(tmp_path):
    assert make_customers.main(tmp_path).read_bytes() == (FOLDER / "customers.csv").read_bytes()


def test_no_rebuilt_spending_stands_on_a_rounding_edge():
    """The logarithms of two processors differ in their last bits; that must not reach a printed unit."""
    for quantiles, shape, column in zip(
        make_customers.QUANTILES, make_customers.SHAPES, range(2, 8), strict=True
    ):
        fixed = np.array([row[column] for row in make_customers.PRINTED.values()])
        ranks = (np.arange(430) + 0.5) / 430
        levels = make_customers.levels_of(430, quantiles, fixed)
        spent = make_customers.marginal(ranks, quantiles, levels, shape)
        assert np.abs(spent % 1 - 0.5).min() > 1e-6


def test_the_shapes_of_the_margins_are_those_that_fit(customers):
    published = make_customers.NAMES, make_customers.QUANTILES, make_customers.MOMENTS
    for name, quantiles, moments, shape in zip(*published, make_customers.SHAPES, strict=True):
        fixed = customers.loc[sorted(make_customers.PRINTED), name].to_numpy()
        ranks = (np.arange(430) + 0.5) / 430
        assert np.allclose(make_customers.fit_shape(ranks, quantiles, moments, fixed), shape, rtol=0.02), name


def test_customers_have_the_published_marginals(customers):
    published = make_customers.NAMES, make_customers.QUANTILES, make_customers.MOMENTS
    for name, quantiles, moments in zip(*published, strict=True):
        spent = customers[name]
        assert np.allclose(spent.quantile([0.25, 0.5, 0.75]), quantiles[1:4], rtol=0.01), name
        assert np.allclose([spent.mean(), spent.std()], moments, rtol=0.02), name
    assert customers["Channel"].value_counts().to_dict() == {"Horeca": 298, "Retail": 142}
    assert customers["Region"].value_counts().to_dict() == {"Other": 316, "Lisbon": 77, "Oporto": 47}


def test_customers_correlate_as_the_real_ones(customers):
    try:
        real = datasets.load_wholesale(files.real_paths([sources.WHOLESALE])[0])
    except FileNotFoundError:
        pytest.skip("needs the real customers")
    ours, theirs = (spearmanr(frame[datasets.SPENDINGS]).statistic for frame in (customers, real))
    assert abs(ours - theirs).max() < 0.15
    same = (customers.astype(str) == real.astype(str)).all(axis=1)
    assert sorted(np.flatnonzero(same)) == sorted(TOP_TEN)  # nobody else's figures are in the sample


def test_the_ten_anomalies_of_course_reports_lead(customers):
    points = anomalies.log_offset(customers[datasets.SPENDINGS].to_numpy(float), 1)  # as in notebook 12
    assert set(np.argsort(-anomalies.softmin_scores(points, gamma=1.0))[:10]) == set(TOP_TEN)


# --- molecules


def test_rebuilt_molecules_are_the_committed_ones(tmp_path):
    pytest.importorskip("rdkit", reason="needs data/sample/requirements.txt")
    pytest.importorskip("tblite", reason="needs data/sample/requirements.txt")
    import make_molecules

    again, ours = np.load(make_molecules.main(tmp_path)), np.load(FOLDER / "molecules.npz")
    assert np.array_equal(again["charges"], ours["charges"])
    assert np.array_equal(again["folds"], ours["folds"])
    assert np.allclose(again["coordinates"], ours["coordinates"], atol=2e-4)
    assert np.allclose(again["energies"], ours["energies"], atol=0.01)


def test_molecules_are_chemistry(qm7):
    assert 1500 <= len(qm7.energies) <= 3000
    assert set(np.unique(qm7.charges)) == {0, 1, 6, 7, 8, 16}
    assert (qm7.charges > 1).sum(axis=1).max() == 7
    nearest = [pdist(r[z > 0]).min() for r, z in zip(qm7.coordinates, qm7.charges, strict=True)]
    assert 1.7 < min(nearest) < max(nearest) < 2.4  # bohr: O-H 1.81, H-H in CH4 3.4
    methane = np.flatnonzero((qm7.charges > 0).sum(axis=1) == 5)
    methane = [i for i in methane if sorted(qm7.charges[i][:5]) == [1, 1, 1, 1, 6]]
    assert len(methane) == 1
    assert abs(qm7.energies[methane[0]] + 507) < 1  # GFN2-xTB binds too strongly: PBE0 has -417


def test_folds_of_the_sample_are_stratified(qm7):
    means = [qm7.energies[fold].mean() for fold in qm7.folds]
    assert np.ptp(means) < 1


def test_pairs_beat_atoms_on_the_sample(qm7):
    test, train = qm7.folds[0], np.concatenate(qm7.folds[1:])
    centers = np.linspace(1, 11, 60)
    counts = molecules.composition(qm7.charges)
    pairs = molecules.pair_features(qm7, centers, 0.2)
    errors = []
    for features in (counts, np.hstack([counts, pairs])):
        model = RidgeCV([0.01, 0.1, 1]).fit(features[train], qm7.energies[train])
        errors.append(np.abs(model.predict(features[test]) - qm7.energies[test]).mean())
    assert errors[1] < errors[0] / 1.5
