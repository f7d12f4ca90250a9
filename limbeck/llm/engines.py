"""The engine that asks a teacher."""

from limbeck.llm.endpoint import EndpointEngine
from limbeck.llm.engine import Engine
from limbeck.llm.settings import LimitSettings, SamplingSettings, TeacherSettings


def open_engine(teacher: TeacherSettings, sampling: SamplingSettings, limits: LimitSettings) -> Engine:
    """Return the engine of `teacher`.

    Raises:
        LimbeckError: the teacher cannot be had; says why.
    """
    if teacher.engine == "local":
        from limbeck.llm.local import LocalEngine  # torch and transformers: seconds that an endpoint does not need

        return LocalEngine(teacher, sampling)
    return EndpointEngine(teacher, sampling, limits)


def fitting(limits: LimitSettings, teacher: TeacherSettings) -> LimitSettings:
    """Return the limits with enough requests in flight to fill the next two batches of a local teacher."""
    if teacher.engine != "local":
        return limits
    return limits.model_copy(update={"concurrency": 2 * teacher.batch_size})
