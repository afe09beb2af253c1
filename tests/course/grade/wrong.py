"""Read wrong_answers/NN.txt: answers that should not pass, and the points that each check gives them.

A block starts with `#%% EXERCISE | POINTS OF EACH CHECK | what is wrong`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("wrong_answers")
HEAD = re.compile(r"^#%% *(\d\d\.\d) *\|([\d ]+)\| *(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class WrongAnswer:
    """One wrong answer: exercise id, points of its checks in order, what is wrong, source."""

    exercise: str
    points: tuple
    why: str
    source: str


def wrong_answers(number):
    """The wrong answers for a notebook, in the order of the file; [] where there is no file."""
    path = FOLDER / f"{number}.txt"
    if not path.exists():
        return []
    parts = HEAD.split(path.read_text())
    assert not parts[0].strip(), f"{path.name}: {parts[0]!r} stands before the first block"
    blocks = zip(*(parts[start::4] for start in (1, 2, 3, 4)), strict=True)
    return [
        WrongAnswer(exercise, tuple(int(each) for each in points.split()), why, source.strip())
        for exercise, points, why, source in blocks
    ]


def rounds(number):
    """Lists of wrong answers that fit into one submission: at most one per exercise."""
    found = []
    for answer in wrong_answers(number):
        for chosen in found:
            if answer.exercise not in {other.exercise for other in chosen}:
                chosen.append(answer)
                break
        else:
            found.append([answer])
    return found
