"""The client of a local model, held against plain `generate`, one prompt at a time, in the tokenizer's own template."""

import asyncio
import json

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer

from limbeck.errors import ModelError
from limbeck.llm.messages import Failure, Reply
from limbeck.llm.settings import SamplingSettings, TeacherSettings
from limbeck.models.teacher import LocalClient, render
from tests.helpers import chat_models

BRIEF = {"role": "system", "content": "Be brief."}
QUESTIONS = [[BRIEF, {"role": "user", "content": f"What is {n}{' plus one' * (n % 5)}?"}] for n in range(12)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {family: chat_models.random_model(folder / family, family) for family in ("llama", "gpt2")}


def make_client(folder, **sampling):
    return LocalClient(TeacherSettings(name=str(folder), engine="local"), SamplingSettings(max_tokens=24, **sampling))


def answers_of(client, questions):
    async def all_at_once():
        return await asyncio.gather(*map(client.ask, questions))

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_a_batch_answers_as_plain_generate_does_one_by_one(folders, family, penalty):
    answers = answers_of(make_client(folders[family], extra={"repetition_penalty": penalty}), QUESTIONS)
    tokenizer = AutoTokenizer.from_pretrained(folders[family])
    model = AutoModelForCausalLM.from_pretrained(folders[family])
    for answer, question in zip(answers, QUESTIONS, strict=True):
        prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        output = model.generate(prompt, max_new_tokens=24, do_sample=False, repetition_penalty=penalty)
        ids = output[0, prompt.shape[1] :]
        text = tokenizer.decode(ids, skip_special_tokens=True)
        assert (json.loads(answer.raw)["text"], answer.tokens) == (text, (prompt.shape[1], len(ids)))
        if ids[-1] == tokenizer.eos_token_id:
            assert isinstance(answer, Reply) and answer.text == text
        else:
            assert isinstance(answer, Failure) and (answer.kind, answer.again) == ("cut off", False)
    if family == "llama":
        assert {type(answer) for answer in answers} == {Reply, Failure}


def test_an_adapter_with_dropout_answers_as_plain_generate_does(folders, tmp_path):
    base = AutoModelForCausalLM.from_pretrained(folders["llama"])
    torch.manual_seed(0)
    base.add_adapter(LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear", init_lora_weights=False))
    tokenizer = AutoTokenizer.from_pretrained(folders["llama"])
    for part in (base, tokenizer):
        part.save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    for answer, question in zip(answers_of(make_client(tmp_path), QUESTIONS), QUESTIONS, strict=True):
        prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        ids = model.generate(prompt, max_new_tokens=24, do_sample=False)[0, prompt.shape[1] :]
        assert json.loads(answer.raw)["text"] == tokenizer.decode(ids, skip_special_tokens=True)


def test_samples_differ_from_each_other_and_from_start_to_start(folders):
    texts = set()
    for _ in range(2):
        torch.manual_seed(0)  # as every process begins with one seed
        answers = answers_of(make_client(folders["llama"], temperature=1.5, samples=8), QUESTIONS[:1] * 8)
        texts |= {json.loads(answer.raw)["text"] for answer in answers}
    assert len(texts) > 12


@pytest.mark.parametrize("template", [chat_models.REFUSES_SYSTEM, chat_models.DROPS_SYSTEM])
def test_a_system_turn_that_the_template_does_not_take_goes_to_the_user(template):
    contents = [("system", "Think first.\n"), ("user", "One?"), ("assistant", "1."), ("user", "Two?")]
    turns = [{"role": role, "content": content} for role, content in contents]
    text = "<s><|user|>Think first.\n\n\nOne?<|end|><|assistant|>1.<|end|><|user|>Two?<|end|><|assistant|>"
    assert render(chat_models.chat_tokenizer(template), turns) == text
    tokenizer = chat_models.chat_tokenizer()
    assert render(tokenizer, turns) == tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def test_a_prompt_that_leaves_no_room_fails_alone(folders):
    empty, room = [{"role": "user", "content": ""}], chat_models.POSITIONS - 24
    frame = len(chat_models.chat_tokenizer().apply_chat_template(empty, add_generation_prompt=True)["input_ids"])
    questions = [[{"role": "user", "content": "x" * (room + extra - frame)}] for extra in (1, 0)]
    too_long, *answers = answers_of(make_client(folders["gpt2"]), [*questions, *QUESTIONS[:2]])
    assert (too_long.kind, too_long.again, answers[0].tokens.prompt) == ("prompt too long", False, room)
    assert all(answer.tokens for answer in answers)


@pytest.mark.parametrize("extra", [{"repetition_penality": 1.2}, {"repetition_penalty": 2}])
def test_what_cannot_be_generated_is_one_line(folders, extra):
    with pytest.raises(ModelError, match=r"repetition_penality|float") as raised:
        answers_of(make_client(folders["llama"], extra=extra), QUESTIONS[:2])
    assert "\n" not in str(raised.value)


def test_an_end_that_only_the_tokenizer_knows_is_an_end(tmp_path):
    folder = chat_models.scripted_model(tmp_path / "model", "Seven.")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.generation_config.eos_token_id = model.config.eos_token_id = 2
    model.save_pretrained(folder)
    (answer,) = answers_of(make_client(folder), QUESTIONS[:1])
    assert isinstance(answer, Reply) and answer.text == "Seven."


def test_folders_that_hold_no_chat_model(tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded"):
        make_client(tmp_path / "nowhere")
    damaged = chat_models.random_model(tmp_path / "damaged")
    tokenizer = damaged / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"BPE"', '"of a later year"'))
    with pytest.raises(ModelError, match="cannot be loaded"):
        make_client(damaged)
    with pytest.raises(ModelError, match="chat template"):
        make_client(chat_models.random_model(tmp_path / "bare", template=None))
