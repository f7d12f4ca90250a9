"""The records in a run's folder. Fields that others read are checked; further ones are allowed."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from limbeck.distributed import Parallelism
from limbeck.settings import Settings

_Count = Annotated[int, Field(ge=0, le=10**15)]
_Share = Annotated[float, Field(ge=0, le=1)]


class _Record(Settings):
    model_config = ConfigDict(extra="allow", strict=True)


class _Majority(_Record):
    label: str
    accuracy: _Share


class _ByLabel(_Record):
    majority: _Majority


class Measured(_Record):
    """The results on one split."""

    accuracy: _Share | None
    interval: Annotated[list[_Share], Field(min_length=2, max_length=2)] | None
    n: _Count
    sources_cut: _Count = 0
    unanswered: _Count = 0
    without_confidence: _Count = 0
    in_training: _Count = 0
    by_label: _ByLabel | None = None
    engine: str | None = None
    answers: str | None = None
    votes: _Count | None = None
    temperature: float | None = None


class _Training(_Record):
    examples: _Count
    steps: _Count
    sources: _Count = 0
    targets: _Count = 0


class Results(_Record):
    """A finished run's results.json."""

    valid: Measured
    test: Measured
    out_of_domain: dict[str, Measured] = Field(default_factory=dict)
    predictions: dict[str, str] = Field(default_factory=dict)  # SHA-256 of predictions/NAME.jsonl by NAME
    training: _Training
    notes: dict[str, _Count] = Field(default_factory=dict)


class _Machine(_Record):
    processes: Annotated[int, Field(ge=1)] = 1
    parallelism: Parallelism | None = None


class _Rows(_Record):
    rows: _Count
    sha256: str


class Provenance(_Record):
    """A run's provenance.json."""

    limbeck: str
    machine: _Machine
    data: dict[str, _Rows]
    started: str
    resumed: list[dict[str, Any]] = Field(default_factory=list)
    chat_frame: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None


class TeacherTotals(Settings):
    """The number and the price of a server's questions to its teacher."""

    name: str
    least_confidence: float | None = Field(ge=0)  # None: every question was passed on
    replies: _Count
    cost: float | None = Field(ge=0)  # None: no price is known


class ServerTotals(Settings):
    """The answers of a server from its start to its end: a line of a run's serving.jsonl."""

    started: str
    ended: str
    engine: str
    questions: _Count
    passed_on: _Count  # of the questions
    failed: _Count  # of those passed on: the student's answer was returned
    seconds: float = Field(ge=0)  # that the student computed
    waited: float = Field(ge=0)  # for the teacher, summed over the questions passed on
    teacher: TeacherTotals | None = None
