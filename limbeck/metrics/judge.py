"""The judge: a large model that scores rationales from 1 to 5, as in the paper's Table 7."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from pydantic import Field

from limbeck.errors import DataError
from limbeck.llm.runner import Session, Watch, unwatched
from limbeck.llm.settings import AskingSettings, SamplingSettings
from limbeck.llm.store import Key, Request, Store, fingerprint
from limbeck.metrics.judgements import TASK_NAMES, read_score
from limbeck.models import open_teacher
from limbeck.schema import Example, Judgement
from limbeck.settings import read_mapping

_QUESTION = str(read_mapping(Path(__file__).with_name("judge_prompt.yaml"))["question"])


class JudgeSettings(AskingSettings):
    """The judge, the number of rationales, and the budget."""

    n: int = Field(50, ge=1, description="examples a task, the same for every run")
    runs: int = Field(4, ge=1, le=100, description="of self-consistency, besides the single one; 1: none")
    temperature: float = Field(0.7, gt=0, le=2, description="of self-consistency, as in Wang et al. 2022; single: 0")
    max_tokens: int = Field(1024, ge=1, description="of a reply")
    seed: int = Field(0, ge=0, description="of the choice of examples")
    store: Path = Path("judge.sqlite")


@dataclass(frozen=True, slots=True)
class Item:
    """A rationale to be judged, with the answer shown beside it."""

    run: str  # its name; "Gold": the teacher
    task: str
    example: Example
    label: str
    rationale: str


def sample(items: Sequence[Item], n: int, seed: int) -> list[Item]:
    """Return the items of `n` examples a task that all its runs have, by the lowest hashes with the seed.

    So 50 examples are among 100, and the same in other runs. Raises DataError if runs share none.
    """
    ids: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in items:
        ids[item.task][item.run].add(item.example.id)
    sampled = set()
    for task, runs in ids.items():
        if not (shared := set.intersection(*runs.values())):
            raise DataError(f"task {task!r}: the runs {', '.join(map(repr, runs))} share no example")
        sampled |= {(task, id) for id in sorted(shared, key=lambda id: fingerprint([seed, id]))[:n]}
    return [item for item in items if (item.task, item.example.id) in sampled]


def question(item: Item) -> str:
    return _QUESTION.format(
        task=TASK_NAMES.get(item.task, item.task),
        input=item.example.input,
        label=item.label.strip() or "(none)",
        rationale=item.rationale.strip() or "(none)",
    )


def judge(items: Sequence[Item], settings: JudgeSettings, watch: Watch = unwatched) -> list[Judgement]:
    """Have a sample of the rationales judged; started again after an interruption, ask only for what is missing.

    Returns for each, in order, its judgement at temperature 0 and, with `runs` > 1, that of `runs` replies at
    `temperature` (self-consistency); a reply that did not arrive is None. Equal questions share their replies. Raises
    LimbeckError as `sample`, and where the judge cannot be asked.
    """
    items = sample(items, settings.n, settings.seed)
    limit, runs = settings.max_tokens, settings.runs
    samplings = [SamplingSettings(temperature=0, max_tokens=limit)]
    if runs > 1:
        samplings.append(SamplingSettings(samples=runs, temperature=settings.temperature, max_tokens=limit))
    with Store(settings.store) as store:
        session = Session(settings, store, open_teacher, watch)
        passes = [_ask(session, items, sampling) for sampling in samplings]
        watch(session.tally, settings.cost(session.tally.tokens))
    if session.tally.stopped == "interrupted":
        raise KeyboardInterrupt  # replies are stored; incomplete judgements would replace complete ones
    return [judgement for judgements in zip(*passes, strict=True) for judgement in judgements]


def _ask(session: Session, items: Sequence[Item], sampling: SamplingSettings) -> list[Judgement]:
    model = session.settings.teacher.name
    sent = {"question": _QUESTION, "temperature": sampling.heat, "extra": sampling.extra}
    prompt = fingerprint(sent)  # without max_tokens: it changes no complete reply
    questions = [question(item) for item in items]
    digests = [fingerprint(text) for text in questions]
    session.begin(prompt, sent, {"count": len(items), "sha256": fingerprint([asdict(item) for item in items])})
    requests = []  # the first of each item, then the second
    for number, (item, digest, text) in product(range(sampling.samples), zip(items, digests, questions, strict=True)):
        key = Key(model, prompt, digest, number)
        requests.append(Request(key, item.example.id, [{"role": "user", "content": text}], sampling.max_tokens))
    session.ask(sampling, lambda: requests)
    texts = {key: result.text for key, result in session.store.results(model, prompt).items()}
    judgements = []
    for item, digest in zip(items, digests, strict=True):
        replies = tuple(texts.get((digest, number)) for number in range(sampling.samples))
        scores = tuple(None if reply is None else read_score(reply) for reply in replies)
        identity = (item.example.id, item.task, item.run, item.label, item.rationale)
        judgements.append(Judgement(*identity, model, sampling.heat, replies, scores))
    return judgements
