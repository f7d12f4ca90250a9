"""The evaluation part of a recipe."""

from pydantic import Field

from limbeck.models import Answers, Definition, EngineName
from limbeck.settings import Settings


class EvaluationSettings(Settings):
    """Settings of how a student is measured, while it is trained and after."""

    batch_size: int = Field(64, ge=1, description="inputs at a time")
    rationales: bool = Field(False, description="also generate the rationales of the test predictions")
    # validation too goes through the engine: it converts at each, in 1 s of one core for T5-v1.1-small
    engine: EngineName = Field("transformers", description="what generates; ctranslate2: T5 family, limbeck[fast]")
    answers: Answers = Field("generate", description="choices: the likeliest of the example's choices is the answer")
    confidence: Definition | None = Field(
        None, description="which definition is a prediction's confidence; none: choices where there are, else sequence"
    )

    encoder: str | None = Field(None, description="of rationales' similarity on the page; on the Hub, or a folder")
    out_of_domain: list[str] = Field(
        default_factory=list,
        description="tasks of the same labels, in the run's own source; their test split is measured too",
    )
