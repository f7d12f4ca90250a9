"""What every case is given."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs import BASE, SMALL, TINY, Shape
from limbeck.models import ScratchSettings


@dataclass(frozen=True)
class Settings:
    """`device`: "cpu" or "cuda"; `root`: the released data; `rounds`: timings of each side; `tiny`: toy sizes.

    `rows`: those of the file beyond memory; `run`: the one to serve, None: one is trained.
    """

    device: str
    root: Path
    rounds: int = 20
    tiny: bool = False
    rows: int = 5_000_000
    run: Path | None = None

    @property
    def gpu(self) -> bool:
        return self.device == "cuda"

    @property
    def small(self) -> ScratchSettings:
        """The shape of T5-v1.1-small."""
        return TINY if self.tiny else SMALL

    @property
    def models(self) -> dict[str, ScratchSettings]:
        """The students whose whole step is measured."""
        if self.tiny:
            return {"tiny": TINY}
        return {"T5-small": SMALL, "T5-base": BASE} if self.gpu else {"T5-small": SMALL}

    @property
    def shape(self) -> Shape:
        """The batch of the whole step."""
        return Shape(2, 8, 3, 6) if self.tiny else Shape(64 if self.gpu else 8, 48, 8, 48)
