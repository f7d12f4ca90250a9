"""Prompts of decoder-only students, a template around an input and a view's instruction, and their token ids.

- `chat`: the model's chat template around the input and, after a blank line, the instruction; up to where the answer
  begins, without thinking where that is an option.
- `plain`: `Question: `, the input, and on a new line the instruction, a cue such as `Answer:`.
- `prefix`: the instruction before the input, as Chen et al. 2024 prompt T5.

In `chat` and `plain` the instruction comes last, so that a question's prompts begin alike.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from limbeck.data import Source, View, source
from limbeck.errors import DataError, ModelError, first_line
from limbeck.models.settings import CHAT_OPTIONS, Prompts, StudentSettings
from limbeck.models.tokenization import Codec, Ids
from limbeck.schema import Example
from limbeck.tasks import Task

_CONTENT = "LIMBECK"  # stands for a text in a template


def prompts_for(settings: StudentSettings, task: Task, tokenizer: PreTrainedTokenizerBase) -> Prompts:
    """Return the prompts of a student of `task`: the recipe's, else the defaults."""
    template = settings.template or ("chat" if getattr(tokenizer, "chat_template", None) else "plain")
    question = f"{task.question} " if task.question else ""
    sentences = {
        View.PREDICT: f"{question}Answer with {task.form} only.",
        View.EXPLAIN: f"{question}Explain the reasoning that leads to the answer.",
        View.RATIONALE_FIRST: f'{question}Explain the reasoning first, then write "Answer:" and {task.form}.',
        View.ANSWER_FIRST: f'{question}Write {task.form} first, then "Rationale:" and the reasoning.',
    }
    sentences[View.GIVEN_RATIONALE] = sentences[View.PREDICT]
    sentences[View.REVERSE_QUESTION] = "Ask for something that is given here, and give the answer instead."
    cues = dict.fromkeys(sentences, "Answer:") | dict.fromkeys((View.EXPLAIN, View.RATIONALE_FIRST), "Rationale:")
    cues[View.REVERSE_QUESTION] = "Reverse question:"
    prefixes = {**dict.fromkeys(sentences, "predict: "), View.EXPLAIN: "explain: ", View.REVERSE_QUESTION: "reverse: "}
    defaults = {"chat": sentences, "plain": cues, "prefix": prefixes}[template]
    return Prompts(
        template=template,
        frame=_chat_frame(tokenizer, settings.system) if template == "chat" else None,
        system=settings.system,
        instructions={**defaults, **settings.instructions},
        segments=task.segments if template != "prefix" else (),
    )


def conversation(tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, str]], *, ask: bool) -> str:
    """Return a conversation in the tokenizer's chat template; with `ask` up to where the next answer begins.

    Raises ModelError if the template fails.
    """
    try:
        return str(
            tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=ask, **CHAT_OPTIONS)
        )
    except Exception as error:  # a template is a program and may raise anything
        raise ModelError(
            f"{tokenizer.name_or_path}: its chat template fails: {first_line(error)}; leave student.system out, or set "
            "student.template to plain"
        ) from None


class PromptCodec(Codec):
    """Token ids of prompts and targets; raises ModelError for a chat template that fails.

    A prompt is tokenized as one text unless its input spells a special token.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, ends: Sequence[int], vocabulary: int, *, prompts: Prompts
    ) -> None:
        """Take the model's end ids; the end of a chat template's turn comes before them."""
        self.prompts = prompts
        turn_end = _turn_end(tokenizer, prompts.system) if prompts.template == "chat" else None
        present = [id for id in (turn_end, tokenizer.eos_token_id, *ends) if id is not None]
        super().__init__(tokenizer, list(dict.fromkeys(present)), vocabulary)
        self._frame = ("", "")
        if prompts.template == "chat":
            self._before = []  # the template has its own
            self._frame = prompts.frame or _chat_frame(tokenizer, prompts.system)

    def texts(self, example: Example, view: View, max_source_length: int, max_target_length: int) -> tuple[str, str]:
        """Return a view's prompt and target as the student is trained on them, special tokens included."""
        (prompt,), _ = self.fitted_sources([source(example, view)], max_source_length)
        (ids,), _ = self.fitted_targets([example], view, max_target_length)
        return str(self.tokenizer.decode(prompt)), str(self.tokenizer.decode(ids))

    def sources(self, sources: Sequence[Source]) -> list[Ids]:
        contents = [self.prompts.content(text) for text in sources]
        begin, end = self._frame
        rows = self._ids([begin + content + end for content in contents])
        head, tail = self._ids([begin, end])
        expected = sum(map(self._reserved.__contains__, [*head, *tail]))
        for number, (row, content) in enumerate(zip(rows, contents, strict=True)):
            if self._spells_special(row, content, expected):
                rows[number] = [*head, *self._plain(content), *tail]
        return [[*self._before, *row] for row in rows]

    def _targets(self, texts: Sequence[str]) -> list[Ids]:
        if self.prompts.template == "plain":
            texts = [f" {text}" for text in texts]
        rows = zip(self._ids(texts), texts, strict=True)
        return [self._plain(text) if self._spells_special(row, text, 0) else row for row, text in rows]

    def _clipped(self, row: Ids, limit: int) -> Ids:
        raise DataError(
            f"a prompt without the input's words has {len(row)} tokens: raise student.max_source_length, now {limit}"
        )


def _question(system: str | None) -> list[dict[str, str]]:
    question = [{"role": "system", "content": system}] if system else []
    return [*question, {"role": "user", "content": _CONTENT}]


def _chat_frame(tokenizer: PreTrainedTokenizerBase, system: str | None) -> tuple[str, str]:
    """Return the texts before and after a question in the chat template; raise ModelError where it drops texts."""
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(f"{tokenizer.name_or_path}: no chat template; set student.template to plain")
    begin, content, end = conversation(tokenizer, _question(system), ask=True).partition(_CONTENT)
    if not content or _CONTENT in end or (system or "").strip() not in begin:
        raise ModelError(f"{tokenizer.name_or_path}: its chat template drops texts; set student.template to plain")
    return begin, end


def _turn_end(tokenizer: PreTrainedTokenizerBase, system: str | None) -> int | None:
    """Return the special token that ends an answer's turn in the chat template, if any."""
    turns = [*_question(system), {"role": "assistant", "content": _CONTENT}]
    *_, after = conversation(tokenizer, turns, ask=False).rpartition(_CONTENT)
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids: Ids = tokenizer(after, add_special_tokens=False)["input_ids"]
    return next((id for id in ids if id in special), None)
