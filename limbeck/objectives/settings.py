"""An objective in a recipe: a method's name, and the changes to its terms."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from limbeck.errors import unknown
from limbeck.objectives.divergences import DIVERGENCES, POOLS
from limbeck.objectives.methods import METHODS
from limbeck.objectives.terms import Objective
from limbeck.settings import Settings, from_name

_TABLES: dict[str, Mapping[str, Any]] = {"name": METHODS, "pool": POOLS, "divergence": DIVERGENCES}


class ObjectiveSettings(Settings):
    """A method of `limbeck objectives`; the other fields change what its row says. A bare string is a name."""

    name: str = Field("mi", description=f"one of {', '.join(METHODS)}")
    label_weight: float | None = Field(None, ge=0, description="weight of the label (or joint) term")
    rationale_weight: float | None = Field(None, ge=0, description="weight of the rationale term")
    alignment_weight: float | None = Field(None, ge=0, description="weight of the alignment term")
    pool: str | None = Field(None, description=f"one of {', '.join(POOLS)}")
    divergence: str | None = Field(None, description=f"one of {', '.join(DIVERGENCES)}")
    mask_padding: bool | None = None
    normalise: bool | None = None
    detach: Literal["label", "none"] | None = None
    symmetric: bool | None = None

    @field_validator(*_TABLES)
    @classmethod
    def _is_in_its_table(cls, value: str | None, info: Any) -> str | None:
        table = _TABLES[info.field_name]
        if value is not None and value not in table:
            raise ValueError(str(unknown("objective" if info.field_name == "name" else info.field_name, value, table)))
        return value

    @model_validator(mode="after")
    def _changes_fit(self) -> Self:
        fields = {field for term in METHODS[self.name].terms for field in term.settings}
        for field in self.model_dump(exclude={"name"}, exclude_none=True).keys() - fields:
            raise ValueError(f"{field} has no meaning for {self.name}, which has no such term")
        return self

    def build(self) -> Objective:
        """Return the method's objective with the changes applied."""
        values = self.model_dump(exclude_none=True)
        terms = [
            replace(term, **{name: values[field] for field, name in term.settings.items() if field in values})
            for term in METHODS[self.name].terms
        ]
        return replace(METHODS[self.name], terms=tuple(terms))

    def resolved(self) -> dict[str, Any]:
        """Return the settings with every field filled in that has a meaning for the method."""
        fields = ((field, getattr(term, name)) for term in self.build().terms for field, name in term.settings.items())
        return {"name": self.name, **dict(fields)}


NamedObjective = Annotated[
    ObjectiveSettings, BeforeValidator(from_name, json_schema_input_type=str | ObjectiveSettings)
]
