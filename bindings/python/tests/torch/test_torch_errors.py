"""What is refused, with which exception, and that nothing has changed then."""

from collections.abc import Callable

import hotrow.torch
import pytest
import torch
from hotrow.torch import functional as ours
from torch import Tensor

WEIGHT = torch.randn(5, 3)
IDS = torch.tensor([1, 2])
ZERO = torch.tensor([0])

CASES: dict[str, tuple[Callable[[], Tensor], type[Exception] | tuple[type[Exception], ...], str | None]] = {
    "an id past the end": (lambda: ours.embedding(torch.tensor([1, 5]), WEIGHT), IndexError, r"5.*5"),
    "a negative id": (lambda: ours.embedding(torch.tensor([-1]), WEIGHT), IndexError, "-1"),
    "an id of a bag past the end": (lambda: ours.embedding_bag(IDS + 4, WEIGHT, ZERO), IndexError, "5"),
    "ids that are floats": (lambda: ours.embedding(IDS.float(), WEIGHT), TypeError, "float32"),
    "ids of 16 bits": (lambda: ours.embedding(IDS.short(), WEIGHT), TypeError, "int16"),
    "ids that are true or false": (lambda: ours.embedding(IDS.bool(), WEIGHT), TypeError, None),
    "ids of bags that are floats": (lambda: ours.embedding_bag(IDS.float(), WEIGHT, ZERO), TypeError, "float32"),
    "a weight of float64": (lambda: ours.embedding(IDS, WEIGHT.double()), TypeError, "float64.*torch.nn"),
    "a weight of one dimension": (lambda: ours.embedding(IDS, WEIGHT[0]), RuntimeError, "2-D"),
    "a bag's weight of one dimension": (lambda: ours.embedding_bag(IDS, WEIGHT[0], ZERO), ValueError, "2D"),
    "a sparse weight": (lambda: ours.embedding(IDS, WEIGHT.to_sparse()), (TypeError, RuntimeError), None),
    "padding past the end": (
        lambda: ours.embedding(IDS, WEIGHT, padding_idx=5),
        AssertionError,
        "within num_embeddings",
    ),
    "padding before the start": (
        lambda: ours.embedding(IDS, WEIGHT, padding_idx=-6),
        AssertionError,
        "within num_embeddings",
    ),
    "no such mode": (lambda: ours.embedding_bag(IDS, WEIGHT, ZERO, mode="min"), ValueError, "sum, mean or max"),
    "offsets of a matrix": (lambda: ours.embedding_bag(IDS[None], WEIGHT, ZERO), ValueError, "offsets has to be None"),
    "no offsets": (lambda: ours.embedding_bag(IDS, WEIGHT), ValueError, "offsets has to be a 1D"),
    "offsets in two dimensions": (lambda: ours.embedding_bag(IDS, WEIGHT, ZERO[None]), ValueError, "1D"),
    "three dimensions": (lambda: ours.embedding_bag(IDS[None, None], WEIGHT), ValueError, "1D or 2D"),
    "offsets that start late": (lambda: ours.embedding_bag(IDS, WEIGHT, torch.tensor([1])), ValueError, "0"),
    "offsets past the end": (lambda: ours.embedding_bag(IDS, WEIGHT, torch.tensor([0, 3])), ValueError, "3"),
    "offsets that descend": (lambda: ours.embedding_bag(IDS, WEIGHT, torch.tensor([0, 2, 1])), ValueError, None),
    "offsets that are floats": (lambda: ours.embedding_bag(IDS, WEIGHT, ZERO.float()), TypeError, "int32 or int64"),
    "a last offset that is not the end": (
        lambda: ours.embedding_bag(IDS, WEIGHT, torch.tensor([0, 1]), include_last_offset=True),
        ValueError,
        None,
    ),
    "weights of a mean": (
        lambda: ours.embedding_bag(IDS, WEIGHT, ZERO, per_sample_weights=torch.ones(2)),
        NotImplementedError,
        "mode='sum'",
    ),
    "too few weights": (
        lambda: ours.embedding_bag(IDS, WEIGHT, ZERO, mode="sum", per_sample_weights=torch.ones(1)),
        ValueError,
        "same shape",
    ),
    "maxima by frequency": (
        lambda: ours.embedding_bag(IDS, WEIGHT, ZERO, mode="max", scale_grad_by_freq=True),
        ValueError,
        "frequency",
    ),
    "sparse maxima": (lambda: ours.embedding_bag(IDS, WEIGHT, ZERO, mode="max", sparse=True), ValueError, "sparse"),
    "two devices": (lambda: ours.embedding(IDS.to("meta"), WEIGHT), RuntimeError, "same device"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str) -> None:
    call, error, message = CASES[name]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", ["an id past the end", "a negative id", "an id of a bag past the end"])
def test_refused_when_gradients_are_wanted(name: str) -> None:
    call, error, _ = CASES[name]
    WEIGHT.requires_grad_()
    try:
        with pytest.raises(error):
            call()
    finally:
        WEIGHT.requires_grad_(False)


def test_compiled_code_checks_ids() -> None:
    torch._dynamo.reset()
    call = torch.compile(ours.embedding, backend="aot_eager", fullgraph=True)
    with pytest.raises(IndexError):
        call(torch.tensor([9]), WEIGHT)


def test_an_error_in_the_forward_pass_leaves_a_fused_layer_alone() -> None:
    layer = hotrow.torch.Embedding(5, 3, fused="adam")
    before = layer.weight.detach().clone()
    with pytest.raises(IndexError):
        layer(torch.tensor([1, 7]))
    assert torch.equal(layer.weight, before)
    assert layer.optimizer is not None
    assert layer.optimizer.steps == 0
