"""`hotrow.torch.Embedding` and `EmbeddingBag` against the layers of `torch.nn` that they replace."""

import copy
import inspect
import io
import pickle
from typing import Any

import hotrow.torch
import pytest
import torch
from torch import Tensor
from torch_cases import TYPES, assert_close

PAIRS: list[tuple[type[Any], type[Any], dict[str, Any]]] = [
    (hotrow.torch.Embedding, torch.nn.Embedding, {}),
    (hotrow.torch.Embedding, torch.nn.Embedding, {"padding_idx": 0}),
    (hotrow.torch.Embedding, torch.nn.Embedding, {"padding_idx": -1, "max_norm": 1.0, "norm_type": 1.0}),
    (hotrow.torch.Embedding, torch.nn.Embedding, {"scale_grad_by_freq": True}),
    (hotrow.torch.Embedding, torch.nn.Embedding, {"sparse": True, "dtype": torch.bfloat16}),
    (hotrow.torch.Embedding, torch.nn.Embedding, {"_freeze": True, "dtype": torch.float16}),
    (hotrow.torch.EmbeddingBag, torch.nn.EmbeddingBag, {}),
    (hotrow.torch.EmbeddingBag, torch.nn.EmbeddingBag, {"mode": "sum", "padding_idx": -2, "sparse": True}),
    (hotrow.torch.EmbeddingBag, torch.nn.EmbeddingBag, {"mode": "max", "max_norm": 1.0, "include_last_offset": True}),
    (hotrow.torch.EmbeddingBag, torch.nn.EmbeddingBag, {"scale_grad_by_freq": True, "norm_type": 3.0}),
]
IDS = torch.tensor([[1, 2, 4], [4, 0, 9]])


def pair(kinds: tuple[type[Any], type[Any], dict[str, Any]]) -> tuple[Any, Any]:
    """A layer of ours and one of theirs, drawn alike."""
    ours, theirs, options = kinds
    torch.manual_seed(3)
    mine = ours(10, 5, **options)
    torch.manual_seed(3)
    return mine, theirs(10, 5, **options)


@pytest.mark.parametrize("kinds", PAIRS, ids=str)
def test_layers_are_theirs(kinds: tuple[type[Any], type[Any], dict[str, Any]]) -> None:
    mine, other = pair(kinds)
    assert isinstance(mine, kinds[1])
    assert torch.equal(mine.weight, other.weight)
    assert isinstance(mine.weight, torch.nn.Parameter)
    assert mine.weight.requires_grad == other.weight.requires_grad
    assert repr(mine) == repr(other)
    for name in kinds[1].__annotations__:
        if hasattr(other, name) and name != "weight":
            assert getattr(mine, name) == getattr(other, name), name
    assert mine.__constants__ == other.__constants__
    assert mine.state_dict().keys() == other.state_dict().keys()
    assert_close(mine(IDS), other(IDS), mine.weight.dtype)
    # Renormalised rows, too.
    assert torch.equal(mine.weight, other.weight)
    if mine.weight.requires_grad:
        for layer in (mine, other):
            layer(IDS).sum().backward()
        assert mine.weight.grad.is_sparse == other.weight.grad.is_sparse
        assert_close(mine.weight.grad.to_dense(), other.weight.grad.to_dense(), mine.weight.dtype)


@pytest.mark.parametrize(("ours", "theirs", "_"), [PAIRS[0], PAIRS[6]])
@pytest.mark.parametrize("name", ["__init__", "forward", "from_pretrained", "reset_parameters", "extra_repr"])
def test_signatures_are_theirs(ours: Any, theirs: Any, _: Any, name: str) -> None:
    mine, other = (inspect.signature(getattr(kind, name)).parameters for kind in (ours, theirs))
    shared = {known: parameter for known, parameter in mine.items() if known not in ("fused", "fused_options")}
    assert list(shared) == list(other)
    for known, parameter in shared.items():
        assert parameter.default == other[known].default
        assert parameter.kind == other[known].kind


@pytest.mark.parametrize("name", ["embedding", "embedding_bag"])
def test_signatures_of_functions_are_theirs(name: str) -> None:
    mine = inspect.signature(getattr(hotrow.torch.functional, name)).parameters
    other = inspect.signature(getattr(torch.nn.functional, name)).parameters
    assert [(p.name, p.default, p.kind) for p in mine.values()] == [(p.name, p.default, p.kind) for p in other.values()]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("freeze", [True, False])
def test_from_pretrained(dtype: torch.dtype, freeze: bool) -> None:
    weight = torch.randn(10, 4).to(dtype)
    layer = hotrow.torch.Embedding.from_pretrained(weight, freeze, padding_idx=1)
    assert layer.weight.data_ptr() == weight.data_ptr()
    assert layer.weight.requires_grad != freeze
    assert layer.padding_idx == 1
    assert torch.equal(layer(IDS), weight[IDS])
    bag = hotrow.torch.EmbeddingBag.from_pretrained(weight, freeze, mode="sum", include_last_offset=True, padding_idx=2)
    assert bag.weight.data_ptr() == weight.data_ptr()
    assert bag.weight.requires_grad != freeze
    assert (bag.mode, bag.include_last_offset, bag.padding_idx) == ("sum", True, 2)
    with pytest.raises(AssertionError):
        hotrow.torch.Embedding.from_pretrained(weight[0])


@pytest.mark.parametrize("kinds", PAIRS, ids=str)
def test_copies_and_pickles(kinds: tuple[type[Any], type[Any], dict[str, Any]]) -> None:
    mine, _ = pair(kinds)
    expected = mine(IDS)
    file = io.BytesIO()
    torch.save(mine, file)
    file.seek(0)
    for same in (copy.deepcopy(mine), pickle.loads(pickle.dumps(mine)), torch.load(file, weights_only=False)):
        assert type(same) is type(mine)
        assert repr(same) == repr(mine)
        assert torch.equal(same(IDS), expected)
        assert same.weight.data_ptr() != mine.weight.data_ptr()


def test_state_dicts_go_both_ways() -> None:
    for ours, theirs in (
        (hotrow.torch.Embedding, torch.nn.Embedding),
        (hotrow.torch.EmbeddingBag, torch.nn.EmbeddingBag),
    ):
        mine, other = ours(10, 5), theirs(10, 5)
        mine.load_state_dict(other.state_dict())
        assert torch.equal(mine.weight, other.weight)
        torch.nn.init.ones_(mine.weight)
        other.load_state_dict(mine.state_dict())
        assert torch.equal(mine.weight, other.weight)


@pytest.mark.parametrize("dtype", TYPES)
def test_layers_change_their_type_in_place(dtype: torch.dtype) -> None:
    layer = hotrow.torch.Embedding(10, 5)
    before = layer.weight.detach().clone()
    assert torch.equal(layer.to(dtype)(IDS), before.to(dtype)[IDS])
    layer.share_memory()
    assert torch.equal(layer(IDS), before.to(dtype)[IDS])


OPTIMIZERS: list[tuple[str, Any, dict[str, Any], bool]] = [
    ("SGD", torch.optim.SGD, {"lr": 0.1}, True),
    ("SGD, dense", torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}, False),
    ("Adagrad", torch.optim.Adagrad, {"lr": 0.1}, True),
    ("SparseAdam", torch.optim.SparseAdam, {"lr": 0.01}, True),
    ("AdamW, dense", torch.optim.AdamW, {"lr": 0.01}, False),
]


@pytest.mark.parametrize(
    ("optimizer", "options", "sparse"), [case[1:] for case in OPTIMIZERS], ids=[c[0] for c in OPTIMIZERS]
)
@pytest.mark.parametrize("index", [0, 7])
def test_their_optimizers_step_our_layers(optimizer: Any, options: dict[str, Any], sparse: bool, index: int) -> None:
    ours, theirs, _ = PAIRS[index]
    layers = pair((ours, theirs, {"sparse": sparse}))
    generator = torch.Generator().manual_seed(5)
    batches = [torch.randint(0, 10, (4, 6), generator=generator) for _ in range(5)]
    for layer in layers:
        stepper = optimizer(layer.parameters(), **options)
        for ids in batches:
            stepper.zero_grad()
            layer(ids).pow(2).sum().backward()
            stepper.step()
    torch.testing.assert_close(layers[0].weight, layers[1].weight, rtol=1e-5, atol=1e-6)


def test_clipping_by_norm_knows_our_gradients() -> None:
    layer = hotrow.torch.Embedding(10, 5)
    layer(IDS).sum().backward()
    norm: Tensor = torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    assert norm > 1
    assert layer.weight.grad is not None
    assert abs(layer.weight.grad.norm().item() - 1) < 1e-5
