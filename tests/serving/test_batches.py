"""Questions that wait share batches, and none is lost, mixed up or computed for nobody."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from limbeck.errors import DataError, ModelError
from limbeck.schema import Example, Prediction
from limbeck.serving.batches import Batches, QueueFullError


class Recorder:
    """Answers with the question's own number, slowly, and keeps each batch."""

    def __init__(self, seconds=0.01):
        self.batches, self.seconds, self.failing = [], seconds, False
        self.begun = threading.Event()

    def __call__(self, examples, rationales):
        self.begun.set()
        time.sleep(self.seconds)
        self.batches.append(([example.id for example in examples], rationales))
        if self.failing:
            raise RuntimeError("out of luck")
        reason = "because" if rationales else None
        return [Prediction(e.id, e.input, None, e.id, None, None, rationale=reason) for e in examples]

    @property
    def asked(self):
        return [id for ids, _ in self.batches for id in ids]


def examples(*numbers):
    return [Example(str(number), (f"question {number}",), "") for number in numbers]


def opened(answer, *, size=8, room=100, workers=1):
    pool = ThreadPoolExecutor(workers)
    return Batches(answer, size=size, room=room, workers=workers, pool=pool, watch=lambda *_: None)


@pytest.mark.parametrize("workers", [1, 3])
def test_requests_share_batches_and_each_gets_its_own_answers(workers):
    recorder = Recorder()

    async def ask():
        async with opened(recorder, workers=workers) as batches:
            requests = (batches.answers(examples(n, n + 100), rationale=n % 3 == 0) for n in range(40))
            return await asyncio.gather(*requests)

    for number, predictions in enumerate(asyncio.run(ask())):
        assert [p.prediction for p in predictions] == [str(number), str(number + 100)]
        assert [p.rationale for p in predictions] == (["because"] * 2 if number % 3 == 0 else [None] * 2)
    assert sorted(recorder.asked, key=int) == sorted(map(str, [*range(40), *range(100, 140)]), key=int)
    sizes = [len(ids) for ids, _ in recorder.batches]
    assert max(sizes) == 8 and len(sizes) <= 80 // 8 + 2 * workers + 1
    wanted = {str(n) for n in range(40) if n % 3 == 0} | {str(n + 100) for n in range(40) if n % 3 == 0}
    for ids, rationales in recorder.batches:
        assert {id in wanted for id in ids} == {rationales}


def test_clients_that_ask_again_one_after_the_other_share_the_next_batch_too():
    recorder = Recorder(1.0)

    async def ask():
        async def client(number):
            await batches.answers(examples(number), rationale=False)
            await asyncio.sleep(0.0015 * number)
            await batches.answers(examples(number + 10), rationale=False)

        async with opened(recorder) as batches:
            await asyncio.gather(*map(client, range(8)))

    asyncio.run(ask())
    assert [len(ids) for ids, _ in recorder.batches] == [8, 8]


def test_a_full_queue_refuses_at_once_and_has_room_again():
    recorder = Recorder(0.2)

    async def ask():
        async with opened(recorder, size=2, room=4) as batches:
            first = asyncio.create_task(batches.answers(examples(0, 1), rationale=False))
            while not recorder.begun.is_set():
                await asyncio.sleep(0.001)
            second = asyncio.create_task(batches.answers(examples(2, 3, 4), rationale=False))
            await asyncio.sleep(0)
            with pytest.raises(QueueFullError) as refused:
                await batches.answers(examples(5, 6), rationale=False)
            assert refused.value.seconds >= 1
            third = await batches.answers(examples(7), rationale=False)
            return [*await first, *await second, *third]

    assert [p.prediction for p in asyncio.run(ask())] == ["0", "1", "2", "3", "4", "7"]
    assert recorder.asked == ["0", "1", "2", "3", "4", "7"]


def test_what_nobody_waits_for_any_longer_is_not_computed():
    recorder = Recorder(0.1)

    async def ask():
        async with opened(recorder, size=1) as batches:
            first = asyncio.create_task(batches.answers(examples(0), rationale=False))
            while not recorder.begun.is_set():
                await asyncio.sleep(0.001)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await batches.answers(examples(1, 2), rationale=False)
            await first
            return await batches.answers(examples(3), rationale=False)

    assert [p.prediction for p in asyncio.run(ask())] == ["3"]
    assert recorder.asked == ["0", "3"]


def test_a_question_at_fault_is_refused_and_the_others_of_its_batch_are_answered():
    def answer(examples, rationales):
        if any(example.id == "1" for example in examples):
            raise DataError("question 1 is at fault")
        return recorder(examples, rationales)

    recorder = Recorder()

    async def ask():
        async with opened(answer) as batches:
            requests = [batches.answers(examples(n), rationale=False) for n in range(3)]
            return await asyncio.gather(*requests, return_exceptions=True)

    first, error, last = asyncio.run(ask())
    assert isinstance(error, DataError) and (first[0].id, last[0].id) == ("0", "2")


def test_an_unexpected_error_is_one_of_ours_and_the_next_question_is_answered(caplog):
    recorder = Recorder()
    recorder.failing = True

    async def ask():
        async with opened(recorder) as batches:
            with pytest.raises(ModelError):
                await batches.answers(examples(1), rationale=False)
            recorder.failing = False
            return await batches.answers(examples(9), rationale=False)

    assert asyncio.run(ask())[0].prediction == "9" and "out of luck" in caplog.text


def test_questions_given_up_leave_their_room():
    recorder = Recorder(0.3)

    async def ask():
        async with opened(recorder, size=1, room=3) as batches:
            first = asyncio.create_task(batches.answers(examples(0), rationale=False))
            while not recorder.begun.is_set():
                await asyncio.sleep(0.001)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await batches.answers(examples(1, 2, 3), rationale=False)
            await asyncio.gather(first, batches.answers(examples(4, 5, 6), rationale=False))

    asyncio.run(ask())
    assert recorder.asked == ["0", "4", "5", "6"]
