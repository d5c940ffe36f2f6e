"""The transports between processes: what is sent arrives, and a rank that is gone is noticed."""

from __future__ import annotations

import os
import pickle
import signal
import time
from typing import Any

import numpy as np
import pytest
from hotrow.distributed import Comm, CommError, LocalComm, RankError
from hotrow.distributed.comm import Buffer, as_bytes
from numpy.typing import NDArray
from ranks import Transport, on_ranks, outcomes

pytestmark = pytest.mark.thread_unsafe


@pytest.fixture(params=["torch", "mpi"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Both adapters, where there is what they need."""
    found: Transport = request.param
    pytest.importorskip("torch" if found == "torch" else "mpi4py")
    return found


def part(step: int, source: int, target: int) -> NDArray[np.uint8]:
    """What `source` sends to `target`: lengths differ, and every third part is empty."""
    length = 0 if (source + 2 * target + step) % 3 == 0 else 1 + 7919 * step * (1 + source + 5 * target)
    return np.random.default_rng([step, source, target]).integers(0, 256, length, np.uint8)


def everything(comm: Comm) -> dict[str, Any]:
    """Every operation."""
    rank, size = comm.rank, comm.size
    wrong = []
    for step in range(12):
        sent = [part(step, rank, target) for target in range(size)]
        found = comm.all_to_all(sent)
        for source in range(size):
            if found[source].dtype != np.uint8 or found[source].tobytes() != part(step, source, rank).tobytes():
                wrong.append((step, source))
            found[source][...] = 0
        if any(sent[target].tobytes() != part(step, rank, target).tobytes() for target in range(size)):
            wrong.append((step, -1))
    return {
        "place": (rank, size),
        "wrong": wrong,
        "kinds": sent_to_all(comm, [b"xy", bytearray(b"xy"), memoryview(b"xy"), np.array([31096], "<u2")][rank]),
        "nothing": sent_to_all(comm, b""),
        "one way": [
            piece.tobytes()
            for piece in comm.all_to_all([b"!" if (rank, target) == (size - 1, 0) else b"" for target in range(size)])
        ],
        "refused": refused(comm),
        "gathered": [
            (item["rank"], len(item["long"])) for item in comm.all_gather({"rank": rank, "long": "x" * 100_000 * rank})
        ],
        "waited": waited(comm),
    }


def sent_to_all(comm: Comm, piece: Buffer) -> list[bytes]:
    """What came, when each rank sent its piece to all."""
    return [found.tobytes() for found in comm.all_to_all([piece] * comm.size)]


def refused(comm: Comm) -> list[str]:
    """Errors before anything is sent: the rank can go on."""
    texts = []
    for parts in ([b""] * (comm.size + 1), [np.zeros((4, 4))[:, 1]] * comm.size):
        with pytest.raises(ValueError, match="part") as error:
            comm.all_to_all(parts)
        texts.append(str(error.value))
    return texts


def waited(comm: Comm) -> float:
    """The seconds of a barrier to which the last rank comes late."""
    comm.barrier()
    if comm.rank == comm.size - 1:
        time.sleep(0.5)
    start = time.monotonic()
    comm.barrier()
    return time.monotonic() - start


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_what_is_sent_arrives(transport: Transport, size: int) -> None:
    for rank, found in enumerate(on_ranks(transport, size, everything)):
        assert found["place"] == (rank, size)
        assert found["wrong"] == []
        assert found["kinds"] == [b"xy"] * size
        assert found["nothing"] == [b""] * size
        assert found["one way"] == [b"!" if (source, rank) == (size - 1, 0) else b"" for source in range(size)]
        assert found["refused"] == [
            f"all_to_all takes a part for each of {size} ranks, and was given {size + 1}",
            "a part has to be contiguous; strides (32,) of shape (4,) are not",
        ]
        assert found["gathered"] == [(source, 100_000 * source) for source in range(size)]
        assert rank == size - 1 or found["waited"] > 0.3


def is_killed(comm: Comm, victim: int, length: int) -> list[str]:
    """One rank is gone in the middle of exchanges; the others say what they saw, the second time too."""
    for _ in range(5):
        comm.all_to_all([np.zeros(length, np.uint8)] * comm.size)
    if comm.rank == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    texts = []
    for _ in range(2):
        try:
            while True:
                comm.all_to_all([np.zeros(length, np.uint8)] * comm.size)
        except CommError as error:
            texts.append(f"{error.rank} {error.operation} {error}")
    raise RuntimeError(texts)


@pytest.mark.parametrize(("size", "victim", "length"), [(2, 1, 10), (3, 0, 3_000_000), (4, 2, 0)])
def test_the_others_notice_that_a_rank_was_killed(transport: Transport, size: int, victim: int, length: int) -> None:
    start = time.monotonic()
    found, log = outcomes(transport, size, is_killed, victim, length, comm_timeout=3.0)
    assert time.monotonic() - start < 60, log
    for rank, outcome in enumerate(found):
        if rank == victim:
            assert outcome.trace == "it ended without a word", log
        else:
            assert isinstance(outcome.error, RuntimeError), (outcome.trace, log)
            first, second = outcome.error.args[0]
            fact = f"{rank} all_to_all rank {rank}: all_to_all failed: "
            assert first.startswith(fact)
            assert second.startswith(f"{fact}an earlier operation failed: ")


def fails_at_one(comm: Comm) -> int:
    """Rank 1 has an error of its own."""
    return 1 // (comm.rank - 1)


def test_an_error_at_a_rank_is_an_error_of_the_test() -> None:
    pytest.importorskip("mpi4py")
    with pytest.raises(pytest.fail.Exception, match="rank 1: Traceback") as error:
        on_ranks("mpi", 2, fails_at_one)
    assert "ZeroDivisionError" in str(error.value)
    assert "rank 0:" not in str(error.value)


def is_late(comm: Comm) -> str:
    """Rank 0 comes too late; the other does not wait for ever."""
    if comm.rank == 0:
        time.sleep(4.0)
    start = time.monotonic()
    try:
        comm.all_gather(comm.rank)
    except CommError as error:
        raise RuntimeError(error.operation, time.monotonic() - start) from error
    return "no error"


def test_a_wait_ends_in_time(transport: Transport) -> None:
    found, log = outcomes(transport, 2, is_late, comm_timeout=1.5)
    assert isinstance(found[1].error, RuntimeError), (found[1], log)
    operation, seconds = found[1].error.args
    assert operation == "all_gather"
    assert 1.0 < seconds < 3.8


def test_the_only_rank_has_what_it_sent() -> None:
    comm = LocalComm()
    given = np.arange(5, dtype=np.float32)
    (found,) = comm.all_to_all([given])
    assert found.tobytes() == given.tobytes()
    found[...] = 0
    assert given[4] == 4
    assert comm.all_gather("x") == ["x"]
    assert (comm.rank, comm.size) == (0, 1)
    comm.barrier()


def test_bytes_of_arrays_are_not_copied() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.shares_memory(as_bytes(array), array)
    assert as_bytes(np.zeros((0, 3), np.int64)).shape == (0,)


def test_errors_say_what_happened_and_can_be_pickled() -> None:
    for error, text in [
        (CommError(1, "barrier", "too late"), "rank 1: barrier failed: too late"),
        (RankError(2, "id 7 of 5"), "rank 2 refused its batch: id 7 of 5"),
    ]:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == text
        assert vars(again) == vars(error)
