"""Cases: an example with each run group's answer, the teacher and the judge beside them."""

from limbeck.data import DataSettings, load
from limbeck.report.answers import grade
from limbeck.report.cases import shared_cases
from limbeck.runs.compare import find_runs, group_runs
from tests.helpers.archives import write_rows
from tests.report.reports import ARITHMETIC, finished, judge
from tests.runs.recipes import rows_of

EXAMPLES = load(DataSettings.parse(ARITHMETIC, "test")).test
RATIONALES = {example.id: example.rationale for example in EXAMPLES}


def cases_in(folder):
    return shared_cases(grade(group_runs(find_runs([folder]))))


def test_a_case_has_every_group_the_teacher_and_the_judge(tmp_path):
    for seed in (2, 1):
        finished(tmp_path / f"dss{seed}", "dss", seed, answers={EXAMPLES[0].id: f"answer of seed {seed}"})
    mi = finished(tmp_path / "mi", "mi", 7, rationale="x" * 5000)
    judge(mi, {EXAMPLES[0].id: 2.0, EXAMPLES[1].id: (5.0, 4.0)})
    gold = {EXAMPLES[0].id: 5.0, EXAMPLES[1].id: 4.0}
    judge(mi, gold, gold=True, rationales=RATIONALES | {EXAMPLES[1].id: "an older one"})
    first, second, *_ = cases = cases_in(tmp_path)
    assert len(cases) == len(EXAMPLES)
    fields = {"id": "id", "input": "input", "gold": "label", "teacher": "teacher_label", "rationale": "rationale"}
    assert [first[name] for name in fields] == [getattr(EXAMPLES[0], field) for field in fields.values()]
    assert (first["task"], first["score"], second.get("score")) == ("arithmetic", 5.0, None)
    dss_answer, mi_answer = first["answers"]
    assert (dss_answer["seed"], dss_answer["answer"]) == (1, "answer of seed 1")
    assert (mi_answer["group"], mi_answer["score"], second["answers"][1]["score"]) == ("mi", 2.0, 4.5)
    assert mi_answer["rationale"].endswith("(cut: 5,000 characters)")
    assert "score" not in dss_answer


def test_the_same_id_of_other_data_is_another_example(tmp_path):
    finished(tmp_path / "dss", "dss", 1)
    run = finished(tmp_path / "mi", "mi", 1)
    rows = rows_of(run / "predictions" / "test.jsonl")
    write_rows(run / "predictions" / "test.jsonl", [{**rows[0], "input": "2 apples?"}, *rows[1:]])
    assert len(cases_in(tmp_path)) == len(EXAMPLES) - 1
    _, mi = grade(group_runs(find_runs([tmp_path])))
    foreign, second, *_ = mi.examples.values()
    assert (foreign.input, foreign.rationale) == ("2 apples?", None)
    assert second.rationale == EXAMPLES[1].rationale
