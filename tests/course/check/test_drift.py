"""The drift between processors: which sets a machine can play, and when a kept run still counts."""

import platform
import sys

import pytest

from course import notebooks
from course.check import drift
from course.notebooks import find

CAN_PLAY = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.mark.skipif(not CAN_PLAY, reason="instruction sets are chosen on x86-64 Linux")
def test_the_variables_take_effect():
    found = drift.effect("sse")
    assert found == drift.PLAYED["sse"]
    assert drift.not_played("own") == ""


def test_a_set_without_effect_is_named(monkeypatch):
    monkeypatch.setattr(drift, "effect", lambda setting: {**drift.PLAYED["avx512"], "PyTorch": "AVX2"})
    assert drift.not_played("avx512") == "avx512: not run: PyTorch uses AVX2, not AVX512"


def test_a_kept_run_counts_for_one_data_source_and_one_set_of_libraries(monkeypatch):
    path, digests = find("39"), []
    for name, value in (("real", "1"), ("sample", "1"), ("real", "2")):
        monkeypatch.setenv("DATA", name)
        monkeypatch.setattr(notebooks, "version", lambda library, value=value: value)
        digests.append(drift.fingerprint(path))
    assert len(set(digests)) == 3
