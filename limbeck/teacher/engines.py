"""Which engine asks a teacher."""

from limbeck.teacher.endpoint import EndpointEngine
from limbeck.teacher.engine import Engine
from limbeck.teacher.settings import LimitSettings, SamplingSettings, TeacherSettings


def open_engine(teacher: TeacherSettings, sampling: SamplingSettings, limits: LimitSettings) -> Engine:
    """The teacher, ready to be asked.

    Raises:
        LimbeckError: it cannot be had; says why.
    """
    return EndpointEngine(teacher, sampling, limits)
