"""Which engine asks a teacher."""

from functools import partial

from limbeck.teacher.cluster import ClusterEngine
from limbeck.teacher.endpoint import EndpointEngine
from limbeck.teacher.engine import Engine
from limbeck.teacher.settings import LimitSettings, SamplingSettings, TeacherSettings


def open_engine(teacher: TeacherSettings, sampling: SamplingSettings, limits: LimitSettings) -> Engine:
    """The teacher, ready to be asked.

    Raises:
        LimbeckError: it cannot be had; says why.
    """
    one = partial(_one, teacher, sampling, limits)
    return ClusterEngine(teacher, one) if teacher.workers else one()


def _one(teacher: TeacherSettings, sampling: SamplingSettings, limits: LimitSettings) -> Engine:
    if teacher.engine == "local":
        from limbeck.teacher.local import LocalEngine  # torch and transformers: seconds that an endpoint does not need

        return LocalEngine(teacher, sampling)
    return EndpointEngine(teacher, sampling, limits)


def fitting(limits: LimitSettings, teacher: TeacherSettings) -> LimitSettings:
    """The limits, with as many requests in flight as fill the batches of a local teacher, and those after them."""
    if teacher.engine != "local":
        return limits
    return limits.model_copy(update={"concurrency": 2 * teacher.batch_size * max(1, teacher.workers)})
