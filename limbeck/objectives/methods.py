"""The table of methods, and the part of a recipe that names one and changes its terms."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from limbeck.data import View
from limbeck.errors import unknown
from limbeck.objectives.contrast import ContrastTerm, MarginTerm
from limbeck.objectives.soft import SoftTerm
from limbeck.objectives.terms import DIVERGENCES, POOLS, AlignmentTerm, Objective, TokenTerm
from limbeck.settings import Settings, from_name

CHEN = "Chen et al. 2024, Learning to Maximize Mutual Information for CoT Distillation, Findings of ACL"

_LABEL, _RATIONALE = TokenTerm("label", View.PREDICT, 0.5), TokenTerm("rationale", View.EXPLAIN, 0.5)
_DSS = (_LABEL, _RATIONALE)
_TABLE: dict[str, tuple[Objective, ...]] = {  # by group
    "one task": (
        Objective(
            "finetune",
            (replace(_LABEL, weight=1.0),),
            "CE(label)",
            "labels only, the usual fine-tuning",
            f"{CHEN}, Sec. 4.1",
            "there are no rationales, or the baseline of everything else is needed",
        ),
        Objective(
            "single-task",
            (TokenTerm("joint", View.RATIONALE_FIRST, 1.0),),
            "CE(rationale, label)",
            "rationale then label as one target; with `labels: teacher` also the definition of Sec. 4.1",
            f"{CHEN}, Sec. 4.2",
            "the student may reason before each answer, which is slower in use",
        ),
        Objective(
            "answer-first",
            (TokenTerm("joint", View.ANSWER_FIRST, 1.0),),
            "CE(label, rationale)",
            "label then rationale as one target: reasons in training, answers at once in use",
            "Wadhwa et al. 2024, arXiv:2406.14511",
            "answers must come at once, and one text is wanted",
        ),
    ),
    "two tasks": (
        Objective(
            "dss",
            _DSS,
            "label_weight CE(label) + rationale_weight CE(rationale)",
            "two tasks, told apart by a prefix",
            "Hsieh et al. 2023, Distilling Step-by-Step, Findings of ACL",
            "answers must come at once, with an explanation on request: start here",
        ),
        Objective(
            "mi-bound",
            (*_DSS, TokenTerm("bound", View.GIVEN_RATIONALE, 0.5)),
            "dss + bound_weight CE(label given rationale)",
            "dss, and the label after the rationale: I(Y; R | X) >= H(Y | X) - CE(label given rationale)",
            "Barber and Agakov 2003, The IM Algorithm, with the question as a condition",
            "you want to know, in nats, what rationales tell about labels, or to choose rationales by it",
        ),
        Objective(
            "infonce",
            (*_DSS, ContrastTerm(0.1)),
            "dss + contrast_weight InfoNCE(label states, rationale states)",
            "dss, and states by which a question's label and rationale are told from the others of the batch",
            "van den Oord et al. 2018, arXiv:1807.03748",
            "a contrastive baseline is wanted; recognising the question is enough for it",
        ),
    ),
    "the paper's alignment": (
        Objective(
            "mi",
            (*_DSS, AlignmentTerm(0.1)),
            "dss + alignment_weight CE(v', z'), v and z max-pooled over real tokens, normalised",
            "dss and the paper's alignment of label and rationale, as its equations have it",
            f"{CHEN}, Eq. 9-11",
            "you reproduce the paper",
        ),
        Objective(
            "mi-official",
            (*_DSS, AlignmentTerm(0.1, divergence="double-softmax", mask_padding=False, normalise=False)),
            "dss + alignment_weight (-sum v log softmax(z)), v and z max-pooled over padding too",
            "the released code's term of each example to the bit, faults and all: it depends on how a batch was padded",
            f"{CHEN}, released code",
            "you reproduce the paper's released code",
        ),
        Objective(
            "mi-mean",
            (*_DSS, AlignmentTerm(0.1, pool="mean")),
            "dss + alignment_weight CE(v', z'), mean-pooled",
            "mi with mean pooling",
            f"{CHEN}, Table 4",
            "you reproduce Table 4",
        ),
        Objective(
            "kl",
            (*_DSS, AlignmentTerm(0.1, divergence="kl", detach="none")),
            "dss + alignment_weight KL(v' || z'), both sides trained",
            "mi with KL; with the label side detached its gradient would be mi's",
            f"{CHEN}, Table 5",
            "you reproduce Table 5",
        ),
    ),
    "more from the teacher": (
        Objective(
            "soft",
            (replace(_LABEL, weight=0.35), _RATIONALE, SoftTerm(0.15)),
            "label_weight CE(label) + soft_weight KL(teacher's choices || student's) + rationale_weight CE(rationale)",
            "dss, and a teacher's distribution over the choices: its votes, or a larger student's probabilities",
            "Lee et al. 2024, Mentor-KD, arXiv:2410.09037",
            "questions have choices, and the teacher answered each several times or there is a larger student",
        ),
        Objective(
            "margin",
            (*_DSS, MarginTerm(0.1)),
            "dss + margin_weight max(0, margin - log P(rationale) + log P(wrong rationale)), means over tokens",
            "dss, and rationales ahead of those that led to a wrong answer",
            "Wang et al. 2024, arXiv:2405.13014",
            "the teacher answered each question several times, and sometimes wrongly",
        ),
        Objective(
            "reverse",
            (
                _LABEL,
                replace(_RATIONALE, weight=1 / 6),
                TokenTerm("reverse_question", View.REVERSE_QUESTION, 1 / 6),
                TokenTerm("reverse_rationale", View.REVERSE_RATIONALE, 1 / 6),
            ),
            "label_weight CE(label) + the weighted CE of rationale, reverse question, and its rationale",
            "dss, and a reverse question, which asks for what the question gives, with its reasoning",
            "J. Chen et al. 2024, arXiv:2411.19865",
            "the teacher can be asked for reverse questions",
        ),
    ),
}
METHODS = {row.name: replace(row, group=group) for group, rows in _TABLE.items() for row in rows}


class ObjectiveSettings(Settings):
    """A method of `limbeck objectives`, or its name alone, with changes."""

    name: str = Field("mi", description=f"one of {', '.join(METHODS)}")
    label_weight: float | None = Field(None, ge=0, description="weight of the label (or joint) term")
    rationale_weight: float | None = Field(None, ge=0, description="weight of the rationale term")
    bound_weight: float | None = Field(None, ge=0, description="weight of the label given its rationale")
    contrast_weight: float | None = Field(None, ge=0, description="weight of the contrast between questions")
    soft_weight: float | None = Field(None, ge=0, description="weight of a teacher's distribution over the choices")
    temperature: float | None = Field(None, gt=0, description="of the contrast, or of a teacher's distribution")
    reverse_question_weight: float | None = Field(None, ge=0, description="weight of the reverse question")
    reverse_rationale_weight: float | None = Field(None, ge=0, description="weight of the reverse question's rationale")
    margin_weight: float | None = Field(None, ge=0, description="weight of the lead over wrong rationales")
    margin: float | None = Field(None, description="of the lead over wrong rationales, in nats a token")
    alignment_weight: float | None = Field(None, ge=0, description="weight of the alignment term")
    pool: str | None = Field(None, description=f"one of {', '.join(POOLS)}")
    divergence: str | None = Field(None, description=f"one of {', '.join(DIVERGENCES)}")
    mask_padding: bool | None = None
    normalise: bool | None = None
    detach: Literal["label", "none"] | None = None
    symmetric: bool | None = None

    @field_validator("name", "pool", "divergence")
    @classmethod
    def _is_in_its_table(cls, value: str | None, info: Any) -> str | None:
        tables: dict[str, Mapping[str, Any]] = {"name": METHODS, "pool": POOLS, "divergence": DIVERGENCES}
        table = tables[info.field_name]
        if value is not None and value not in table:
            raise ValueError(str(unknown(info.field_name.replace("name", "objective"), value, table)))
        return value

    @model_validator(mode="after")
    def _changes_fit(self) -> Self:
        fields = {field for term in METHODS[self.name].terms for field in term.settings}
        for field in self.model_dump(exclude={"name"}, exclude_none=True).keys() - fields:
            raise ValueError(f"{field} has no meaning for {self.name}, which has no such term")
        return self

    def build(self) -> Objective:
        """Return the method's objective with the changes."""
        values = self.model_dump(exclude_none=True)
        terms = [
            replace(term, **{name: values[field] for field, name in term.settings.items() if field in values})
            for term in METHODS[self.name].terms
        ]
        return replace(METHODS[self.name], terms=tuple(terms))

    def resolved(self) -> dict[str, Any]:
        """Return the values of all fields that the method has."""
        fields = ((field, getattr(term, name)) for term in self.build().terms for field, name in term.settings.items())
        return {"name": self.name, **dict(fields)}


NamedObjective = Annotated[
    ObjectiveSettings, BeforeValidator(from_name, json_schema_input_type=str | ObjectiveSettings)
]
