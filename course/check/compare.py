"""The one comparison of outputs, for maintainers, students and graders.

Words, integers and numbers without decimals must be the same. A float may differ by one unit of the last
digit that either text writes. What is bounded by nature (an AUC, a correlation) may not leave its bounds. A
cell widens that for single numbers with its metadata, and says why:

    tolerance: [{"after": "AUC", "atol": 0.03, "because": "five seeds of a training run move it so far"}]

A rule holds for the floats right of the first match of `after` (a regular expression) in each line; lines
without a match stay exact. Where a number is printed with its spread, "0.98 ± 0.01", no rule is wider than
that spread, and the spread, which a few runs know badly, moves by half of itself or five units of its last
digit at most; a value printed with its interval, "0.04 [0.02, 0.07]", stays in it. `"within": [0, 1]` says
what nature allows where the words of the output do not. Runs of blanks count as one: tables are aligned to
the width of their numbers.
"""

import math
import re
from dataclasses import dataclass

# A number is not part of a word (fire9), of a version (1.2.3) or of an address (0x7f). Without a point and an
# exponent it is an integer, and integers are compared as words.
NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?(?>\d+\.\d*|\.\d+|\d+)(?>[eE][-+]?\d+)?(?!\w|\.\d)")
EXACT = re.compile(r"[-+\u2212]?\d+\.?")  # integers, and numbers that NumPy prints as `N.`
BOUNDED = re.compile(r"(?<![a-z])(AUC|accuracy|correlation|cosine|precision|recall|share|silhouette|Rand\b|"
                     r"Jaccard|trust|probability)", re.IGNORECASE)  # fmt: skip
SIGNED = ("correlation", "cosine", "silhouette", "rand")  # from -1 on
# a title with one of these says that what follows is something else
UNBOUNDED = re.compile(r"(?<![a-z])(seconds|MAE|RMSE|MSE|error|loss|kcal|ratio|distance|sd|inertia|"
                       r"score)", re.IGNORECASE)  # fmt: skip
SPREAD = r"\s*(?:±|\+/-|\+-)\s*"
FLOAT = r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?"
INTERVAL = re.compile(rf"(?:({FLOAT})\s+)?\[({FLOAT}),\s*({FLOAT})\]")
PICTURE = re.compile(r"data:image/\w+;base64,[\w+/=]+")


@dataclass(frozen=True)
class Rule:
    """A tolerance for the floats after a match in each line; because: why one unit is not enough.

    within: (lowest, highest) value that the number can have, or nothing where the words around it say so.
    """

    after: str
    rtol: float = 0.0
    atol: float = 0.0
    because: str = ""
    within: tuple = ()


class BadTolerance(ValueError):
    """Tolerance metadata that is not allowed; the message says what is."""


def rules_of(metadata):
    """The Rules of a cell's metadata; raises BadTolerance with what is allowed.

    The older form, one {"rtol", "atol"} for the whole cell, counts as a rule for every line.
    """
    given = metadata.get("tolerance", [])
    if isinstance(given, dict):
        given = [{"after": "", "because": "the whole cell", **given}]
    try:
        rules = [Rule(**dict(one)) for one in given]
        for rule in rules:
            re.compile(rule.after)
            sizes = (rule.rtol, rule.atol)
            good = all(isinstance(value, (int, float)) and 0 <= value < math.inf for value in sizes)
            if not good or not rule.because or (rule.within and not rule.within[0] < rule.within[1]):
                raise ValueError
    except (TypeError, ValueError, IndexError, re.error):
        allowed = '[{"after": regular expression, "atol" or "rtol": number >= 0, "because": why}, ...]'
        raise BadTolerance(f"tolerance: {given!r} is not allowed; give {allowed}") from None
    return rules


def last_unit(number):
    """One unit of the last digit that is written: 0.01 for '3.14', 1e-7 for '1.23e-05', 1 for '3'."""
    mantissa, _, exponent = number.lower().partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def split_numbers(text):
    """Split a text into its words (blanks collapsed, floats replaced by a mark) and its floats."""
    floats = []

    def mark(match):
        if EXACT.fullmatch(match[0]):
            return match[0]
        floats.append(match[0].replace("\u2212", "-"))
        return "\0"

    return " ".join(NUMBER.sub(mark, text).split()), floats


def allowed(expected, found, rule=None, spread=math.inf):
    """How far two floats, as they are written, may be apart; spread: the printed one that no rule exceeds."""
    unit = min(last_unit(expected), last_unit(found))
    return max(unit, min(spread, rule.atol + rule.rtol * abs(float(expected))) if rule else 0.0)


def same_number(expected, found, rule=None, low=-math.inf, high=math.inf, spread=math.inf):
    """Whether two floats, as they are written, agree; low and high: what nature allows."""
    first, second = float(expected), float(found)
    if low <= first <= high and not low <= second <= high:
        return False
    # the products in `allowed` are rounded, so one unit must not fail by a rounding error of its own
    slack = allowed(expected, found, rule, spread) * (1 + 1e-6)
    return math.isclose(first, second, rel_tol=1e-12, abs_tol=slack)


def bounds(line, place, title="", rule=None):
    """What nature allows for the number at a place of a line: no spread below 0, an AUC in 0..1.

    title: the lines without floats above it, which name the numbers where the line does not.
    """
    if re.search(SPREAD + "$", line[:place]):
        return 0.0, math.inf
    if rule and rule.within:
        return rule.within
    kind = BOUNDED.search(line) or BOUNDED.search(title)
    if not kind:
        return -math.inf, math.inf
    signed = kind[1].lower() in SIGNED or re.search(r"\bminus\b", line[:place])  # a difference of two AUCs
    return (-1.0 if signed else 0.0), 1.0


def intervals(text):
    """(low, value, high) of each printed "value [low, high]", or (low, high) where no value stands before."""
    for match in INTERVAL.finditer(text.replace("\u2212", "-")):
        yield [float(match[group]) for group in (2, 1, 3) if match[group]]


def left_interval(reference, text):
    """Whether a value has left its interval, or ends have changed places, that were in order before."""
    return any(before == sorted(before) and now != sorted(now)
               for before, now in zip(intervals(reference), intervals(text), strict=True))  # fmt: skip


def printed_spread(line, match):
    """How far a rule may go: the spread printed behind a number; a spread: half of it or five last units."""
    number = match[0].replace("\u2212", "-")
    behind = re.match(SPREAD + r"(\d+\.\d+(?:[eE][-+]?\d+)?)", line[match.end() :])
    if re.search(SPREAD + "$", line[: match.start()]):
        return max(float(number) / 2, 5 * last_unit(number))
    return float(behind[1]) if behind else math.inf


def pairs(reference, text, rules=()):
    """[(expected, found, rule, low, high, spread)] of two texts' floats, or None where their words differ."""
    reference, text = PICTURE.sub("picture", reference), PICTURE.sub("picture", text)
    words, floats = split_numbers(reference)
    other_words, other_floats = split_numbers(text)
    if words != other_words:
        return None
    governing, title = [], ""
    for line in reference.splitlines():
        found = [match for match in NUMBER.finditer(line) if not EXACT.fullmatch(match[0])]
        if not found:
            other = UNBOUNDED.search(line) and not BOUNDED.search(line)
            title = line if other else f"{title} {line}"
        for match in found:
            rule = governed(line, match.start(), rules)
            limits = bounds(line, match.start(), title, rule)
            governing.append((rule, *limits, printed_spread(line, match)))
    return [
        (expected, found, *governs)
        for expected, found, governs in zip(floats, other_floats, governing, strict=True)
    ]


def governed(line, place, rules):
    """The first rule that holds for the number at a place of a line, or None."""
    for rule in rules:
        match = re.search(rule.after, line)
        if match and match.end() <= place:
            return rule
    return None


def agree(reference, text, rules=()):
    """Whether a text says the same as the reference."""
    found = pairs(reference, text, rules)
    good = found is not None and all(same_number(*pair) for pair in found)
    return good and not left_interval(reference, text)
