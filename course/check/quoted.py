"""The numbers that a text quotes, as digits and as words, each with the words around it.

Not looked at: formulas but for the value they end with, code, links, references, durations, sizes, years,
notebooks, the 95 % of an interval, whole numbers up to a dozen in digits without a unit or percent sign.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

LIST = r"\d+(?:\.\d+)?(?:(?:,| and| to|–) \d+(?:\.\d+)?)*"
# what is not prose: formulas, code, links and addresses, references, names of notebooks and sections
SKIPPED = [
    re.compile(r"\$\$.*?\$\$|```.*?```", re.DOTALL),
    re.compile(r"\$[^$\n]*\$|`[^`\n]*`|<code>.*?</code>"),
    re.compile(r"\]\([^)]*\)|https?://\S+|arXiv:\S+|doi:\S+|10\.\d{4,}/\S+"),
    re.compile(r"\*\*References\b.*|^#+ References.*|^References:.*", re.DOTALL | re.MULTILINE),
    re.compile(r"\*\*(?:Leads? on|Going on|Exercises that lead on)\b.*|^Where to go on.*", re.DOTALL | re.M),
    re.compile(r"\*Before:\*[^*]*"),
    re.compile(r"^#+ (?:\d+(?:\.\d+)? |Exercise \d+\.\d+.*$)", re.MULTILINE),
    re.compile(r"\b(?:[Nn]otebooks?|[Ss]ections?|[Ee]xercises?|[Ss]eries)\s+" + LIST + r"|\([1-4]\d\)"),
    re.compile(r"\b\d+(?: to \d+)? (?:minutes?|hours?|seconds?|kB|MB|GB)\b"),
    re.compile(r"\b95 ?(?:%|percent)"),  # the level of every interval
    re.compile(r"\b\d+(?:st|nd|rd|th)\b"),  # ordinals: the 95th percentile, the 20th neighbour
    re.compile(r"<(?!details|summary)[^>]*>"),
]
# what a formula ends with: gamma = 1.5; the value of an expression, as in 1/e = 0.37, is mathematics
VALUE = re.compile(r"\$(?:[^$\n]*(?:=|\\pm|[<>])|\s*\\?\w+\s*\\(?:approx|sim|leq?|geq?))"
                   r"\s*([-+]?\d+(?:\.\d+)?)(?:\\,)?(\\%)?\$")  # fmt: skip
UNITS = re.compile(r"(?<![^\W\d])(kcal/mol|kJ/mol|eV|hartree|bohr|ångström|angstrom|Å|degree)s?\b", re.I)
UNIT = re.compile(rf"(?:\s*(?:±|\+/-)\s*[\d.]+)?(?:\s*\[[^\]]*\])?[\s-]*{UNITS.pattern}", re.I)
PERCENT = re.compile(r"\s*(?:\\?%|per ?cent)")
DIGITS = r"(?<![\w.^/:-])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w.]*\d)"
WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
}  # fmt: skip
NUMBER = re.compile(DIGITS + r"|(?<![\w-])(?:" + "|".join(WORDS) + r")(?![\w-])", re.IGNORECASE)
JOINED = re.compile(r"\s*(?:±|\+/-)\s*|\s*\[\s*")  # between a number and its spread or interval
CLAUSE = re.compile(r"[.!?:;](?=\s)|\n\s*\n|\n(?=\s*[-|*\d])")  # where a sentence ends
YEAR = re.compile(r"(?:19|20)\d\d")
SMALL = 12  # integers up to a dozen are counts that a sentence makes itself
COMMON = {
    "about", "after", "also", "before", "between", "both", "could", "does", "each", "every", "first", "from",
    "have", "into", "last", "more", "most", "only", "other", "over", "same", "such", "than", "that", "their",
    "them", "then", "there", "they", "this", "were", "what", "when", "where", "which", "with", "would",
}  # fmt: skip


@dataclass(frozen=True)
class Quote:
    """A number as it is written, whether a percent sign follows, and the unit that does ("" for none).

    stems: of its sentence; behind: of the words behind it; beside: the others of "0.2 [0.1, 0.4]", "3 ± 1";
    listed: how many points or rows the list or table has that its sentence announces, 0 for none.
    """

    text: str
    percent: bool
    stems: frozenset
    behind: frozenset = frozenset()
    beside: tuple = ()
    listed: int = 0
    unit: str = ""

    @property
    def named(self):
        """Whether it is a word, as in "three of four"."""
        return self.text in WORDS

    @property
    def label(self):
        """As it is stored with its cell: with the percent sign or the unit where it has one."""
        return self.text + "%" * self.percent + self.unit

    @property
    def whole(self):
        return self.named or ("." not in self.text and not self.percent)

    @property
    def value(self):
        return float(WORDS.get(self.text) or self.text.replace(",", ""))


@lru_cache(None)
def stems(text):
    """The first five letters of the words that say what a text is about."""
    words = re.findall(r"[a-zéü]{4,}", re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text).lower())
    return frozenset(word[:5].rstrip("s") for word in words if word not in COMMON and word not in WORDS)


def quoted(markdown):
    """The Quotes of a text, in its order."""
    markdown = VALUE.sub(lambda match: f" {match[1]}{'%' if match[2] else ''} ", markdown)
    for pattern in SKIPPED:
        markdown = pattern.sub(" ", markdown)
    found = []
    ends = [0, *(match.end() for match in CLAUSE.finditer(markdown)), len(markdown)]
    matches = [match for match in NUMBER.finditer(markdown) if counts(match[0]) or measured(match)]
    for match, beside in zip(matches, together(markdown, matches), strict=True):
        after = markdown[match.end() :]
        start = max(end for end in ends if end <= match.start())
        end = min(end for end in ends if end > match.start())
        behind = " ".join(re.split(r"[,.;:()\n]", after)[0].split()[:5])
        percent, unit = bool(PERCENT.match(after)), UNIT.match(after)
        others = tuple(written(one) for one in beside if one is not match)
        about, listed = stems(markdown[start:end]), announced(markdown[:end], markdown[end:])
        unit = unit[1].lower() if unit else ""
        found.append(Quote(written(match), percent, about, stems(behind), others, listed, unit))
    return found


def announced(before, after):
    """How many points or rows follow a text that ends with a colon; 0 where no list or table does."""
    if not before.rstrip().endswith(":"):
        return 0
    points = re.match(r"\s*((?:(?:[-*]|\d+\.) .*\n?(?: +.*\n?)*\n?)+)", after)
    rows = re.match(r"\s*\|.*\n\|[-: |]+\n((?:\|.*\n?)+)", after)
    found = (rows or points)[1] if rows or points else ""
    return len(re.findall(r"^\|" if rows else r"^(?:[-*]|\d+\.) ", found, re.MULTILINE))


def written(match):
    return match[0].replace("\u2212", "-").lower()


def counts(number):
    """Whether a number as it is written is one to look at: no year, no small whole number in digits."""
    if "." in number or number.lower() in WORDS:
        return True
    return not YEAR.fullmatch(number) and abs(int(number.replace(",", "").replace("\u2212", "-"))) > SMALL


def units(text):
    """The units that a text names."""
    return {unit.lower() for unit in UNITS.findall(text)}


def measured(match):
    """Whether a percent sign or a unit follows, so that a small number is no count of a sentence's own."""
    return bool(PERCENT.match(match.string, match.end()) or UNIT.match(match.string, match.end()))


def together(markdown, matches):
    """For each match the matches of its group: a number with its spread or the ends of its interval."""
    groups = []
    for match in matches:
        between = markdown[groups[-1][-1].end() : match.start()] if groups else ""
        inside = between.strip() == "," and "[" in markdown[max(0, groups[-1][0].start() - 1) : match.start()]
        if groups and (JOINED.fullmatch(between) or inside):
            groups[-1].append(match)
        else:
            groups.append([match])
    return [group for group in groups for _ in group]
