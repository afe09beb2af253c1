"""What takes turns: the same check on many lessons or pages, a share of them in each run.

Another share comes each week, by the calendar's number of it; TURNS=all takes everything, as the weekly
workflow does.
"""

import os
from datetime import date

ALL = os.environ.get("TURNS") == "all"
WEEK = date.today().isocalendar().week


def share(items, of, later=0):
    """Every `of`-th item, beginning with another one each week; all of them with TURNS=all.

    later: weeks after the shares of others, so that not all checks of a lesson fall into the same week.
    """
    items = list(items)
    return items if ALL else items[(WEEK - later) % of :: of]


def each_in_turn(rows, kinds):
    """Dictionaries {row: kind}, so that each row meets each kind once: all with TURNS=all, else one of them.

    In one dictionary neighbouring rows have different kinds.
    """
    kinds = list(kinds)
    paired = [
        {row: kinds[(start + place) % len(kinds)] for place, row in enumerate(rows)}
        for start in range(len(kinds))
    ]
    return share(paired, len(kinds))
