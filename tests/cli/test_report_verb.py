"""`limbeck report` as a stranger meets it."""

import json

from tests.report.reports import finished


def test_it_writes_a_report_and_says_where(limbeck, tmp_path):
    finished(tmp_path / "runs" / "dss", "dss", 1)
    code, out, err = limbeck("report", "runs", "-o", "out")
    assert (code, err) == (0, "")
    assert out.startswith("out/index.html: 0.")
    code, out, _ = limbeck("report", "runs/dss", "-o", "out", "--json")
    said = json.loads(out)
    assert (code, said["page"]) == (0, "out/index.html")
    assert said["bytes"] == (tmp_path / "out" / "index.html").stat().st_size


def test_a_folder_of_something_else_is_refused_in_one_line(limbeck, tmp_path, monkeypatch):
    finished(tmp_path / "runs" / "dss", "dss", 1)
    code, _, err = limbeck("report", "runs", "-o", "runs")
    assert (code, err.count("\n")) == (2, 1)
    assert "not a report of limbeck's; give another --output" in err
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path / "runs")
    for folder in (".", "..", str(tmp_path)):
        code, _, err = limbeck("report", "nowhere", "-o", folder)  # before anything is read
        assert (code, err.count("\n")) == (2, 1)
        assert "is or holds the current folder, and would be replaced; give another --output" in err
    assert sorted(tmp_path.rglob("*")) == before
    code, _, err = limbeck("report", "nowhere", "-o", "out")
    assert (code, "nowhere: no such folder" in err) == (2, True)
