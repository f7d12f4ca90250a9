"""The evaluation part of a recipe."""

from pydantic import Field

from limbeck.evaluation.confidence import Definition
from limbeck.settings import Settings
from limbeck.students import Answers, EngineName


class EvaluationSettings(Settings):
    """How a student is measured, while it is trained and after."""

    batch_size: int = Field(64, ge=1, description="inputs, or pairs of input and choice, at a time")
    rationales: bool = Field(False, description="also generate the rationales of the test predictions")
    # Validation too goes through the engine, converting at each: 1 s of one core for T5-v1.1-small, 4 s for base (248 M
    # weights), where generating answers for a thousand rows takes minutes. And what is chosen is what will be used.
    engine: EngineName = Field("transformers", description="what generates; ctranslate2: T5 family, limbeck[fast]")
    answers: Answers = Field("generate", description="choices: the likeliest of the example's choices is the answer")
    confidence: Definition | None = Field(
        None, description="which definition is a prediction's confidence; none: choices where there are, else sequence"
    )

    def generates(self, rationales: bool) -> bool:
        """Whether anything is generated, which is what the engine is for."""
        return rationales or self.answers == "generate"
