"""A table of one's own: read it, make it numbers, and say in its own columns and units what is unusual."""

import re
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, PowerTransformer, RobustScaler, StandardScaler

from helpers.anomalies import feature_relevance
from helpers.arguments import LARGEST, data_matrix, random_numbers, whole_number
from helpers.reading import read_table, texts  # noqa: F401 (read_table: for the users of this module)
from helpers.softmin import nearest_distances

FEWEST_ROWS, MOST_WORDS, SKEWED = 20, 20, 0.5  # rows of a table; words of a category; of quantiles
ID = re.compile(r"(?i:(?:^|[_\s.-])(?:id|nr|uuid)$|^unnamed: 0(?:\.\d+)*$"
                r"|^(?:index|key|zip|zip.?code|plz|postcode)$)|[a-z]I[Dd]$")
NUMBERED = re.compile(r"^Unnamed: \d+$|(?:^|[_\s.-])(?:[Nn]o\.?|(?i:num|number))$|(?i:nummer)$"
                      r"|[a-z](?:N[or]|Num|Number)$")  # NO is an oxide
DAY = re.compile(r"\d([./-])\d{1,2}\1\d\d|^\d{4}[/-]\d\d$|(?i:[a-z]{3}.*\d{4})")  # not "10-20" and "Mon"
MISSING_CODES = (-1, -9, -99, -999, -9999, 99, 999, 9999, 99999)


@dataclass(frozen=True)
class Prepared:
    """A table as numbers: X (n, d); owner (d,) the frame's column each belongs to; rows (n,) of the frame.

    left_out and steps: frames (what, count, reason) and (column, step), for a report. marks: a hash of each
    row of the frame, (n,), by which `explain` knows it again.
    """

    X: np.ndarray
    owner: np.ndarray
    rows: np.ndarray
    left_out: pd.DataFrame
    steps: pd.DataFrame
    marks: np.ndarray


def _marks(frame, owner, rows):
    """(n,) a hash of what the frame has in these rows, in the columns that became numbers."""
    return pd.util.hash_pandas_object(frame[list(dict.fromkeys(owner))].iloc[rows], index=False).to_numpy()


def prepare(frame, leave_out=(), most_rows=5000, seed=0):
    """Turn a frame into Prepared numbers by scikit-learn's transformers, column by column.

    Numbers: median for missing ones, standardised by median and quartiles, so that one extreme row neither
    hides itself nor shrinks the others; skewed ones by Yeo and Johnson's transformation first (Biometrika
    87:954, 2000), fitted between the 5 % and 95 % quantiles for the same reason, and straight beyond them
    where the bend would merge values or hide far ones; words: one 0/1 column each, "missing" a word of its
    own; a 0/1 column says where a number was missing. Rows that differ in a word are as far apart as two
    typical rows in a number.
    Left out: leave_out (one name or several), dates, columns that name or count rows, mix numbers with text,
    have one value, are mostly missing or say the same as another; rows with nothing in them; beyond most_rows
    a random choice stays. A number that may stand for a missing one (-999) is named in its step; infinite
    ones are missing, and what lies beyond 1e150 counts as 1e150, which its step says.
    Raises ValueError where too little is left, a name is no column, most_rows is below 20 or seed is none.
    """
    leave_out = leave_out if pd.api.types.is_list_like(leave_out) else [leave_out]
    _check(frame, leave_out, most_rows)
    given, infinite = frame, frame.isin([np.inf, -np.inf])
    frame = frame.mask(infinite)
    why = {name: "asked for" if name in leave_out else _why_not(name, frame[name]) for name in frame}
    kept = [name for name in frame if not why[name]]
    left_out = [(f"column {name}", 1, reason) for name, reason in why.items() if reason]
    left_out += [(f"values of {name}", count, "infinite, taken as missing")
                 for name, count in infinite[kept].sum().items() if count]
    empty = frame[kept].isna().all(axis=1).to_numpy() & bool(kept)
    rows = np.flatnonzero(~empty)
    left_out += [("rows", int(empty.sum()), "nothing in them")] * bool(empty.any())
    if not kept or len(rows) < FEWEST_ROWS:
        said = "; ".join(f"{what}: {reason}" for what, _, reason in left_out)
        raise ValueError(f"frame: {len(kept)} columns and {len(rows)} rows are left; needed are at least 1 "
                         f"column and {FEWEST_ROWS} rows" + (f" ({said})" if said else ""))
    if len(rows) > most_rows:
        left_out.append(("rows", len(rows) - most_rows, f"a random choice of {most_rows:,} stays"))
        rows = np.sort(random_numbers(seed).choice(rows, most_rows, replace=False))
    parts, steps = _numbers_of({name: frame[name].iloc[rows] for name in kept}, left_out)
    owner = np.repeat(np.array([*parts], dtype=object), [part.shape[1] for part in parts.values()])
    reasons = pd.DataFrame(left_out, columns=["what", "count", "reason"])
    done = pd.DataFrame(steps.items(), columns=["column", "step"])
    return Prepared(np.hstack([*parts.values()]), owner, rows, reasons, done, _marks(given, owner, rows))


def _check(frame, leave_out, most_rows):
    """Raise for no DataFrame, columns without names of their own or sparse, unknown names, too few rows."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"frame: {type(frame).__name__} is not allowed; give a pandas.DataFrame")
    if frame.columns.nlevels > 1 or frame.columns.hasnans:
        raise ValueError("frame: its columns have names of several levels, or none; give each one name")
    if frame.columns.has_duplicates:
        raise ValueError(f"frame: two columns are called {frame.columns[frame.columns.duplicated()][0]!r}; "
                         "allowed are different names")
    if any(isinstance(kind, pd.SparseDtype) for kind in frame.dtypes):
        raise ValueError("frame: some columns are sparse; give frame.sparse.to_dense()")
    for name in set(leave_out) - set(frame):
        raise ValueError(f"leave_out: {name!r} is no column; allowed are {', '.join(map(str, frame))}")
    whole_number("most_rows", most_rows, least=FEWEST_ROWS)


def _numbers_of(columns, left_out):
    """({name: numbers (n, k)}, {name: what was done}); copies of another column go to left_out."""
    parts, steps, first = {}, {}, {}
    for name, values in columns.items():
        part, step = _as_numbers(values)
        same = first.setdefault((part.round(6) + 0).tobytes(), name)
        if same == name:
            parts[name], steps[name] = part, step
        else:
            left_out.append((f"column {name}", 1, f"says the same as {same}"))
    return parts, steps


def _is_number(values):
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _why_not(name, values):
    """Why a column says nothing about what is unusual, or ""."""
    present = values.dropna()
    if pd.api.types.is_complex_dtype(values) or present.map(lambda value: hasattr(value, "__len__")
                                                            and not isinstance(value, str)).any():
        return "complex numbers, lists or the like"
    if 2 * len(present) < len(values):
        return f"{len(values) - len(present)} of {len(values)} values are missing"
    if present.nunique() <= 1:
        return "one value"
    if _is_number(values):
        return _why_not_numbers(str(name), present.to_numpy(dtype=float))
    if pd.api.types.is_datetime64_any_dtype(values):
        return "a date"
    words = texts(present)
    numbers = pd.to_numeric(words, errors="coerce").notna()
    if 0.5 < numbers.mean() < 1:
        return f"numbers mixed with text such as {words[~numbers].iloc[0]!r}; leave such cells empty"
    units = words.str.extract(r"^[-+]?([$€£¥]?)\s?[\d.,]+\s?([%$€£¥]?)$")
    if units.notna().all(axis=None) and len(units.drop_duplicates()) > 1:
        first, second = words[~units.duplicated()].iloc[:2]
        return f"numbers in several units such as {first!r} and {second!r}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas says that it guesses the format
        dates = pd.to_datetime(words, errors="coerce", format="mixed")
    if present.nunique() <= MOST_WORDS:
        days = dates.notna() & words.map(lambda word: bool(DAY.search(word)))
        return "a date" if days.mean() > 0.9 else ""
    if numbers.all():
        return f"numbers stored as text such as {words.iloc[0]!r}; pandas.to_numeric makes numbers of them"
    many = f"{present.nunique()} different texts such as {words.iloc[0]!r}: no number and no category"
    return "a date" if dates.notna().mean() > 0.9 else many


def _why_not_numbers(name, numbers):
    """Why numbers (n,) of a column say nothing about what is unusual, or ""."""
    if np.quantile(np.abs(numbers), 0.95) > LARGEST:
        return f"numbers beyond {LARGEST:g}; give them in a larger unit"
    if len(numbers) > 2 and np.unique(np.diff(numbers)).tolist() in ([1], [-1]):
        return "counts the rows"
    if (numbers != np.round(numbers)).any():
        return ""
    different = len(np.unique(numbers))
    if different > 2 and (ID.search(name) or different == len(numbers) and NUMBERED.search(name)):
        return "names the rows" if different == len(numbers) else "names what several rows belong to"
    if (numbers < 19000101).any() or (numbers > 21001231).any():
        return ""
    days = pd.Series(numbers.astype(int).astype(str))
    return "a date" if pd.to_datetime(days, format="%Y%m%d", errors="coerce").notna().all() else ""


def _as_numbers(values):
    """(numbers (n, k), what was done) of one column."""
    missing = values.isna().to_numpy()
    if _is_number(values):
        numbers = values.to_numpy(dtype=float, na_value=np.nan)[:, None]
        columns, step = _standardised(SimpleImputer(strategy="median").fit_transform(numbers))
        step += _missing_code(values.dropna())
        if missing.any():
            columns = np.column_stack([columns, missing])
            step += f"; {missing.sum()} missing, median and a 0/1 column"
        return columns, step
    words = values.astype(object).where(~missing, "missing").astype(str).to_numpy()[:, None]
    columns = OneHotEncoder(sparse_output=False).fit_transform(words)
    said = f"; {missing.sum()} missing, a word of its own" if missing.any() else ""
    return columns, f"{columns.shape[1]} words, a 0/1 column each{said}"


def _standardised(numbers):
    """(numbers (n, 1) of median 0 and quartiles as those of a standard normal variable, what was done)."""
    huge = np.abs(numbers) > LARGEST
    numbers = np.clip(numbers, -LARGEST, LARGEST)
    low, quarter, middle, rest, high = np.quantile(numbers, [0.05, 0.25, 0.5, 0.75, 0.95])
    robust = RobustScaler(unit_variance=True) if rest > quarter else StandardScaler()
    with np.errstate(all="ignore"):  # what overflows is not taken, or cut
        if 0 < rest - quarter < 1e-12:  # masses of atoms in kg, for scikit-learn the same as a constant
            return _standardised((numbers - middle) / (rest - quarter))
        skewed = abs(high + low - 2 * middle) > SKEWED * (high - low)
        if low == high:  # nearly all numbers are the same: the others set the scale
            low, high = np.quantile(numbers[numbers != middle], [0.25, 0.75])
            low, high = min(low, middle), max(high, middle)
        inside = np.clip(numbers, low, high)
        columns, done = robust.fit(inside).transform(numbers), "standardised"
        apart = np.unique(columns.round(6), return_index=True)[1]  # rows that a bend has to keep apart
        bends = {"Yeo-Johnson": _bent, "Yeo-Johnson from 5 % to 95 %": _bent_inside} if skewed else {}
        for how, bend in bends.items():
            within, bent = bend(numbers, inside, middle)
            finite = np.isfinite([*within, *bent]).all()
            bent = robust.fit(within).transform(bent) if finite else bent * np.nan
            if len(np.unique(bent[apart].round(9))) == len(apart):
                columns, done = bent, f"skewed: {how}, standardised"
                break
    done += f"; {huge.sum()} beyond {LARGEST:g}, taken as that" if huge.any() else ""
    return np.clip(columns, -LARGEST, LARGEST), done


def _bent(numbers, inside, middle):
    """(inside, numbers) (n, 1) in Yeo and Johnson's bend; NaN for numbers where it would hide far ones.

    A power below 0 or above 2 has a bound on one side, and lets far values on the other explode.
    """
    low, high = inside.min(), inside.max()
    power = PowerTransformer(standardize=False).fit(inside)
    far = ((numbers < 2 * low - high) | (numbers > 2 * high - low)).any()
    bent = power.transform(numbers)
    return power.transform(inside), bent * np.nan if far and not -0.5 <= power.lambdas_[0] <= 2.5 else bent


def _bent_inside(numbers, inside, middle):
    """The same in units of the width inside, and straight on beyond it: nothing merges, nothing explodes."""
    width = inside.max() - inside.min()
    unit = (inside - middle) / width
    power = PowerTransformer(standardize=False).fit(unit)
    slope = (1 + np.abs(unit)) ** (np.sign(unit) * (power.lambdas_[0] - 1))
    within = power.transform(unit)
    return within, within + slope * (numbers - inside) / width


def _missing_code(numbers):
    """What to say of numbers that stand apart, occur more than once and are usual codes for "missing"."""
    said = []
    while numbers.nunique() > 1:
        ends = numbers.min(), numbers.max()
        code = next((end for end in ends if _stands_for_missing(end, numbers)), None)
        if code is None:
            break
        said.append(f"{code:g} occurs {(numbers == code).sum()} times")
        numbers = numbers[numbers != code]
    return f"; {', '.join(said)}: missing? then leave those cells empty" if said else ""


def _stands_for_missing(code, numbers):
    low, high = numbers[numbers != code].quantile([0.25, 0.75])
    apart = not low - 3 * (high - low) <= code <= high + 3 * (high - low)
    return code in MISSING_CODES and (numbers == code).sum() > 1 and apart


def stiffness(X):
    """A gamma for softmin scores of X (n, d): 1 / median squared distance to the nearest, copies aside."""
    nearest = nearest_distances(data_matrix(X)) ** 2
    return 1 / float(np.median(nearest[nearest > 0])) if (nearest > 0).any() else 1.0


def _row_of(prepared, row):
    """ValueError where row is no row number of prepared.X."""
    whole = isinstance(row, (int, np.integer)) and not isinstance(row, bool)
    if not (whole and 0 <= row < len(prepared.X)):
        raise ValueError(f"row: {row!r} is not allowed; give a row number of prepared.X, 0 to "
                         f"{len(prepared.X) - 1}")


def row_relevance(x, others, gamma):
    """(d,) what each column adds to the softmin score of one row x (d,) against others (n, d).

    `anomalies.feature_relevance` of that row among the others; it sums to the score. Raises ValueError for
    other shapes.
    """
    x, others = np.asarray(x), np.asarray(others)
    if x.ndim != 1 or others.ndim != 2 or len(x) != others.shape[1]:
        raise ValueError(f"x: shape {x.shape} is not allowed; give (d,), with others (n, d), here "
                         f"{others.shape}")
    return feature_relevance(np.vstack([x, others]), gamma, rows=[0])[0]


def explain(frame, prepared, gamma, row, top=3, nearest=10):
    """What is unusual about one row, in the frame's own columns and units: a frame, the largest part first.

    row: of prepared.X. Columns: column, share of the score, value, nearest (median of the `nearest` rows, of
    words the commonest one) and words ("Frozen 36,534 against 3,000 among its nearest rows", "Region Oporto,
    as 2 of its 10 nearest rows"). Raises ValueError for another frame than `prepare` took, or one in another
    order, for no row of it, and where top or nearest is no whole number of at least 1.
    """
    X = prepared.X
    _row_of(prepared, row), whole_number("top", top), whole_number("nearest", nearest)
    if len(frame) <= prepared.rows.max() or not set(prepared.owner) <= set(frame) or not np.array_equal(
            _marks(frame, prepared.owner, prepared.rows), prepared.marks):
        raise ValueError("frame: its rows are not those of prepared, or in another order; give the frame "
                         "that prepare took")
    others = np.delete(np.arange(len(X)), row)
    relevance = row_relevance(X[row], X[others], gamma)
    share = pd.Series(relevance / max(relevance.sum(), 1e-300)).groupby(prepared.owner, sort=False).sum()
    close = others[np.argsort(cdist(X[row][None], X[others])[0], kind="stable")[:nearest]]
    found = []
    for name in share.sort_values(ascending=False, kind="stable").index[:top]:
        values = frame[name].iloc[prepared.rows]
        own, theirs = values.iloc[row], values.iloc[close].dropna()
        typical = theirs.median() if _is_number(values) else next(iter(theirs.mode()), None)
        usual = "missing" if theirs.empty else typical
        words = f"{name} {_said(own)} against {_said(usual)} among its nearest rows"
        if not _is_number(values):
            same = int((values.iloc[close].map(_said) == _said(own)).sum())
            words = f"{name} {_said(own)}, as {same} of its {len(close)} nearest rows"
        found.append((name, share[name], _said(own), _said(usual), words))
    return pd.DataFrame(found, columns=["column", "share", "value", "nearest", "words"])


def _said(value):
    """A value as one would write it: 36,534, 0.0312, missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "missing"
    if isinstance(value, str) or not isinstance(value, (int, float, np.number)) or isinstance(value, bool):
        return str(value)
    whole = abs(value) < 1e15 and (abs(value) >= 1000 or value == round(value))
    return f"{value:,.0f}" if whole else f"{value:.3g}"


def first_column_stability(prepared, gamma, row, resamples=100, seed=0):
    """(column, share): the column that leads the explanation of a row, and in which part of the half-samples
    of the other rows it leads again. Raises ValueError for no row of prepared.X, no resamples, no seed."""
    _row_of(prepared, row), whole_number("resamples", resamples)
    X, rng = prepared.X, random_numbers(seed)
    others = np.delete(np.arange(len(X)), row)

    def leader(against):
        parts = pd.Series(row_relevance(X[row], X[against], gamma)).groupby(prepared.owner, sort=False).sum()
        return parts.idxmax()

    first = leader(others)
    halves = [leader(rng.choice(others, len(others) // 2, replace=False)) for _ in range(resamples)]
    return first, halves.count(first) / resamples
