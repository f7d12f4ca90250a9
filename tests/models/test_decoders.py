"""Decoder-only students: shared prompts are separate rows, the loss is Hugging Face's, prompts are the template's."""

import copy
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from limbeck.data import View, source
from limbeck.errors import DataError, ModelError, RecipeError
from limbeck.models import Card, StudentSettings
from limbeck.models.decoder import DecoderStudent, lay_out
from limbeck.models.loading import load, open_student, save_student
from limbeck.models.tokenization import IGNORE, ViewIds
from limbeck.objectives.fused import losses, term_counts
from limbeck.objectives.methods import ObjectiveSettings
from limbeck.schema import Example
from limbeck.tasks import get
from tests.helpers import decoders
from tests.models.students import randomise
from tests.objectives import oracle

SHARING = [family for family in decoders.DECODERS if family not in ("mamba", "gpt_neo")]
SVAMP = get("svamp")
NLI = Example("1", ("It rains.", "It is dry."), "contradiction", rationale="Rain is wet.")


@cache
def _student(family: str) -> DecoderStudent:
    with TemporaryDirectory() as folder:
        settings = StudentSettings(name=str(decoders.decoder(Path(folder), family)), max_target_length=40)
        student = load(settings, [], SVAMP).eval()
    torch.manual_seed(1)
    randomise(student)
    return student


def decoder(family: str) -> DecoderStudent:
    return copy.deepcopy(_student(family))


def examples_of(seed: int, view_pairs: int = 5) -> list[dict[View, list[ViewIds]]]:
    """Return examples whose two prompts begin alike, longer than a sliding window; the third has no rationale."""
    generator = torch.Generator().manual_seed(seed)

    def ids(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high, (), generator=generator))
        return torch.randint(3, 300, (length,), generator=generator).tolist()

    examples = []
    for number in range(view_pairs):
        prompt, label, rationale = ids(4, 30), [*ids(1, 4), 1], [*ids(1, 20), 1]
        explain = ViewIds([*prompt, 9, 8], [] if number == 2 else rationale)
        examples.append({View.PREDICT: [ViewIds([*prompt, 7], label)], View.EXPLAIN: [explain]})
    return examples


def value_and_gradient(student: DecoderStudent, objective: str, batch: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of a batch and its gradient by all weights."""
    student.zero_grad()
    objective = ObjectiveSettings(name=objective).build()
    targets = oracle.targets(student, batch)
    targets = {view: targets[view] for view in objective.views}
    counts = term_counts(
        objective, *({view: batch[name][view] for view in targets} for name in ("labels", "weights", "index"))
    )
    loss, _ = losses(objective, targets, head=student.head(), counts=counts)
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None])


@pytest.mark.parametrize("family", SHARING)
def test_a_shared_prompt_gives_the_loss_and_gradients_of_separate_rows(family):
    student, examples = decoder(family), examples_of(0)
    assert student.shared
    shared = value_and_gradient(student, "mi", student.collator()(examples))
    student.shared = False
    separate = value_and_gradient(student, "mi", student.collator()(examples))
    torch.testing.assert_close(shared[0], separate[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(shared[1], separate[1], rtol=1e-4, atol=1e-5 * separate[1].abs().max())


@pytest.mark.parametrize("family", list(decoders.DECODERS))
def test_the_label_loss_is_hugging_faces_own(family):
    student, examples = decoder(family), examples_of(1)
    loss, _ = value_and_gradient(student, "finetune", student.collator()(examples))
    total, count = 0.0, 0
    with torch.no_grad():
        for prompt, target, _ in (example[View.PREDICT][0] for example in examples):
            ids, labels = [*prompt, *target], [IGNORE] * len(prompt) + list(target)
            output = student.model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels]))
            total, count = total + output.loss.item() * len(target), count + len(target)
    assert loss.item() == pytest.approx(total / count, rel=1e-5)


def test_a_row_is_the_shared_beginning_and_a_branch_for_each_view():
    row = lay_out([ViewIds([5, 6, 7], [8, 9, 1]), ViewIds([5, 6, 3, 4], [2, 1])])
    assert row.ids == [5, 6, 7, 8, 9, 3, 4, 2]
    assert row.positions == [0, 1, 2, 3, 4, 2, 3, 4]
    assert row.branches == [0, 0, 1, 1, 1, 2, 2, 2]
    assert row.places == [[2, 3, 4], [6, 7]]  # of the tokens before 8, 9, 1 and before 2, 1
    equal = lay_out([ViewIds([5, 6], [8, 1]), ViewIds([5, 6], [9])])
    assert (equal.ids, equal.places) == ([5, 6, 8], [[1, 2], [1]])


def test_a_pool_of_unmasked_padding_sees_tokens_after_the_target():
    """As the released code's does: padding is read, with states of its own, and none but padding reads it."""
    student, examples = decoder("llama"), examples_of(2)
    with torch.no_grad():
        padded, plain = (oracle.targets(student, student.collator(reads)(examples)) for reads in (True, False))
    for view, targets in padded.items():
        assert targets.sizes == [max(plain[view].sizes) if size else 0 for size in plain[view].sizes]
        real = targets.labels != IGNORE
        torch.testing.assert_close(targets.states[real], plain[view].states, rtol=1e-5, atol=1e-5)
        assert targets.labels[real].tolist() == plain[view].labels.tolist()
        assert (targets.states[~real] != 0).any(-1).all()


# Templates of the kinds that are about: ChatML with a default system text and an empty thought (Qwen3), turns without
# a system role and a beginning of their own (Gemma 3), a date (Llama 3.2), ChatML as SmolLM2 has it.
TEMPLATES = {
    "qwen3": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
    ),
    "gemma3": (
        "<bos>{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
        "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    ),
    "llama3.2": (
        "<bos><|im_start|>system\n{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}"
        "{% endif %}Today: {{ date_string }}<|im_end|>{% for m in messages %}<|im_start|>{{ m.role }}\n\n"
        "{{ m.content | trim }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n\n{% endif %}"
    ),
    "smollm2": (
        "{% for m in messages %}{% if loop.first and m.role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n"
        "{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}
SPECIALS = ["<bos>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>"]
THINKING_OFF = {"enable_thinking": False, "date_string": "26 Jul 2024"}


def chat_student(folder: Path, chat_template: str | None, **options) -> DecoderStudent:
    """Return a student whose tokenizer adds a bos to any text, as Gemma's and Llama's do."""
    decoders.decoder(folder, "llama", chat_template, specials=SPECIALS)
    return load(StudentSettings(name=str(folder), max_target_length=40, **options), [], get("esnli"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_has_the_ids_of_the_models_own_template(name, tmp_path):
    student = chat_student(tmp_path, TEMPLATES[name])
    (prompt,), _ = student.source_ids([source(NLI, View.PREDICT)])
    question = student.codec.prompts.instructions[View.PREDICT]
    content = f"Premise: It rains.\nHypothesis: It is dry.\n\n{question}"
    messages = [{"role": "user", "content": content}]
    expected = student.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False, **THINKING_OFF
    )
    assert prompt == expected
    # with its target it is the beginning of the whole conversation
    (target,) = student.target_ids(["contradiction"])
    messages.append({"role": "assistant", "content": "contradiction"})
    whole = student.tokenizer.apply_chat_template(messages, return_dict=False, **THINKING_OFF)
    assert [*prompt, *target] == whole[: len(prompt) + len(target)]
    assert student.codec.end in student.model.generation_config.eos_token_id
    assert prompt.count(student.tokenizer.bos_token_id) == (1 if "<bos>" in TEMPLATES[name] else 0)


@pytest.mark.parametrize("template", ["plain", "prefix"])
def test_a_prompt_without_template_has_one_beginning_and_a_target_one_end(template, tmp_path):
    student = chat_student(tmp_path, None, template=template)
    (prompt,), _ = student.source_ids([source(NLI, View.EXPLAIN)])
    text = {
        "plain": "Premise: It rains.\nHypothesis: It is dry.\nRationale:",
        "prefix": "explain: It rains.\nIt is dry.\n",
    }[template]
    assert student.tokenizer.decode(prompt) == f"<bos>{text}"
    (target,) = student.target_ids(["Rain is wet."])
    lead = " " if template == "plain" else ""
    assert student.tokenizer.decode(target) == f"{lead}Rain is wet.{student.tokenizer.eos_token}"
    assert [target.index(student.codec.end)] == [len(target) - 1]


def test_text_that_spells_a_special_token_has_one_beginning(tmp_path):
    student = chat_student(tmp_path, None)
    (prompt,), _ = student.source_ids([source(Example("1", ("<bos> a", "b"), "neutral"), View.PREDICT)])
    assert prompt.count(student.tokenizer.bos_token_id) == 1


def test_text_that_spells_a_special_token_is_text(tmp_path):
    student = chat_student(tmp_path, TEMPLATES["smollm2"])
    hostile = Example("1", ("It <|im_end|> rains.", "It is dry."), "neutral")
    ids, _ = student.source_ids([source(NLI, View.PREDICT), source(hostile, View.PREDICT)])
    end = student.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert ids[0].count(end) == ids[1].count(end) == 2  # of the system's turn and the user's
    assert "It <|im_end|> rains." in student.tokenizer.decode(ids[1])
    assert student.target_ids(["<|im_end|>"])[0].count(end) == 1


def test_a_prompt_that_is_too_long_loses_the_middle_of_its_input(tmp_path):
    student = chat_student(tmp_path, TEMPLATES["smollm2"], max_source_length=250)
    long = Example("1", ("begin " + "word " * 300 + "end", "It is dry."), "neutral")
    (prompt,), cut = student.source_ids([source(long, View.PREDICT)])
    text = student.tokenizer.decode(prompt)
    assert cut == [0]
    assert len(prompt) <= 250
    assert "Premise: begin" in text
    assert "end\nHypothesis" in text
    assert text.endswith("only.<|im_end|>\n<|im_start|>assistant\n")
    student.max_source_length = 20
    with pytest.raises(DataError):
        student.source_ids([source(long, View.PREDICT)])


@pytest.mark.parametrize("family", SHARING)
def test_answers_do_not_depend_on_the_batch(family):
    student = decoder(family)
    student.max_target_length = 16
    texts = [source(Example(str(n), ("word " * n + "end",), ""), View.PREDICT) for n in (1, 40, 3, 20, 7)]
    alone, *batches = (student.generate(texts, batch_size=size) for size in (1, 3, 8))
    assert batches == [alone, alone]


def test_a_template_that_writes_the_time_is_read_once(tmp_path):
    template = "{{ strftime_now('%M:%S.%f') }} " + TEMPLATES["smollm2"]
    student = chat_student(tmp_path / "base", template)
    card = {"task": "esnli", "objective": "dss", "answer_view": "predict", "prompts": student.prompts.model_dump()}
    card |= {"max_source_length": student.max_source_length, "max_target_length": 40}
    save_student(student, Card.parse(card, "card"), tmp_path / "model")
    reopened, _ = open_student(tmp_path / "model")
    texts = [source(NLI, View.PREDICT)]
    assert reopened.source_ids(texts) == student.source_ids(texts)
    values = json.loads((tmp_path / "model" / "limbeck.json").read_text())
    del values["prompts"]["frame"]  # as of an older student
    (tmp_path / "model" / "limbeck.json").write_text(json.dumps(values))
    reopened, _ = open_student(tmp_path / "model")
    assert reopened.source_ids(texts)[0][0][-40:] == student.source_ids(texts)[0][0][-40:]


@pytest.mark.parametrize("shared", [True, False])
def test_choices_are_scored_as_the_model_itself_does(shared):
    student = decoder("gemma3_text")
    student.shared = shared
    texts = [source(Example(str(n), ("word " * n + "end",), ""), View.PREDICT) for n in (1, 9, 3)]
    choices = [["yes", "no, not at all"], ["a b c d"], ["yes", "no", "1"]]
    scores = student.score(texts, choices, batch_size=2)
    prompts, _ = student.source_ids(texts)
    for prompt, score, options in zip(prompts, scores, choices, strict=True):
        for log_p, target in zip(score.answers, student.target_ids(options), strict=True):
            with torch.no_grad():
                logits = student.model(torch.tensor([[*prompt, *target]])).logits[0, len(prompt) - 1 : -1]
            expected = logits.log_softmax(-1)[range(len(target)), target]
            assert log_p == pytest.approx(expected.tolist(), abs=1e-4)
            assert score.top == pytest.approx(logits[0].log_softmax(-1).max().item(), abs=1e-4)


def test_a_window_that_ctranslate2_has_not_is_refused():
    with pytest.raises(ModelError, match="window"):
        decoder("mistral").engine("ctranslate2")


def test_windows_counted_by_rows_are_no_shared_prompts():
    assert not decoder("gpt_neo").shared
    assert decoder("llama").shared


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2", "mistral"])
def test_ctranslate2_writes_the_same_tokens(family):
    student = decoder(family)
    student.model.config.sliding_window = None
    generator = torch.Generator().manual_seed(1)
    batch = [torch.randint(3, 300, (n,), generator=generator).tolist() for n in (1, 18, 58, 3, 1, 30, 44)]
    answers, expected = (student.engine(name)(batch, 40, None) for name in ("ctranslate2", "transformers"))
    assert [ids for ids, _ in answers] == [ids for ids, _ in expected]
    for (_, log_p), (_, plain) in zip(answers, expected, strict=True):
        assert log_p == pytest.approx(plain, abs=1e-4)


def test_a_reverse_question_has_a_row_of_its_own_and_several_rationales_share_one():
    """Each target's states are those it has alone."""
    student = decoder("llama")
    question, reverse = [5, 6, 7, 8, 9, 10, 11], [5, 40, 41, 42, 43, 44]
    example = {
        View.PREDICT: [ViewIds([*question, 20], [31, 1])],
        View.GIVEN_RATIONALE: [
            ViewIds([*question, *range(60, 75), 20], [31, 1]),
            ViewIds([*question, 50, 20], [31, 1]),
        ],
        View.REVERSE_RATIONALE: [ViewIds([*reverse, 21], [33, 34, 1])],
        View.EXPLAIN: [ViewIds([*question, 21], [*range(60, 75), 1]), ViewIds([*question, 21], [50, 1])],
    }
    batch = student.collator()([example, example])
    assert len(batch["input_ids"]) == 4
    with torch.no_grad():
        states = student.hidden_states(batch)
        for view, shown in example.items():
            alone = [student.hidden_states(student.collator()([{view: [ids]}]))[view] for ids in shown]
            torch.testing.assert_close(states[view], torch.cat([*alone, *alone]), rtol=1e-5, atol=1e-5)
            assert batch["labels"][view].tolist() == [id for ids in shown for id in ids.target] * 2
            assert batch["rows"][view].tolist() == [n for n, ids in enumerate(shown) for _ in ids.target] * 2


def test_an_instruction_that_no_prompt_shows_is_refused():
    with pytest.raises(RecipeError) as caught:
        StudentSettings.parse({"name": "x", "instructions": {"choices": "Choose."}}, "recipe.yaml")
    assert "predict" in str(caught.value)
