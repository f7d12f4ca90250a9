"""A real pretrained student, SmolLM2-135M-Instruct, where `make smollm2` has made it."""

import random
from functools import cache
from pathlib import Path

import pytest
import torch

from limbeck.data import Source, View
from limbeck.models import StudentSettings
from limbeck.models.decoder import BranchCollator, DecoderStudent
from limbeck.models.loading import load
from limbeck.models.tokenization import ViewIds
from limbeck.tasks import get

FOLDER = Path(__file__).parents[2] / "models" / "smollm2"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no models/smollm2: `make smollm2` makes it")
VIEWS = (View.PREDICT, View.EXPLAIN)
WORDS = ["how", "many", "red", "apples", "does", "the", "farmer", "sell", "to", "nine", "children", "for", "3", "coins"]


@cache
def student_of(template: str, *, lora: bool = False) -> DecoderStudent:
    settings = StudentSettings(
        name=str(FOLDER), template=template, lora={"r": 8} if lora else None, max_target_length=12
    )
    student = load(settings, [], get("svamp"))
    if lora:  # a new adapter changes nothing until it is trained
        torch.manual_seed(0)
        for name, weight in student.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.02)
    return student.eval()


def sources(count: int, longest: int) -> list[Source]:
    """Return inputs of one word to `longest` words."""
    rng = random.Random(0)
    lengths = [1, longest, *(rng.randint(1, longest) for _ in range(count - 2))]
    return [Source(View.PREDICT, (" ".join(rng.choices(WORDS, k=length)),)) for length in lengths]


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_prompts_and_targets_are_the_tokenizers_own(template):
    student = student_of(template)
    question = Source(View.PREDICT, ("How many?",))
    ids, tokenizer = student.source_ids([question])[0][0], student.tokenizer
    (target,) = student.target_ids(["( 8.0 - 3.0 )"])
    assert tokenizer.convert_ids_to_tokens(target[-1]) == ("<|im_end|>" if template == "chat" else tokenizer.eos_token)
    if template == "chat":
        content = "How many?\n\n" + student.prompts.instructions[View.PREDICT]
        messages = [{"role": "user", "content": content}]
        assert ids == tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        answer = [*messages, {"role": "assistant", "content": "( 8.0 - 3.0 )"}]
        whole = tokenizer.apply_chat_template(answer)["input_ids"]
        assert whole[: len(ids) + len(target)] == ids + target
    else:
        assert tokenizer.decode(ids) == "Question: How many?\nAnswer:"
        assert ids + target == tokenizer("Question: How many?\nAnswer: ( 8.0 - 3.0 )")["input_ids"] + [
            student.codec.end
        ]


@pytest.mark.parametrize("lora", [pytest.param(False, marks=pytest.mark.slow), True])  # merged, it is a plain model
@pytest.mark.parametrize(
    ("count", "longest", "sizes"), [(2, 20, (1, 2)), pytest.param(64, 380, (1, 8, 64), marks=pytest.mark.slow)]
)
def test_answers_and_scores_do_not_depend_on_the_batch(count, longest, sizes, lora):
    student, texts = student_of("chat", lora=lora), sources(count, longest)
    choices = [("red", "nine apples", "( 8.0 - 3.0 )")] * count
    answers = [student.generate(texts, batch_size=size) for size in sizes]
    assert all(batch == answers[0] for batch in answers)
    scores = [student.score(texts, choices, batch_size=size) for size in sizes]
    for batch in scores[1:]:
        for score, expected in zip(batch, scores[0], strict=True):
            assert score.answers == [pytest.approx(log_p, abs=1e-4) for log_p in expected.answers]


@torch.no_grad()
def test_a_shared_prompt_gives_the_states_of_separate_rows():
    student = student_of("chat")
    questions, targets = sources(3, 30), student.target_ids(["( 8.0 - 3.0 )", "He sells 5 more.", "yes"])
    views = {view: student.source_ids([Source(view, q.segments) for q in questions])[0] for view in VIEWS}
    examples = [
        {view: [ViewIds(ids[i], targets[(i + n) % 3])] for n, (view, ids) in enumerate(views.items())} for i in range(3)
    ]
    shared, separate = (
        student.hidden_states(BranchCollator(student.pad_id, shared)(examples)) for shared in (True, False)
    )
    for view in views:
        torch.testing.assert_close(shared[view], separate[view], rtol=1e-3, atol=1e-3)
