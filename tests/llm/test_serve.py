"""A real OpenAI-compatible server, `transformers serve`, in front of a small model on disk."""

import pytest

from limbeck.annotation.job import annotate
from limbeck.annotation.results import read_results, summary, training_examples
from tests.annotation.jobs import make_job
from tests.helpers.chat_models import scripted_model, serving

pytestmark = pytest.mark.slow

REPLY = "He scored 84 points in 2 rounds, so that each had 84 / 2 = 42 points. The answer is ( 84.0 / 2.0 )."


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return scripted_model(tmp_path_factory.mktemp("serve") / "teacher", REPLY)


@pytest.fixture(scope="module")
def base_url(model):
    for package in ("fastapi", "uvicorn"):
        pytest.importorskip(package, reason="transformers[serving] is not installed")
    with serving(model) as url:
        yield url


@pytest.mark.parametrize("engine", ["endpoint", "local"])
def test_a_job_is_answered_from_end_to_end(engine, model, tmp_path, request):
    """Twenty questions, of which the model's one answer is right for half."""
    settings = {"batch_size": 8} if engine == "local" else {"base_url": request.getfixturevalue("base_url")}
    question = "Luke scored 84 points in {} rounds of game {}. How many a round?"
    rows = [{"input": question.format(n, i), "label": f"84 / {n}"} for i in range(10) for n in (2, 3)]
    options = {"sampling": {"max_tokens": 64}, "limits": {"concurrency": 4}}
    job = make_job(tmp_path, rows, task="svamp", teacher={"name": str(model), "engine": engine, **settings}, **options)
    done = annotate(job)
    assert (done["stored"], done["missing"], done["failures"]) == (20, 0, {})
    counts = summary(read_results(job))
    assert (counts["outcomes"]["kept"], counts["outcomes"]["wrong"]) == (10, 10)
    assert counts["spent"]["tokens"]["completion"] > 20
    rationales = {example.rationale for example in training_examples(read_results(job))}
    assert rationales == {REPLY.partition(" The answer")[0], None}
    assert annotate(job)["requests"] == 0
