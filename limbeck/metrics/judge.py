"""The judge: a large model asked from 1 to 5 how good rationales are, as the paper's Table 7 has it.

It is asked with the teacher's machinery, and with the same promises: every reply is in a store from the moment it
arrives, and no reply is asked for again.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import Field

from limbeck.llm.messages import ChatMessage, Tokens, estimate
from limbeck.llm.runner import Request, Session, Tally, ask_all
from limbeck.llm.settings import (
    BudgetSettings,
    LimitSettings,
    NamedTeacher,
    PriceSettings,
    SamplingSettings,
    cost,
    coverage,
    price_of,
    refuse_key,
)
from limbeck.llm.store import Key, Store
from limbeck.metrics.judge_items import Item, digest, question, sample, template
from limbeck.metrics.scores import read_score
from limbeck.schema import Judgement
from limbeck.settings import Settings


class JudgeSettings(Settings):
    """Who judges, how many rationales, and for how much."""

    teacher: NamedTeacher
    n: int = Field(50, ge=1, description="examples a task, the same ones of every run")
    runs: int = Field(
        4, ge=1, le=100, description="of self-consistency, besides the single one; 1: the single one only"
    )
    temperature: float = Field(
        0.7, gt=0, le=2, description="of self-consistency, as in Wang et al. 2022: the paper does not say; single: 0"
    )
    max_tokens: int = Field(1024, ge=1, description="of a reply")
    seed: int = Field(0, ge=0, description="of the choice of examples")
    limits: LimitSettings = LimitSettings()
    budget: BudgetSettings = BudgetSettings()
    prices: PriceSettings | None = Field(None, description="of a million tokens; by default from limbeck's table")
    store: Path = Path("judge.sqlite")


def judge(
    items: Sequence[Item],
    settings: JudgeSettings,
    watch: Callable[[Tally, float | None], None] = lambda _tally, _cost: None,
) -> list[Judgement]:
    """Have a sample of the rationales judged. Whatever ends it, started again it asks for the rest.

    Each is judged once at temperature 0 ("single") and, with `runs` > 1, so many times over at `temperature`
    ("self-consistency"). Rationales that read alike to the judge, answer and all, are asked about once and share
    replies.

    Args:
        items: at most one of each task, run and example. A blank rationale is judged too, as none.
        settings: who judges and how.
        watch: called after every request with the counts, and the cost so far where a price is known; the last time
            when all is done: then the tally's `stopped` says what ended it early, if anything did.

    Returns:
        For each item of the sample, in the items' order, the single judgement, then that of self-consistency. In them
        replies that did not come (a budget, a failure) are None.

    Raises:
        LimbeckError: an item twice, runs of a task without a common example, a budget without a price, or a judge that
            cannot be asked; what arrived is stored.
    """
    chosen = sample(items, settings.n, settings.seed)
    price = price_of(settings.teacher.name, settings.prices)
    covers = coverage(settings.budget, price, settings.teacher.name)
    if not chosen:
        return []
    rounds = [_Round(chosen, settings, SamplingSettings(temperature=0, max_tokens=settings.max_tokens))]
    if settings.runs > 1:
        several = SamplingSettings(
            samples=settings.runs, temperature=settings.temperature, max_tokens=settings.max_tokens
        )
        rounds.append(_Round(chosen, settings, several))
    provenance = _provenance(chosen, settings)
    tally = Tally()

    def show(tally: Tally) -> None:
        watch(tally, None if price is None else cost(tally.tokens, price))

    with Store.open(settings.store) as store:
        store.release_dead()
        for one in rounds:
            store.begin(one.prompt, one.sent, provenance)
        session = Session(settings.teacher, settings.limits, store, covers, tally, show)
        for one in rounds:
            ask_all(session, one.sampling, one.messages, partial(one.missing, store))
        show(tally)
        judged = [one.judgements(store) for one in rounds]
    return [judgement for of_item in zip(*judged, strict=True) for judgement in of_item]


class _Round:
    """The sample put to the judge in one way of sampling its replies."""

    def __init__(self, items: Sequence[Item], settings: JudgeSettings, sampling: SamplingSettings) -> None:
        self.sampling = sampling
        self._items, self._model = items, settings.teacher.name
        self.sent = {"question": template(), "temperature": sampling.heat, "extra": sampling.extra}
        self.prompt = digest(self.sent)  # how long a reply may get makes no other reply

    @cached_property
    def questions(self) -> dict[str, str]:
        """What is asked, by its hash."""
        return {digest(text): text for text in map(question, self._items)}

    def requests(self) -> list[Request]:
        """All the replies wanted, the first of each item, then the second; alike items have the same."""
        asked = [(item, question(item)) for item in self._items]
        return [
            Request(Key(self._model, self.prompt, digest(text), run), item.example, False, self._most(text))
            for run in range(self.sampling.samples)
            for item, text in asked
        ]

    def missing(self, store: Store) -> list[Request]:
        """Return the requests that have no reply yet."""
        answered = store.answered(self._model, self.prompt)
        return [request for request in self.requests() if request.key[2:] not in answered]

    def messages(self, request: Request) -> list[ChatMessage]:
        return _messages(self.questions[request.key.question])

    def judgements(self, store: Store) -> list[Judgement]:
        """One an item, of what the store has."""
        texts = store.texts(self._model, self.prompt)
        judged = []
        for item in self._items:
            asked = digest(question(item))
            replies = tuple(texts.get((asked, run)) for run in range(self.sampling.samples))
            judged.append(
                Judgement(
                    item.example.id,
                    item.task,
                    item.run,
                    item.label,
                    item.rationale,
                    judge=self._model,
                    temperature=self.sampling.heat,
                    replies=replies,
                    scores=tuple(None if reply is None else read_score(reply) for reply in replies),
                )
            )
        return judged

    def _most(self, text: str) -> Tokens:
        return Tokens(estimate(_messages(text)), self.sampling.max_tokens)


def _provenance(items: Sequence[Item], settings: JudgeSettings) -> dict[str, Any]:
    """What is judged and how, to be kept in the store.

    Raises:
        LimbeckError: the judge's key stands in it, and would be written down.
    """
    values = {
        "judge": settings.model_dump(mode="json", exclude_none=True),
        "items": {"count": len(items), "sha256": digest([asdict(item) for item in items])},
        "versions": {name: version(name) for name in ("limbeck", "openai")},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    refuse_key(settings.teacher.key, values, "the judge's settings")
    return values


def _messages(text: str) -> list[ChatMessage]:
    return [{"role": "user", "content": text}]
