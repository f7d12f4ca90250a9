"""Exports that answer as the run: in plain transformers, CTranslate2 and llama.cpp; and what cannot be exported."""

import json
import random
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.decoders import ByteLevel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from limbeck.data import View, source
from limbeck.errors import DataError, FileError, ModelError, RecipeError
from limbeck.models import StudentSettings
from limbeck.models.loading import load, open_student, save_merged
from limbeck.runs import train
from limbeck.schema import Example
from limbeck.serving.export import export
from limbeck.serving.gguf import _SPLITS, write_gguf
from limbeck.tasks import get
from tests.helpers import builders, decoders, tokenizers
from tests.runs.recipes import rows_of, tiny
from tests.runs.test_publication import CHAT, code_block

gguf = pytest.importorskip("gguf", reason="GGUF needs limbeck[gguf]")
pytest.importorskip("ctranslate2", reason="CTranslate2 needs limbeck[fast]")
LIMIT = 32  # of an answer, in tokens
TEXT = "It's 84.5 points, DON'T\n\n\tyou'LL   see?! 1234567 naïve 漢字 <a>½² (a)</a>..."
IM = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
IM += "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES, PIECES = (pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex) for regex in (True, False))
SPLITS = {  # as the tokenizers of models in use have them
    "gpt-2": BYTES,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), BYTES]),
    "qwen2": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(WORDS % ""), "isolated"), PIECES]),
    "llama-bpe": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(WORDS % "{1,3}"), "isolated"), PIECES]),
}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 64}
GEMMA = {"sliding_window": 300, "layer_types": ["sliding_attention"] * 5 + ["full_attention"], "num_hidden_layers": 6}
GEMMA |= {"query_pre_attn_scalar": 256, "final_logit_softcapping": None, "head_dim": 256}
FAMILIES = {  # tokenizer's split, chat template, what the model has of its own
    "llama": (
        "smollm",
        IM,
        {"tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}},
    ),
    "llama3": ("llama-bpe", CHAT, {"rope_parameters": LLAMA3, "tie_word_embeddings": False}),
    "qwen2": ("qwen2", None, {}),
    "qwen3": ("gpt-2", None, {"head_dim": 128}),
    "gemma3_text": ("sentencepiece", "{{ bos_token }}" + CHAT, GEMMA),
}


def byte_level(split):
    """A byte-level BPE whose text is split before merges as llama.cpp calls it."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=split == "llama-bpe"))
    tokenizer.pre_tokenizer, tokenizer.decoder = SPLITS[split], ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<end>", "<|im_start|>", "<|im_end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([*tokenizers.TEXTS, TEXT, "1234 12 123 567"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


def base(folder, family, *, kind=None, normalizer=None, split=None, **changes):
    """Save a decoder that answers at random, but not always the same; its tokenizer is perhaps of another kind."""
    known, template, own = FAMILIES[family]
    tokenizer = kind() if kind else tokenizers.gemma() if known == "sentencepiece" else byte_level(known)
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizer or backend.normalizer
    if split:
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, SPLITS["gpt-2"]])
    tokenizer.add_tokens(["<a>"])
    tokenizer.chat_template = template
    sizes = decoders._SIZES | {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    sizes |= {"vocab_size": len(tokenizer) + 5, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    changes = sizes | {"initializer_range": 0.3} | own | changes
    family = "llama" if family == "llama3" else family
    return builders.save(folder, builders.small_model(family, tokenizer, AutoModelForCausalLM, **changes), tokenizer)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """`runs(family)`: a finished run of a small student, and with merged weights its model; trained once."""
    finished = {}
    training = {"max_steps": 2, "per_device_train_batch_size": 4, "eval_steps": 2, "logging_steps": 1}

    def run_of(family, **changes):
        key = family + json.dumps(changes)
        if key not in finished:
            folder = tmp_path_factory.mktemp(family)
            student = {"max_target_length": LIMIT}
            if family == "t5":
                student |= {"name": str(builders.t5(folder / "base"))}
            else:
                student |= {"name": str(base(folder / "base", family, **changes)), "max_source_length": 250}
                student |= {"lora": {"r": 4}} if family == "llama" else {}
            run = train(tiny(student=student, training={**training, "learning_rate": 0.01}), folder / "run")
            save_merged(run.model, folder / "merged")
            finished[key] = (run, folder / "merged")
        return finished[key]

    return run_of


@pytest.fixture(scope="module")
def exports(runs, tmp_path_factory):
    """`exports(family, format)`: the folder of an export that agrees with the family's run; written once."""
    folders = {}

    def export_of(family, to):
        if (family, to) not in folders:
            folders[family, to] = tmp_path_factory.mktemp(family) / to
            exported = export(runs(family)[0].path, folders[family, to], to, license="mit")
            assert (exported.agreement, exported.rows) == (1.0, 6)
        return folders[family, to]

    return export_of


def answers(run):
    return [row["prediction"] for row in rows_of(run.predictions("test"))]


def prompts(run):
    """The student, and the token ids of the test questions as it reads them."""
    student, card = open_student(run.model)
    sources = [source(Example("", (row["input"],), ""), card.answer_view) for row in rows_of(run.predictions("test"))]
    return student, student.source_ids(sources)[0]


def request(folder):
    """The card's question to a server."""
    return json.loads(re.search('```json\n(.*"max_tokens".*)\n```', (folder / "README.md").read_text())[1])


def test_the_plain_model_has_the_adapter_in_its_weights_and_the_card_the_agreement(runs, exports):
    run, folder = runs("llama")[0], exports("llama", "hf")
    assert not (folder / "adapter_config.json").exists()
    model, tokenizer = (auto.from_pretrained(folder) for auto in (AutoModelForCausalLM, AutoTokenizer))
    trained = AutoTokenizer.from_pretrained(run.model)
    assert (tokenizer.chat_template, tokenizer(TEXT).input_ids) == (IM, trained(TEXT).input_ids)
    for answer, ids in zip(answers(run), prompts(run)[1], strict=True):
        output = model.generate(torch.tensor([ids]), max_new_tokens=LIMIT, do_sample=False)
        assert tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True).strip() == answer
    card = (folder / "README.md").read_text()
    assert all(text in card for text in ("100.0% of 6 questions", "vllm serve", "license: mit", "(llama, "))
    assert str(run.path.parent) not in "".join(path.read_text() for path in folder.glob("*.json"))
    # the request of the card is the prompt that the student was trained on
    body = request(folder)
    sent = tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
    question, _, instruction = body["messages"][-1]["content"].rpartition("\n\n")
    student, card = open_student(run.model)
    assert card.prompts.instructions[View.PREDICT] == instruction
    assert student.source_ids([source(Example("", (question,), ""), View.PREDICT)])[0] == [tokenizer(sent).input_ids]


@pytest.mark.parametrize("family", ["llama", "qwen2", "t5"])
def test_ctranslate2_has_the_models_own_tokens(family, exports, capsys, monkeypatch):
    names = {path.name for path in exports(family, "ctranslate2").iterdir()}
    assert {"model.bin", "tokenizer.json", "README.md", "recipe.yaml"} < names
    assert not names & {"limbeck.json", "model.safetensors", "generation_config.json"}
    for to in ("ctranslate2", "hf"):
        monkeypatch.chdir(exports(family, to))
        exec(code_block(exports(family, to), "python"), {})
    out = capsys.readouterr().out
    assert out[: len(out) // 2] == out[len(out) // 2 :]
    assert out.count("rationale: ") == 2


def test_int8_reports_its_agreement(runs, exports, tmp_path):
    exported = export(runs("llama")[0].path, tmp_path / "ct2", "ctranslate2", precision="int8")
    assert 0 <= exported.agreement <= 1
    assert f"{exported.agreement:.1%} of 6 questions" in (tmp_path / "ct2" / "README.md").read_text()
    sizes = [(path / "model.bin").stat().st_size for path in (tmp_path / "ct2", exports("llama", "ctranslate2"))]
    assert sizes[0] < 0.4 * sizes[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gguf_file_is_the_model_to_plain_transformers(family, runs, exports):
    run, merged = runs(family)
    folder = exports(family, "gguf")
    plain, tokenizer = AutoModelForCausalLM.from_pretrained(merged), AutoTokenizer.from_pretrained(merged)
    where = {"pretrained_model_name_or_path": folder, "gguf_file": "model.gguf"}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    ids = torch.tensor(prompts(run)[1][:1])
    with torch.no_grad():
        if family == "llama3":  # whose scaled positions transformers does not read
            model.model.rotary_emb = plain.model.rotary_emb
        torch.testing.assert_close(model(ids).logits, plain(ids).logits, rtol=1e-4, atol=1e-4)
    fields = {name: field.contents() for name, field in gguf.GGUFReader(folder / "model.gguf").fields.items()}
    assert fields.get("tokenizer.chat_template") == FAMILIES[family][1]
    assert fields["tokenizer.ggml.pre"] == ("default" if family == "gemma3_text" else FAMILIES[family][0])
    assert fields["tokenizer.ggml.add_bos_token"] == (family == "gemma3_text")
    if family == "gemma3_text":  # llama.cpp merges by scores what others merge by rank
        merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
        ids_of = tokenizer.convert_tokens_to_ids(list(dict.fromkeys(map("".join, merges))))
        scores = [fields["tokenizer.ggml.scores"][id] for id in ids_of]
        assert scores == sorted(set(scores), reverse=True)
    assert fields["tokenizer.ggml.eos_token_id"] == open_student(run.model)[0].codec.ends[0]
    if family != "llama":  # transformers does not know the split of SmolLM
        again = AutoTokenizer.from_pretrained(**where)
        for text in (TEXT, "<|im_start|>user\n1234"):
            assert again(text).input_ids == tokenizer(text).input_ids


def test_q8_0_is_what_the_file_has(runs, tmp_path):
    run, merged = runs("qwen2")
    exported = export(run.path, tmp_path / "gguf", "gguf", precision="q8_0")
    assert exported.precision == "q8_0"
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "gguf" / "model.gguf").tensors}
    down = tensors["blk.1.ffn_down.weight"]
    assert down.tensor_type == gguf.GGMLQuantizationType.Q8_0
    assert tensors["blk.1.attn_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32
    weight = AutoModelForCausalLM.from_pretrained(merged).state_dict()["model.layers.1.mlp.down_proj.weight"].numpy()
    steps = np.abs(weight).reshape(len(weight), -1, 32).max(-1, keepdims=True) / 127
    errors = np.abs(gguf.quants.dequantize(down.data, down.tensor_type) - weight).reshape(len(weight), -1, 32)
    assert errors.max() > 0
    assert (errors <= 0.51 * steps + 1e-3 * steps * 127).all()  # half a step, and the step's own rounding


def test_llama_3_divides_its_frequencies(exports):
    factors = {t.name: t.data for t in gguf.GGUFReader(exports("llama3", "gguf") / "model.gguf").tensors}[
        "rope_freqs.weight"
    ]
    lengths = 2 * np.pi * 500 ** (np.arange(8) / 8)  # of waves; head_dim is 16
    smooth = (64 / lengths - 1) / (4 - 1)
    expected = np.where(lengths > 64, 8, np.where(lengths < 16, 1, 1 / ((1 - smooth) / 8 + smooth)))
    np.testing.assert_allclose(factors, expected, rtol=1e-4)


def test_ollama_sees_the_prompt_that_the_student_was_trained_on(runs, exports):
    for family in ("llama", "gemma3_text", "qwen2"):
        student, card = open_student(runs(family)[0].model)
        lines = (exports(family, "gguf") / "Modelfile").read_text()
        begin, end = map(json.loads, re.findall(r'\{\{ (".*?") \}\}', lines))
        body = request(exports(family, "gguf"))
        prompt = body["prompt"] if family == "qwen2" else body["messages"][-1]["content"]
        question = prompt.removeprefix("Question: ").rpartition("\n")[0].strip()
        (ids,), _ = student.source_ids([source(Example("", (question,), ""), card.answer_view)])
        assert student.tokenizer(begin + prompt + end).input_ids == ids  # Gemma's begins with <bos>


@pytest.mark.parametrize("split", SPLITS)
def test_the_splits_of_text_differ_from_each_other(split):
    equal = [
        name for name, known in _SPLITS.items() if known.pre_tokenize_str(TEXT) == SPLITS[split].pre_tokenize_str(TEXT)
    ]
    assert equal == [split]


def test_what_a_format_cannot_hold_is_refused_and_leaves_nothing(runs, tmp_path):
    def refused(error, run, *words, **options):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(error) as raised:
            export(run.path, *words, **options)
        assert sorted(tmp_path.iterdir()) == before
        return raised.value

    run, _ = runs("llama")
    new = tmp_path / "new"
    refused(ModelError, runs("t5")[0], new, "gguf")
    assert refused(RecipeError, run, new, "hf", precision="int8").field == "--precision"
    assert refused(RecipeError, run, new, "gguf", precision="int8").field == "--precision"
    assert refused(RecipeError, run, new, "gguf", license="My Own").field == "--license"  # after the weights
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for path in (tmp_path / "there", tmp_path / "link"):
        assert refused(FileError, run, path, "hf").path == path


def test_an_export_that_answers_otherwise_is_refused(runs, tmp_path):
    run, _ = runs("qwen2", hidden_act="relu")  # which CTranslate2's converter overlooks
    with pytest.raises(ModelError) as raised:
        export(run.path, tmp_path / "ct2", "ctranslate2")
    assert raised.value.path == tmp_path / "ct2"
    with pytest.raises(ModelError):
        export(run.path, tmp_path / "gguf", "gguf")
    assert not list(tmp_path.iterdir())
    run.predictions("test").write_text("")
    with pytest.raises(DataError):
        export(run.path, tmp_path / "hf", "hf")


@pytest.mark.slow
@pytest.mark.parametrize("to", ["hf", "ctranslate2", "gguf"])
def test_a_kill_leaves_no_export_and_the_next_one_is_whole(to, runs, tmp_path):
    run, folder = runs("llama")[0], tmp_path / "export"
    command = [sys.executable, "-m", "limbeck", "export", str(run.path), "--to", to, "--output", str(folder)]
    delays = random.Random(1)
    for _ in range(3):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = set(tmp_path.iterdir())
        while not (set(tmp_path.iterdir()) - before) and child.poll() is None:
            time.sleep(0.001)
        time.sleep(delays.uniform(0, 0.1))
        child.kill()
        if child.wait() == 0:  # it was faster
            shutil.rmtree(folder)
        assert not folder.exists()
    assert export(run.path, folder, to).agreement == 1.0
    left = [path.name for path in tmp_path.iterdir() if path != folder]
    assert all(re.fullmatch(r"\.[0-9a-f]{8}\.tmp", name) for name in left) and left


LACKS = {  # of llama.cpp: a model and what is changed of it
    "family": lambda folder: decoders.decoder(folder, "gpt2"),
    "activation": lambda folder: base(folder, "qwen2", hidden_act="relu"),
    "windows": lambda folder: base(folder, "gemma3_text", layer_types=["full_attention"] * 6),
    "positions": lambda folder: base(folder, "qwen2", rope_parameters={**LLAMA3, "rope_type": "linear"}),
    "digits in pairs": lambda folder: base(folder, "llama", split=pre_tokenizers.Digits(individual_digits=False)),
    "lower case": lambda folder: base(folder, "llama", normalizer=normalizers.Lowercase()),
    "words": lambda folder: base(folder, "llama", kind=tokenizers.word_tokenizer),
}


@pytest.mark.parametrize("what", LACKS)
def test_llama_cpp_lacks_some_models_and_tokenizers(what, tmp_path):
    folder = LACKS[what](tmp_path / "base")
    student = load(StudentSettings(name=str(folder), template="plain"), [], get("svamp"))
    with pytest.raises(ModelError):
        write_gguf(student, tmp_path / "model.gguf", quantised=False)
    assert not (tmp_path / "model.gguf").exists()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "q8_0"])
@pytest.mark.parametrize("family", FAMILIES)
def test_llama_cpp_reads_the_same_tokens_and_has_the_same_logits(family, precision, runs, tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp", reason="needs `pip install llama-cpp-python`, which compiles it")
    run, merged = runs(family)
    export(run.path, tmp_path / "gguf", "gguf", precision=precision)
    caches = {"type_k": llama_cpp.GGML_TYPE_F32, "type_v": llama_cpp.GGML_TYPE_F32}  # by default float16
    path = str(tmp_path / "gguf" / "model.gguf")
    llama = llama_cpp.Llama(path, n_ctx=512, n_threads=1, logits_all=True, verbose=False, **caches)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(merged), AutoTokenizer.from_pretrained(merged)
    for text in (TEXT, "<|im_start|>user\n1234<|im_end|>"):
        assert llama.tokenize(text.encode(), add_bos=True, special=True) == tokenizer(text).input_ids
    student, rows = prompts(run)
    assert llama.token_eos() == student.codec.ends[0]
    for ids in rows:
        llama.reset()
        llama.eval(ids)
        with torch.no_grad():
            expected = model(torch.tensor([ids])).logits[0].numpy()
        logits = llama.scores[: len(ids)]
        if precision == "float32":
            np.testing.assert_allclose(logits, expected, atol=5e-3 * np.abs(expected).max())
        assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.98
