"""Several runs, each beside all the others, against the comparison of two and Holm's method by hand."""

import json

import numpy as np
import pytest

from limbeck.runs.differences import differences
from limbeck.runs.measures import compare_runs


def written(path, right, first=0):
    rows = [{"id": str(i + first), "label": "a", "prediction": "a" if ok else "b"} for i, ok in enumerate(right)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_pair_is_compared_and_adjusted_for_being_one_of_many(tmp_path):
    rng = np.random.default_rng(0)
    files = [written(tmp_path / f"{share}.jsonl", rng.uniform(size=150) < share) for share in (0.5, 0.6, 0.85)]
    found = differences(files, files)
    p_values = {}
    for a, entries in enumerate(found):
        assert [entry["run"] for entry in entries] == [str(path) for path in files if path != files[a]]
        for entry in entries:
            b = [str(path) for path in files].index(entry["run"])
            alone = compare_runs([files[a]], [files[b]])
            assert entry.keys() - {"run", "adjusted"} < alone.keys()
            for key in entry.keys() - {"run", "adjusted"}:
                drawn = 0.02 if key.startswith("bootstrap") else 1e-9  # the draws are others in the other order
                assert entry[key] == pytest.approx(alone[key], abs=drawn), key
            other = next(it for it in found[b] if it["run"] == str(files[a]))
            p_values[frozenset((a, b))] = (entry["p_value"], entry["adjusted"])
    raw = sorted(p for p, _ in p_values.values())
    assert len(raw) == 3
    adjusted = [min(max((3 - j) * raw[j] for j in range(k + 1)), 1) for k in range(3)]
    assert sorted(p for _, p in p_values.values()) == pytest.approx(adjusted)


def test_runs_on_other_examples_are_not_compared_and_count_for_nothing(tmp_path):
    rng = np.random.default_rng(1)
    files = [
        written(tmp_path / f"{first}{i}.jsonl", rng.uniform(size=50) < 0.5, first)
        for i, first in ((0, 0), (1, 0), (2, 9))
    ]
    found = differences(files, files)
    assert [["reason" in entry for entry in entries] for entries in found] == [[False, True], [False, True], [True] * 2]
    assert found[0][1]["reason"].startswith("it is on other examples, 41 are shared")
    assert found[0][0]["adjusted"] == found[0][0]["p_value"]
    assert differences(files[:1], files[:1]) == [[]]
