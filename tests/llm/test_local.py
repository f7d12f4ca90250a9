"""The client of a local model, held against plain `generate`, one prompt at a time, in the tokenizer's own template."""

import asyncio
import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from limbeck.errors import ModelError
from limbeck.llm.local import LocalClient, render
from limbeck.llm.messages import Failure, Reply
from limbeck.llm.settings import SamplingSettings, TeacherSettings
from tests.helpers.chat_models import (
    DROPS_SYSTEM,
    POSITIONS,
    REFUSES_SYSTEM,
    TEMPLATE,
    chat_tokenizer,
    random_model,
    scripted_model,
)

QUESTIONS = [
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"What is {n}{' plus one' * (n % 5)}?"}]
    for n in range(16)
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "llama": random_model(folder / "llama"),
        "gpt2": random_model(folder / "gpt2", "gpt2"),
        "scripted": scripted_model(folder / "scripted", "Seven, so the answer is 7."),
    }


def make_client(folder, batch_size=8, **sampling):
    settings = TeacherSettings(name=str(folder), engine="local", batch_size=batch_size)
    return LocalClient(settings, SamplingSettings(**{"max_tokens": 24, **sampling}))


def asked(client, questions):
    async def all_at_once():
        try:
            return await asyncio.gather(*(client.ask(question) for question in questions))
        finally:
            await client.close()

    return asyncio.run(all_at_once())


def one_by_one(folder, questions, max_tokens=24, **arguments):
    """(text, whether it ended, prompt's and answer's tokens) of each, by transformers alone."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    for question in questions:
        prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        ids = model.generate(prompt, max_new_tokens=max_tokens, do_sample=False, **arguments)[0, prompt.shape[1] :]
        text = tokenizer.decode(ids, skip_special_tokens=True)
        yield text, bool(ids[-1] == tokenizer.eos_token_id), prompt.shape[1], len(ids)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_a_batch_answers_as_plain_generate_does_one_by_one(folders, family, penalty):
    extra = {"repetition_penalty": penalty}
    answers = asked(make_client(folders[family], extra=extra), QUESTIONS)
    expected = list(one_by_one(folders[family], QUESTIONS, **extra))
    for answer, (text, ended, prompt_tokens, completion_tokens) in zip(answers, expected, strict=True):
        assert isinstance(answer, Reply if ended else Failure)
        assert (answer.prompt_tokens, answer.completion_tokens) == (prompt_tokens, completion_tokens)
        assert json.loads(answer.raw) == {
            "model": str(folders[family]), "text": text, "finish_reason": "stop" if ended else "length",
            "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
        }  # fmt: skip
        if ended:
            assert (answer.text, answer.finish_reason) == (text, "stop")
        else:
            assert (answer.kind, answer.again) == ("cut off", False)
    if family == "llama":
        assert {ended for _, ended, _, _ in expected} == {True, False}


def test_no_batch_is_larger_than_it_may_be(folders):
    widths = []

    def note(module, inputs):
        if isinstance(module, torch.nn.Embedding):
            widths.append(len(inputs[0]))

    teacher = make_client(folders["llama"], batch_size=4)
    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        assert len(asked(teacher, QUESTIONS)) == 16
    finally:
        hook.remove()
    assert max(widths) == 4


def test_samples_differ_from_each_other_and_from_start_to_start(folders):
    starts = []
    for _ in range(2):
        torch.manual_seed(0)  # as every process begins with one seed
        starts.append(asked(make_client(folders["llama"], temperature=1.5, samples=8), QUESTIONS[:1] * 8))
    texts = [json.loads(answer.raw)["text"] for answers in starts for answer in answers]
    assert len(set(texts)) > 12


@pytest.mark.parametrize("template", [REFUSES_SYSTEM, DROPS_SYSTEM])
def test_a_system_turn_that_the_template_does_not_take_goes_to_the_user(template):
    turns = [
        {"role": "system", "content": "Think first.\n"},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1."},
        {"role": "user", "content": "Two?"},
    ]
    text = "<s><|user|>Think first.\n\n\nOne?<|end|><|assistant|>1.<|end|><|user|>Two?<|end|><|assistant|>"
    assert render(chat_tokenizer(template), turns) == text
    own = chat_tokenizer().apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert render(chat_tokenizer(TEMPLATE), turns) == own


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_prompt_that_leaves_no_room_fails_alone(folders, family):
    tokenizer = AutoTokenizer.from_pretrained(folders[family])

    def question(length):
        frame = len(
            tokenizer.apply_chat_template([{"role": "user", "content": ""}], add_generation_prompt=True)["input_ids"]
        )
        return [{"role": "user", "content": "x" * (length - frame)}]

    fits, too_long = question(POSITIONS - 24), question(POSITIONS - 23)
    answers = asked(make_client(folders[family]), [too_long, fits, *QUESTIONS[:2]])
    assert (answers[0].kind, answers[0].again) == ("prompt too long", False)
    assert answers[1].prompt_tokens == POSITIONS - 24
    assert all(answer.completion_tokens for answer in answers[1:])


def test_an_error_in_generating_is_a_failure_of_those_asked(tmp_path):
    folder = random_model(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.lm_head.weight.data.fill_(float("nan"))  # sampling raises
    model.save_pretrained(folder)
    answers = asked(make_client(folder, temperature=1.0), QUESTIONS[:3])
    assert {(answer.kind, answer.again) for answer in answers} == {("generation failed", True)}
    assert all("\n" not in answer.message and "RuntimeError" in answer.message for answer in answers)


def test_an_end_that_only_the_tokenizer_knows_is_an_end(tmp_path):
    """Many models name as their end the end of a document, and their tokenizer that of a turn."""
    folder = scripted_model(tmp_path / "model", "Seven.")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.generation_config.eos_token_id = model.config.eos_token_id = 2
    model.save_pretrained(folder)
    (answer,) = asked(make_client(folder), QUESTIONS[:1])
    assert isinstance(answer, Reply) and answer.text == "Seven."


def test_all_tokens_can_be_drawn(tmp_path):
    """Transformers would by default draw among the fifty likeliest only."""
    folder = random_model(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.nn.init.normal_(model.lm_head.weight, std=1e-4)  # every token is nearly as likely as any other
    model.save_pretrained(folder)
    answers = asked(make_client(folder, batch_size=400, temperature=1.0, max_tokens=1), QUESTIONS[:1] * 400)
    assert len({json.loads(answer.raw)["text"] for answer in answers if isinstance(answer, Failure)}) > 60


def test_closing_ends_every_wait(folders):
    async def close():
        client = make_client(folders["llama"], batch_size=2, max_tokens=400)
        tasks = [asyncio.ensure_future(client.ask(question)) for question in QUESTIONS]
        await asyncio.sleep(0.2)
        await client.close()
        return await asyncio.wait_for(asyncio.gather(*tasks), 60)

    answers = asyncio.run(close())
    assert answers[-1] == Failure("closed", "the teacher was closed before it answered")


@pytest.mark.parametrize(
    ("extra", "message"), [({"repetition_penality": 1.2}, "repetition_penality"), ({"repetition_penalty": 2}, "float")]
)
def test_extra_arguments_that_generate_does_not_take_are_failures(folders, extra, message):
    (answer,) = asked(make_client(folders["llama"], extra=extra), QUESTIONS[:1])
    assert isinstance(answer, Failure)
    assert answer.kind == "generation failed"
    assert message in answer.message and "\n" not in answer.message


def test_folders_that_hold_no_chat_model(folders, tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded as a teacher"):
        make_client(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="chat template"):
        make_client(random_model(tmp_path / "bare", template=None))
    (tmp_path / "bare" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be loaded as a teacher"):
        make_client(tmp_path / "bare")
