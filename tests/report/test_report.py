"""The report: its numbers are the runs', it concludes no more than they allow, and nothing in it comes alive."""

import json
import random
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from scipy.stats import binom, binomtest

from limbeck.errors import LimbeckError
from limbeck.grids import Folders, Grid, cells
from limbeck.paper import paper_results
from limbeck.report import assemble, write_report
from tests.paper.paper_runs import answers, cell_of, data_at, smoke
from tests.paper.paper_runs import finished as finished_cell
from tests.report.reports import ARITHMETIC, evaluated, finished, questions, write
from tests.runs.recipes import TINY

HOSTILE = [
    "</script><script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "line\u2028separator\u2029paragraph",
    "\u202eright to left\u2066",
    "{{ 7 * 7 }} {% raw %}",
    "NaN",
    "<!-- <script>",
    "lone \ud800",
    "long " * 200_000,
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for objective, right in (("finetune", 0.4), ("dss", 0.7), ("mi", 0.75)):
        finished(folder / objective, objective, 1, right=right)
    return folder


@pytest.fixture(scope="module")
def report(runs):
    return write_report([runs], runs / "report", paper_results).parent


def read(folder):
    return json.loads((folder / "report.json").read_text())


def tables(found, section):
    return {table["name"]: table for one in found["sections"] if one["id"] == section for table in one["tables"]}


class Elements(HTMLParser):
    """Every element's name and attributes, and the text of the scripts."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.scripts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def elements(folder):
    return Elements((folder / "index.html").read_text(encoding="utf-8"))


def test_accuracies_differences_and_tests_are_the_predictions_own(runs, report):
    right = {}
    for name in ("finetune", "dss", "mi"):
        lines = (runs / name / "predictions" / "test.jsonl").read_text().splitlines()
        right[name] = np.array([json.loads(line)["correct"] for line in lines])
    table = tables(read(report), "accuracy")["accuracy-arithmetic"]
    cells = {row["name"]: row["cells"][0] for row in table["rows"]}
    p_values = {}
    for name, cell in cells.items():
        assert cell["value"] == pytest.approx(100 * right[name].mean())
        if name == "dss":
            assert (cell["difference"], cell["reason"]) == (None, "baseline")
            continue
        assert cell["difference"] == pytest.approx(100 * (right[name].mean() - right["dss"].mean()))
        a, b = int((right[name] & ~right["dss"]).sum()), int((right["dss"] & ~right[name]).sum())
        p_values[name] = binomtest(a, a + b).pvalue - binom.pmf(a, a + b, 0.5)  # McNemar's mid-p, where a is not b
        assert cell["p_value"] == pytest.approx(p_values[name])
    small, large = sorted(p_values, key=p_values.get)
    assert cells[small]["adjusted"] == pytest.approx(min(1, 2 * p_values[small]))
    assert cells[large]["adjusted"] == pytest.approx(max(p_values[large], cells[small]["adjusted"]))
    page = (report / "index.html").read_text()
    for cell in cells.values():
        star = "*" if cell["adjusted"] is not None and cell["adjusted"] < 0.05 else ""
        assert f"<td>{cell['value']:.2f}{star}</td>" in page


def test_the_paragraph_says_what_stands_what_does_not_and_that_a_seed_is_one(report):
    (said,) = [" ".join(read(report)["overview"])]
    assert re.search(r"finetune is [\d.]+ points behind dss \(95 % interval [\d.]+ to [\d.]+, adjusted p", said)
    assert re.search(r"no difference from dss can be concluded for mi \([+−][\d.]+ points", said)
    assert re.search(r"finds 4 times of 5 is [\d.]+ points", said)
    assert "one seed says nothing of a recipe" in said
    assert said in (report / "report.md").read_text().replace("\\", "")


def test_runs_of_a_few_steps_say_nothing_of_the_methods(tmp_path):
    for objective, right in (("dss", 0.2), ("mi", 0.9)):
        finished(tmp_path / objective, objective, 1, right=right, steps=4)
    said = " ".join(read(write_report([tmp_path], tmp_path / "out", paper_results).parent)["overview"])
    assert "say nothing of the methods" in said
    assert "ahead" not in said


def test_arms_on_other_examples_are_not_compared(tmp_path):
    finished(tmp_path / "dss", "dss", 1, right=0.2)
    other = {**ARITHMETIC, "source": {**ARITHMETIC["source"], "seed": 5}}
    finished(tmp_path / "mi", "mi", 1, other, right=0.9)
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    assert "measured on other examples: not compared" in " ".join(found["overview"])
    assert found["comparisons"] == []
    reasons = [row["cells"][0]["reason"] for row in tables(found, "accuracy")["accuracy-arithmetic"]["rows"]]
    assert reasons[1] == "on other examples than its baseline: not compared"


def test_an_arm_is_held_against_the_one_that_differs_in_its_objective_alone(tmp_path):
    for objective in ("dss", "mi"):
        for fraction in (0.5, 1.0):
            finished(tmp_path / f"{objective}{fraction}", objective, 1, {**ARITHMETIC, "train_fraction": fraction})
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    pairs = {(one["arm"], one["baseline"]) for one in found["comparisons"]}
    assert pairs == {(f"mi, data.train_fraction={share}", f"dss, data.train_fraction={share}") for share in (0.5, 1.0)}
    (curve,) = [
        figure["table"] for one in found["sections"] for figure in one["figures"] if "fraction of" in figure["title"]
    ]
    assert ([row["name"] for row in curve["rows"]], curve["columns"]) == (["0.5", "1"], ["dss", "mi"])


def test_of_many_groups_it_is_said_how_often_and_one_of_each_task_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(assemble, "MOST_DRAWN", 5)
    for fraction in (0.1, 0.2, 0.3, 0.4, 0.5, 1.0):
        for objective, right in (("dss", 0.2), ("mi", 0.9), ("kl", 0.2)):
            data = {**ARITHMETIC, "train_fraction": fraction}
            finished(tmp_path / f"{objective}{fraction}", objective, 1, data, right=right)
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    said = " ".join(found["overview"])
    assert re.search(r"Of 12 comparisons: mi is ahead of dss by [\d.]+ points in 6 places \(", said)
    assert "In 6 of 12 comparisons no difference can be concluded; the smallest differences that one test alone" in said
    names = [row["name"] for row in tables(found, "accuracy")["accuracy-arithmetic"]["rows"]]
    titles = [figure["title"] for section in found["sections"] for figure in section["figures"]]
    assert "arithmetic, data.train_fraction=0.1: risk and coverage" in titles
    assert not any("0.2" in title for title in titles)
    (missing,) = {one for section in found["sections"] for one in section["missing"] if one.startswith("Of 6 groups")}
    assert missing.startswith("Of 6 groups of arms the curves of the largest of each task are drawn")
    assert [name.split("=")[1] for name in names[::3]] == ["0.1", "0.2", "0.3", "0.4", "0.5", "1.0"]


def test_the_papers_tables_come_first_with_its_numbers_beside_ours(tmp_path):
    out = tmp_path / "runs"
    grids = [smoke(name, data_at(tmp_path / "data")) for name in ("table1", "figure4")]
    for objective, right in (("dss", "1100"), ("mi", "1010")):
        rows = answers(right, rationale=["so", "because <b>", "since", "as"])
        finished_cell(out / objective, cell_of(grids[0], objective, "svamp"), rows)
    for grid in grids:
        Folders(out).write_grid(grid)
    Folders(out).fail(cell_of(grids[0], "finetune", "svamp").name, "out of memory\nmore")
    report = write_report([out], tmp_path / "report", paper_results).parent
    found = read(report)
    assert [section["id"] for section in found["sections"]][:2] == ["paper", "accuracy"]
    table = tables(found, "paper")["table1"]
    rows = {row["name"]: dict(zip(table["columns"], row["cells"], strict=True)) for row in table["rows"]}
    assert (rows["Ours"]["SVAMP"]["value"], rows["Ours"]["SVAMP"]["paper"]) == (50, 68.0)
    assert rows["Finetuning"]["SVAMP"]["reason"] == "failed: out of memory"
    page = (report / "index.html").read_text()
    assert "Table 1: " in page
    assert "Figure 4: " in page
    assert "paper 68.00" in page
    assert "because &lt;b&gt;" in page
    assert any("failed: out of memory" in one for one in found["left_out"])
    assert r"because \<b\>" in (report / "report.md").read_text()
    (study,) = [one for one in found["studies"] if one["task"] == "svamp"]
    assert (study["name"], study["examples"]) == ("figure4", 4)
    picked = {kind["name"]: kind["picked"] for kind in study["kinds"]}
    (case,) = picked["only DSS right"]
    assert [(said["prediction"], said["correct"], said["rationale"]) for said in case["said"]] == [
        ("1", True, "because <b>"),
        ("2", False, "because <b>"),
    ]
    assert "paper 68.00" in (report / "tables" / "table1.md").read_text()


def test_several_seeds_are_one_arm_and_their_curves_a_mean(tmp_path):
    for seed in (1, 2):
        run = finished(tmp_path / f"dss{seed}", "dss", seed)
        write(run / "log.jsonl", [{"step": 10, "term_label": seed, "share_label": 0.5}, {"step": 20, "term_label": 9}])
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    (row,) = tables(found, "accuracy")["accuracy-arithmetic"]["rows"]
    assert (row["cells"][0]["seeds"], row["cells"][0]["n"]) == (2, 60)
    curves = {one["title"]: one["table"]["rows"] for s in found["sections"] for one in s["figures"]}
    steps = curves["arithmetic: label, a term of the loss"]
    assert [step["cells"][0]["value"] for step in steps] == [1.5, 9]


def test_of_a_grid_it_is_said_what_has_failed_and_what_was_not_run(tmp_path):
    out = tmp_path / "runs"
    grid = Grid.parse(
        {"name": "g", "recipe": {**TINY, "seed": 1}, "axes": {"objective": ["dss", "mi"]}, "seeds": 3}, "g"
    )
    every = cells(grid)
    for cell in every[:2]:
        finished(out / cell.name, cell.recipe.objective.name, 1, TINY["data"], steps=4)
        (out / cell.name / "recipe.yaml").write_text(yaml.safe_dump(cell.recipe.resolved()))
    Folders(out).write_grid(grid)
    Folders(out).fail(every[2].name, "out of memory")
    (out / every[3].name).mkdir()
    (out / every[3].name / "recipe.yaml").write_text(yaml.safe_dump(every[3].recipe.resolved()))
    found = read(write_report([out], tmp_path / "out", paper_results).parent)
    said = " ".join(found["overview"])
    assert "Of the grid's 6 cells, 1 has failed, 1 is not finished and 2 have not been run" in said
    assert found["left_out"] == [
        f"{every[2].name} failed: out of memory",
        f"{out / every[3].name} is not finished",
        f"{every[4].name} was not run",
        f"{every[5].name} was not run",
    ]
    more = Grid.parse({**grid.model_dump(), "name": "more", "seeds": 20}, "more")
    Folders(out).write_grid(more)
    Folders(out).write_grid(more.changed(["seeds=4"]))  # what the first of this name has left open stays open
    found = read(write_report([out], tmp_path / "out", paper_results).parent)
    assert "Of the grids' 40 cells, 1 has failed, 1 is not finished and 36 have not been run" in " ".join(
        found["overview"]
    )
    assert found["left_out"][-1] == "26 more cells were not run"
    assert len(found["left_out"]) == 2 + 10 + 1


def test_seeds_that_answer_alike_make_no_interval_narrower(tmp_path):
    for seed in (1, 2, 3):
        run = finished(tmp_path / f"dss{seed}", "dss", seed)
        rows = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
        for number, row in enumerate(rows):
            row |= {"confidence": 0.55, "correct": number < 30}
        write(run / "predictions" / "test.jsonl", rows)
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    (bins,) = [
        figure["table"]["rows"]
        for section in found["sections"]
        for figure in section["figures"]
        if "reliability" in figure["title"]
    ]
    answers, _, accuracy = bins[5]["cells"]
    assert (answers["value"], accuracy["value"]) == (180, 0.5)
    low, high = binomtest(30, 60).proportion_ci(0.95, "wilson")  # of 60 examples, asked thrice
    assert accuracy["interval"] == pytest.approx([low, high])


def test_an_interval_of_a_share_ends_where_shares_do(tmp_path):
    for seed, sure in ((1, 0.01), (2, 0.2)):
        run = finished(tmp_path / f"dss{seed}", "dss", seed, right=0.0)
        rows = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
        write(run / "predictions" / "test.jsonl", [{**row, "confidence": sure} for row in rows])
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    (row,) = tables(found, "confidence")["calibration-arithmetic"]["rows"]
    assert row["cells"][0]["interval"] == [0, 1]  # 0.105 and 1.2 to either side


def test_arms_of_unlike_many_seeds_say_so(tmp_path):
    for objective, seed in (("dss", 1), ("dss", 2), ("mi", 1), ("mi", 2), ("kl", 1)):
        finished(tmp_path / f"{objective}{seed}", objective, seed)
    said = " ".join(read(write_report([tmp_path], tmp_path / "out", paper_results).parent)["overview"])
    assert "On arithmetic (60 examples, 1 to 2 seeds)" in said


def test_what_is_missing_says_why(tmp_path):
    run = finished(tmp_path / "dss", "dss", 1)
    (run / "log.jsonl").unlink()
    (run / "provenance.json").write_text("[")
    (tmp_path / "mi").mkdir()
    shutil.copy(run / "recipe.yaml", tmp_path / "mi")
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    missing = " ".join(sentence for section in found["sections"] for sentence in section["missing"])
    assert "log.jsonl: no such file" in missing
    assert "`limbeck evaluate RUN --rationale` measures it" in missing
    assert "`limbeck judge RUN...` measures it" in missing
    assert found["provenance"]["unknown"] == [str(run)]
    assert found["left_out"] == [f"{tmp_path / 'mi'} is not finished"]


def test_what_evaluate_and_the_judge_left_is_shown(tmp_path):
    run = finished(tmp_path / "dss", "dss", 1)
    quality = {"bleu": {"score": 12.5}, "rougeL": 0.25}
    evaluated(run, quality=quality, calibration={"ece_interval": [0.1, 0.2]})
    first = json.loads((run / "predictions" / "test.jsonl").read_text().splitlines()[0])
    judged = {"id": first["id"], "task": "arithmetic", "run": "DSS", "rationale": first["rationale"]}
    judged |= {"label": first["prediction"], "judge": "large", "temperature": 0, "replies": ["4"], "scores": [4]}
    write(run / "evaluation" / "judge-test.jsonl", [judged])
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    reasons = tables(found, "rationales")
    (row,) = reasons["rationales-arithmetic"]["rows"]
    assert [cell["value"] for cell in row["cells"][:2]] == [12.5, 0.25]
    assert reasons["judge-arithmetic"]["rows"][0]["cells"][0]["value"] == 4
    (row,) = tables(found, "confidence")["calibration-arithmetic"]["rows"]
    assert row["cells"][1]["interval"] == [0.1, 0.2]
    assert [one["said"][0]["score"] for one in found["cases"] if "score" in one["said"][0]] == [4]


@pytest.mark.parametrize("name", ["accuracy", "n", None])
def test_a_page_older_than_the_answers_is_passed_over(name, tmp_path):
    run = finished(tmp_path / "dss", "dss", 1)
    evaluated(run, quality={"rougeL": 0.25}, calibration={"ece_interval": [0.1, 0.2]})
    results = json.loads((run / "results.json").read_text())
    results["test"] = {**results["test"], name: 0.123} if name else None  # measured again, stopped before the page
    (run / "results.json").write_text(json.dumps(results))
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    (row,) = tables(found, "confidence")["calibration-arithmetic"]["rows"]
    assert row["cells"][1]["interval"] is None
    assert "rationales-arithmetic" not in tables(found, "rationales")


def test_a_page_that_is_none_is_an_error(tmp_path):
    run = finished(tmp_path / "dss", "dss", 1)
    evaluated(run)
    (run / "evaluation" / "test.json").write_text("[]")
    with pytest.raises(LimbeckError, match=r"test.json: no page of an evaluation; write it again"):
        write_report([tmp_path], tmp_path / "out", paper_results)


def test_a_judge_s_scores_are_of_so_many_examples_whatever_the_seeds(tmp_path):
    for seed, score in ((1, 4), (2, 2)):
        run = finished(tmp_path / f"dss{seed}", "dss", seed)
        rows = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
        judged = {"task": "arithmetic", "run": "DSS", "judge": "large", "temperature": 0}
        judged |= {"replies": [str(score)], "scores": [score]}
        every = [{**judged, "id": row["id"], "label": row["prediction"], "rationale": row["rationale"]} for row in rows]
        mine, old = every[:3], [{**one, "rationale": "of before it was evaluated anew"} for one in every[3:5]]
        write(run / "evaluation" / "judge-test.jsonl", mine + old)
    found = read(write_report([tmp_path], tmp_path / "out", paper_results).parent)
    cell = tables(found, "rationales")["judge-arithmetic"]["rows"][0]["cells"][0]
    assert (cell["value"], cell["n"], cell["seeds"]) == (3, 3, 2)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    texts = [
        text.replace("\ud800", "half a pair") for text in HOSTILE
    ]  # data with halves is refused; answers may have them
    rows = [
        {"id": f"q{number}", "input": f"{number} {text}", "label": f"yes {text}"}
        | {"rationale": text, "teacher_label": text}
        for number, text in enumerate(texts)
    ]
    data = questions(folder / "data", rows)
    said = {f"q{number}": text for number, text in enumerate(HOSTILE)}
    finished(folder / "runs" / "dss", "dss", 1, data, said=said, reason=HOSTILE[0] + HOSTILE[1])
    finished(folder / "runs" / "mi", "mi", 1, data, said=said, reason=HOSTILE[-1])
    origin = json.loads((folder / "runs" / "mi" / "provenance.json").read_text())
    origin["versions"]["torch"] = HOSTILE[0] + HOSTILE[1]
    (folder / "runs" / "mi" / "provenance.json").write_text(json.dumps(origin))
    return write_report([folder / "runs"], folder / "out", paper_results).parent


def test_nothing_that_a_model_wrote_is_an_element_or_a_script(hostile, report):
    found, harmless = elements(hostile), elements(report)
    assert {tag for tag, _ in found.seen} <= {tag for tag, _ in harmless.seen} | {"noscript", "title"}
    assert [tag for tag, _ in found.seen].count("script") == 3
    assert not any(name.startswith("on") for _, attributes in found.seen for name in attributes)
    assert found.scripts[2] == harmless.scripts[2]
    assert not any(tag in ("img", "link", "iframe") for tag, _ in found.seen)


def test_the_cases_are_what_was_said_hidden_signs_shown_and_long_texts_cut(hostile):
    (data,) = [text for text in elements(hostile).scripts if text.startswith("[")]
    assert not set("<>&\u2028\u2029") & set(data)
    cases = {one["id"]: one for one in json.loads(data)}
    assert cases["q0"]["said"][0]["answer"] == HOSTILE[0]
    assert cases["q2"]["said"][0]["answer"] == "line<U+2028>separator<U+2029>paragraph"
    assert cases["q3"]["gold"] == "yes <U+202E>right to left<U+2066>"
    assert cases["q4"]["input"].endswith(HOSTILE[4])
    assert cases["q7"]["said"][0]["answer"] == "lone <U+D800>"
    assert cases["q8"]["input"].endswith("(cut: 1,000,002 characters)")
    assert (hostile / "index.html").stat().st_size < 500_000


def test_the_page_allows_itself_nothing(report):
    (policy,) = [a["content"] for tag, a in elements(report).seen if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "data:"} & set(policy.split())
    page = (report / "index.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert not re.search(r"@import|url\((?!#)", page)


def test_only_a_report_is_replaced(runs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.json").write_text('{"not": "ours"}')
    with pytest.raises(LimbeckError, match="no report of limbeck's"):
        write_report([runs], tmp_path / "mine", paper_results)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["report.json"]
    (tmp_path / "file").write_text("")
    with pytest.raises(LimbeckError, match="no folder of its own"):
        write_report([runs], tmp_path / "file", paper_results)
    (tmp_path / "new").mkdir()
    page = write_report([runs / "dss"], tmp_path / "new", paper_results)
    assert write_report([runs], tmp_path / "new", paper_results) == page
    names = {str(file.relative_to(page.parent)) for file in page.parent.rglob("*") if file.is_file()}
    assert names == set(read(page.parent)["files"])
    assert write_report([runs / "dss"], tmp_path / "new", paper_results) == page
    now = {str(file.relative_to(page.parent)) for file in page.parent.rglob("*") if file.is_file()}
    assert now < names  # the tables and figures of the other arms have gone with the report that had them
    for name in ("notes.txt", "tables/mine.csv", "figures/drafts/mine.svg", "link"):
        mine = page.parent / name
        mine.parent.mkdir(exist_ok=True)
        mine.symlink_to(tmp_path) if name == "link" else mine.write_text("mine")
        with pytest.raises(LimbeckError, match=f"holds '{name}' beside the report, which would be lost"):
            write_report([runs / "dss"], tmp_path / "new", paper_results)
        mine.unlink()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "mine", "new"]


def test_a_report_goes_where_a_link_leads(runs, tmp_path):
    (tmp_path / "link").symlink_to("new/report")
    for _ in range(2):
        page = write_report([runs / "dss"], tmp_path / "link", paper_results)
        assert page == tmp_path / "link" / "index.html"
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "new" / "report" / "index.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "new"]


def test_without_a_finished_run_there_is_no_report(tmp_path):
    run = finished(tmp_path / "dss", "dss", 1)
    (run / "results.json").unlink()
    with pytest.raises(LimbeckError, match="none of its 1 runs is finished"):
        write_report([tmp_path], tmp_path / "out", paper_results)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def forty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forty")
    rng = random.Random(0)
    words = [f"word{number}" for number in range(500)]
    rows = [
        {"id": f"q{number}", "input": " ".join(rng.choices(words, k=60)), "label": "yes", "rationale": "so " * 300}
        for number in range(500)
    ]
    data = questions(folder / "data", rows)
    reason = " ".join(rng.choices(words, k=200))
    for objective in ("finetune", "single-task", "dss", "mi"):
        for seed in range(1, 11):
            finished(folder / f"{objective}{seed}", objective, seed, data, steps=2000, reason=reason)
    return write_report([folder], folder / "report", paper_results).parent


def test_forty_runs_fit_into_five_megabytes_and_the_page_says_what_it_holds(forty):
    assert (forty / "index.html").stat().st_size < 5_000_000
    found = read(forty)
    assert found["shared_examples"] == 500
    assert 200 < len(found["cases"]) < 500
    assert f"{len(found['cases']):,} of the 500 examples" in " ".join((forty / "index.html").read_text().split())


def test_the_cases_kept_are_even_over_who_is_right(forty):
    kinds = {}
    for case in read(forty)["cases"]:
        key = tuple(one["right"] for one in case["said"])
        kinds[key] = kinds.get(key, 0) + 1
    # of 500 cases with each arm right in 70 %, all are right in 120 and none in 4: kinds that are not used up are even
    largest = max(kinds.values())
    assert largest <= 60
    assert sum(count >= largest - 1 for count in kinds.values()) >= 2
    assert len(kinds) == 16


def test_a_teacher_is_right_by_any_accepted_answer(tmp_path):
    rows = [{"input": f"Q{i}?", "label": "a", "answers": ["a", "b"], "teacher_label": "b"} for i in range(20)]
    run = finished(tmp_path / "dss", "dss", 1, data=questions(tmp_path / "data", rows))
    (section,) = [section for section in assemble.assemble([run], paper_results).sections if section.id == "confidence"]
    (cascade,) = [figure.table for figure in section.figures if figure.name.startswith("cascade")]
    assert cascade.rows[-1].cells[0].value == 1.0  # all passed on
