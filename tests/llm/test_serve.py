"""A real OpenAI-compatible server, `transformers serve`, in front of a small model on disk."""

from contextlib import nullcontext

import pytest

from limbeck.annotation.job import annotate
from limbeck.annotation.results import read_results, summary, training_examples
from tests.annotation.jobs import make_job
from tests.helpers.chat_models import scripted_model, serving

REPLY = "He scored 84 points in 2 rounds, so that each had 84 / 2 = 42 points. The answer is ( 84.0 / 2.0 )."


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["endpoint", "local"])
def test_a_job_is_answered_from_end_to_end(engine, tmp_path):
    """Twenty questions, of which the model's one answer is right for half."""
    for package in ("fastapi", "uvicorn"):
        pytest.importorskip(package, reason="transformers[serving] is not installed")
    model = scripted_model(tmp_path / "teacher", REPLY)
    question = "Luke scored 84 points in {} rounds of game {}. How many a round?"
    rows = [{"input": question.format(n, i), "label": f"84 / {n}"} for i in range(10) for n in (2, 3)]
    options = {"task": "svamp", "sampling": {"max_tokens": 64}, "limits": {"concurrency": 4}}
    with serving(model) if engine == "endpoint" else nullcontext() as url:
        teacher = {"name": str(model), "engine": engine, "base_url": url}
        job = make_job(tmp_path, rows, teacher=teacher, **options)
        done = annotate(job)
    assert (done["stored"], done["missing"], done["failures"]) == (20, 0, {})
    counts = summary(read_results(job))
    assert (counts["outcomes"]["kept"], counts["outcomes"]["wrong"]) == (10, 10)
    assert counts["spent"]["tokens"]["completion"] > 20
    rationales = {example.rationale for example in training_examples(read_results(job))}
    assert rationales == {REPLY.partition(" The answer")[0], None}
    assert annotate(job)["requests"] == 0
