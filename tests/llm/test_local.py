"""The offline engine, held against plain `generate`, one prompt at a time, in the tokenizer's own template."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel

from limbeck.errors import LimbeckError
from limbeck.llm.chat import render
from limbeck.llm.engine import Failure, Reply
from limbeck.llm.local import LocalEngine
from limbeck.llm.settings import SamplingSettings, TeacherSettings
from tests.chat_models import (
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


def engine(folder, batch_size=8, **sampling):
    settings = TeacherSettings(name=str(folder), engine="local", batch_size=batch_size)
    return LocalEngine(settings, SamplingSettings(**{"max_tokens": 24, **sampling}))


def asked(engine, questions):
    async def all_at_once():
        try:
            return await asyncio.gather(*(engine.ask(question) for question in questions))
        finally:
            await engine.close()

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
    answers = asked(engine(folders[family], extra=extra), QUESTIONS)
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


def test_padding_is_nothing_that_was_said(folders, tmp_path):
    """A ban on what was said before spares the padding token, even one that the model likes to write."""
    (text, *_), *_ = one_by_one(folders["llama"], QUESTIONS[:1])  # the shortest, so that it is padded
    tokenizer = AutoTokenizer.from_pretrained(folders["llama"])
    tokenizer.pad_token = text[0]
    tokenizer.save_pretrained(tmp_path)
    AutoModelForCausalLM.from_pretrained(folders["llama"]).save_pretrained(tmp_path)
    (answer, *_) = asked(engine(tmp_path, extra={"no_repeat_ngram_size": 1}), QUESTIONS)
    assert json.loads(answer.raw)["text"] == next(one_by_one(tmp_path, QUESTIONS[:1], no_repeat_ngram_size=1))[0]


def test_no_batch_is_larger_than_it_may_be(folders):
    widths = []

    def note(module, inputs):
        if isinstance(module, torch.nn.Embedding):
            widths.append(len(inputs[0]))

    teacher = engine(folders["llama"], batch_size=4)
    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        assert len(asked(teacher, QUESTIONS)) == 16
    finally:
        hook.remove()
    assert max(widths) == 4


def test_several_threads_may_ask(folders):
    """Each with an event loop of its own."""
    teacher = engine(folders["scripted"])
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda question: asyncio.run(teacher.ask(question)), QUESTIONS))
    assert {answer.text for answer in answers} == {"Seven, so the answer is 7."}
    asyncio.run(teacher.close())


def test_samples_differ_from_each_other_and_from_start_to_start(folders):
    starts = []
    for _ in range(2):
        torch.manual_seed(0)  # as every process begins with one seed
        starts.append(asked(engine(folders["llama"], temperature=1.5, samples=8), QUESTIONS[:1] * 8))
    texts = [json.loads(answer.raw)["text"] for answers in starts for answer in answers]
    assert len(set(texts)) > 12


def test_sampling_draws_what_it_is_told_to(folders):
    greedy = [text for text, *_ in one_by_one(folders["llama"], QUESTIONS[:4])]
    for sampling in ({"top_p": 1e-6}, {"extra": {"top_k": 1}}, {"extra": {"min_p": 1.0}}):
        answers = asked(engine(folders["llama"], temperature=1.0, **sampling), QUESTIONS[:4])
        assert [json.loads(answer.raw)["text"] for answer in answers] == greedy


def test_all_tokens_can_be_drawn(tmp_path):
    """transformers would by default draw among the fifty likeliest only."""
    folder = random_model(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.nn.init.normal_(model.lm_head.weight, std=1e-4)  # every token is nearly as likely as any other
    model.save_pretrained(folder)
    answers = asked(engine(folder, batch_size=400, temperature=1.0, max_tokens=1), QUESTIONS[:1] * 400)
    assert len({json.loads(answer.raw)["text"] for answer in answers if isinstance(answer, Failure)}) > 60


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


def test_a_conversation_that_no_template_takes(tmp_path):
    folder = random_model(tmp_path / "model", template="{{ raise_exception('roles must\n alternate') }}")
    (answer,) = asked(engine(folder), QUESTIONS[:1])
    assert (answer.kind, answer.again) == ("chat template", False)
    assert "roles must" in answer.message and "\n" not in answer.message


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_prompt_that_leaves_no_room_fails_alone(folders, family):
    tokenizer = AutoTokenizer.from_pretrained(folders[family])

    def question(length):
        frame = len(
            tokenizer.apply_chat_template([{"role": "user", "content": ""}], add_generation_prompt=True)["input_ids"]
        )
        return [{"role": "user", "content": "x" * (length - frame)}]

    fits, too_long = question(POSITIONS - 24), question(POSITIONS - 23)
    answers = asked(engine(folders[family]), [too_long, fits, *QUESTIONS[:2]])
    assert (answers[0].kind, answers[0].again) == ("prompt too long", False)
    assert answers[0].message.endswith("lower sampling.max_tokens or shorten the prompt")
    assert answers[1].prompt_tokens == POSITIONS - 24
    assert all(answer.completion_tokens for answer in answers[1:])


def test_an_error_in_generating_is_a_failure_of_those_asked(tmp_path):
    folder = random_model(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.lm_head.weight.data.fill_(float("nan"))  # sampling raises
    model.save_pretrained(folder)
    answers = asked(engine(folder, temperature=1.0), QUESTIONS[:3])
    assert {(answer.kind, answer.again) for answer in answers} == {("generation failed", True)}
    assert all("\n" not in answer.message and "RuntimeError" in answer.message for answer in answers)


def test_running_out_of_memory_says_what_to_lower(folders):
    def full(module, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    teacher = engine(folders["llama"])
    hook = torch.nn.modules.module.register_module_forward_pre_hook(full)
    try:
        answers = asked(teacher, QUESTIONS[:3])
    finally:
        hook.remove()
    assert {answer.kind for answer in answers} == {"out of memory"}
    assert "teacher.batch_size" in answers[0].message


def test_closing_ends_every_wait_at_once(folders, tmp_path):
    """A batch at work would write 400 tokens a row, and more batches wait behind it."""
    model = AutoModelForCausalLM.from_pretrained(random_model(tmp_path / "endless"))
    model.lm_head.weight.data[1] = 0
    model.save_pretrained(tmp_path / "endless")
    begun = []

    async def close():
        teacher = engine(tmp_path / "endless", max_tokens=400)
        waiting = [asyncio.ensure_future(teacher.ask(question)) for question in QUESTIONS * 4]
        while len(begun) < 20:
            await asyncio.sleep(0.001)
        await teacher.close()
        await teacher.close()
        tokens = len(begun)
        return tokens, await asyncio.wait_for(asyncio.gather(*waiting, teacher.ask(QUESTIONS[0])), 60)

    def note(module, inputs):
        if isinstance(module, torch.nn.Embedding):
            begun.append(None)

    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        tokens, answers = asyncio.run(close())
    finally:
        hook.remove()
    assert {answer.kind for answer in answers} == {"closed"}
    assert tokens < 400


def test_who_gives_up_does_not_disturb_the_others(folders):
    async def give_up():
        teacher = engine(folders["llama"])
        waiting = [asyncio.ensure_future(teacher.ask(question)) for question in QUESTIONS]
        await asyncio.sleep(0)
        for one in waiting[::2]:
            one.cancel()
        answers = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 60)
        await teacher.close()
        return answers

    answers = asyncio.run(give_up())
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    texts = [text for text, *_ in one_by_one(folders["llama"], QUESTIONS[1::2])]
    assert [json.loads(answer.raw)["text"] for answer in answers[1::2]] == texts


def test_the_event_loop_stays_free(folders):
    """While the model works, a task that only asks for its turn gets many of them."""

    async def count():
        teacher, turns = engine(folders["llama"], max_tokens=200), 0
        answer = asyncio.ensure_future(asyncio.gather(*(teacher.ask(question) for question in QUESTIONS)))
        while not answer.done():
            await asyncio.sleep(0)
            time.sleep(0.001)
            turns += 1
        await teacher.close()
        return turns

    assert asyncio.run(count()) > 20


def test_an_end_that_only_the_tokenizer_knows_is_an_end(tmp_path):
    """Many models name as their end the end of a document, and their tokenizer that of a turn."""
    folder = scripted_model(tmp_path / "model", "Seven.")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.generation_config.eos_token_id = model.config.eos_token_id = 2
    model.save_pretrained(folder)
    (answer,) = asked(engine(folder), QUESTIONS[:1])
    assert isinstance(answer, Reply) and answer.text == "Seven."


def test_precision_is_the_checkpoint_s(folders, tmp_path):
    folder = random_model(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    seen = set()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: seen.update(weight.dtype for weight in module.parameters())
    )
    try:
        asked(engine(folder), QUESTIONS[:1])
    finally:
        hook.remove()
    assert seen == {torch.bfloat16}


def test_what_is_no_chat_model(folders, tmp_path):
    with pytest.raises(LimbeckError, match=r"cannot be loaded as a teacher: .*; give a folder"):
        engine(tmp_path / "nowhere")
    with pytest.raises(LimbeckError, match="its tokenizer has no chat template; use a model trained to chat"):
        engine(random_model(tmp_path / "bare", template=None))
    BertModel(BertConfig(vocab_size=270, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
                         is_decoder=True)).save_pretrained(tmp_path / "bert")  # fmt: skip
    chat_tokenizer().save_pretrained(tmp_path / "bert")
    with pytest.raises(LimbeckError, match=r"of its weights are missing, cls\.predictions"):
        engine(tmp_path / "bert")
    (tmp_path / "bert" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(LimbeckError, match="cannot be loaded as a teacher"):
        engine(tmp_path / "bert")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"repetition_penality": 1.2}, "sampling.extra: unknown generation argument of engine local "
         "'repetition_penality': did you mean 'repetition_penalty'?"),
        ({"num_return_sequences": 3}, "sampling.extra: unknown generation argument of engine local"),
        ({"repetition_penalty": 2}, "sampling.extra: `penalty` has to be a strictly positive float, but is 2"),
        ({"do_sample": True}, "sampling.extra: unknown generation argument of engine local"),
    ],
)  # fmt: skip
def test_what_generate_would_not_take_is_refused(folders, extra, message):
    with pytest.raises(LimbeckError) as refused:
        engine(folders["llama"], extra=extra)
    assert str(refused.value).startswith(message)
