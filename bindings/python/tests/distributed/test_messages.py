"""Messages between ranks: what carries them, and what they refuse."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hotrow import EmbeddingBagConfig, EmbeddingConfig, _native
from hotrow.distributed import LocalComm, RankError, Traffic
from hotrow.distributed.conversation import Conversation
from hotrow.distributed.messages import framed, unframed
from hypothesis import given
from hypothesis import strategies as st
from plain import same
from worlds import ThreadComm, results

CONFIG = EmbeddingBagConfig(name="t", num_embeddings=10, embedding_dim=2, feature_names=["a"])
ROUTES = _native.Routes([CONFIG], [(0, 0, 0, 5, 0, 2), (0, 1, 5, 10, 0, 2)], 2)


def as_message(data: bytes) -> Any:
    """Bytes as an array."""
    return np.frombuffer(data, np.uint8)


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_frames_are_opened_as_they_were_made(messages: list[bytes]) -> None:
    frame = framed([as_message(message) for message in messages])
    assert [message.tobytes() for message in unframed(frame, 0)] == messages
    for end in range(len(frame)):
        whole = [8 + len(message) for message in messages]
        if end in np.cumsum([0, *whole]):
            continue
        with pytest.raises(ValueError, match="rank 3 cannot be read"):
            unframed(frame[:end], 3)


def test_what_is_sent_is_answered_and_counted() -> None:
    traffic = Traffic()
    with Conversation(LocalComm(), traffic, 2) as conversation:
        replies = [conversation.send("ids", [as_message(data)]) for data in (b"abc", b"de")]
        assert [reply()[0].tobytes() for reply in replies] == [b"abc", b"de"]
    # What a rank sends to itself is not sent.
    assert traffic.total.bytes == 0


@pytest.mark.parametrize("carried", [False, True])
def test_what_one_rank_cannot_send_no_rank_goes_on_with(carried: bool) -> None:
    def work(comm: ThreadComm) -> tuple[list[bytes], str]:
        carrier = ThreadPoolExecutor(1) if carried else None
        found: list[bytes] = []
        try:
            with Conversation(comm, Traffic(), 3, carrier) as conversation:
                first = conversation.send("ids", [as_message(b"%d" % comm.rank)] * comm.size)
                if comm.rank == 1:
                    raise KeyError("x")
                later = [conversation.send("vectors", [as_message(b"v")] * comm.size) for _ in range(2)]
                for reply in (first, *later):
                    found.append(b"".join(part.tobytes() for part in reply()))
        except (KeyError, RankError) as error:
            # The next conversation is in step again.
            with Conversation(comm, Traffic(), 1, carrier) as conversation:
                found.append(conversation.send("ids", [as_message(b"n")] * comm.size)()[1].tobytes())
            return found, str(error)
        raise AssertionError("it went on")

    reason = "rank 1 refused its batch: KeyError: 'x'"
    assert results(3, work) == [([b"012", b"n"], reason), ([b"n"], "'x'"), ([b"012", b"n"], reason)]


def test_an_error_when_all_is_sent_is_nobody_elses() -> None:
    def work(comm: ThreadComm) -> str:
        try:
            with Conversation(comm, Traffic(), 1) as conversation:
                conversation.send("ids", [as_message(b"")] * comm.size)()
                if comm.rank == 0:
                    raise KeyError("x")
        except KeyError:
            return "failed"
        return "done"

    assert results(2, work) == ["failed", "done"]


def test_refusals() -> None:
    assert _native.refused(_native.refusal("id 7 \N{EM DASH} no")) == "id 7 \N{EM DASH} no"
    assert _native.refused(as_message(b"")) is None
    with pytest.raises(TypeError, match="uint8"):
        _native.refused(np.zeros(3))


def test_messages_that_are_none() -> None:
    routed, messages = ROUTES.route_bags(["a"], [1, 7, 8], lengths=[2, 1])
    assert routed.examples == 2
    received = ROUTES.receive_bags(1, [messages[1]])
    assert (received.values.tolist(), received.lengths.tolist(), received.weights) == ([2, 3], [1, 1], None)
    for bad, error in (
        ([messages[1][:-1]], ValueError),
        ([_native.refusal("no")], ValueError),
        ([np.zeros(4, np.uint8)], ValueError),
        ([np.zeros(4, np.float32)], TypeError),
        ([b"abc"], TypeError),
    ):
        with pytest.raises(error):
            ROUTES.receive_bags(1, bad)
    for rank in (2, 100):
        with pytest.raises(ValueError, match="there are 2"):
            ROUTES.receive_bags(rank, [])
    answers = [ROUTES.receive_bags(0, [messages[0]]).pack(np.ones((2, 2))), received.pack(np.ones((2, 2)))]
    answers = [answer for (answer,) in answers]
    same(routed.unpack(answers), np.array([[2, 2], [1, 1]], np.float32))
    shared = np.zeros(64, np.uint8)
    shared[: len(answers[0])] = answers[0]
    with pytest.raises(ValueError, match="out shares memory with a message"):
        routed.unpack([shared[: len(answers[0])], answers[1]], shared[8:24].view(np.float32).reshape(2, 2))
    with pytest.raises(ValueError, match="2 were expected"):
        routed.unpack(answers[:1])
    with pytest.raises(ValueError, match="shape"):
        routed.pack_gradient(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ([(0, 0, 0, 10, 0, 1)], "end at 1"),
        ([(0, 2, 0, 10, 0, 2)], "rank 2"),
        ([(1, 0, 0, 10, 0, 2)], "table 1"),
        ([(0, 0, 0, 10, 0, 2), (0, 1, 0, 10, 0, 2)], "expected"),
    ],
)
def test_shards_that_make_no_table(shards: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _native.Routes([CONFIG], shards, 2)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("initializer", [None, (-2.0, 1.0), "normal", "glorot_uniform", "orthogonal"])
def test_parts_are_drawn_as_the_whole(dtype: Any, initializer: Any) -> None:
    config = EmbeddingConfig(
        name="t", num_embeddings=30, embedding_dim=9, feature_names=["a"], dtype=dtype, initializer=initializer
    )
    whole = _native.EmbeddingCollection([config], seed=5).table("t")
    part = np.zeros_like(whole[10:25, 3:7]).copy()
    _native.draw_part(config, 5, (10, 3), part)
    same(part, whole[10:25, 3:7].copy())
    with pytest.raises(ValueError, match="part of a table"):
        _native.draw_part(config, 5, (16, 3), part)
    with pytest.raises(TypeError, match="must be of"):
        _native.draw_part(config, 5, (0, 0), part.astype(np.float32 if dtype != "float32" else np.float16))
