"""What PyTorch's own tests of embeddings ask, asked of ours. README.md here says which are left out, and why."""

from typing import Any

import hotrow.torch
import pytest
import torch
import torch.nn.functional as theirs
from hotrow.torch import functional as ours
from torch_cases import TYPES

INTEGERS = [torch.int32, torch.int64]


def test_max_norm_is_applied_once_to_ids_that_repeat() -> None:
    weight = torch.tensor([[3.0, 4.0], [0.0, 2.0], [0.1, 0.0]])
    found = ours.embedding(torch.tensor([2, 0, 1, 0, 2, 0]), weight, max_norm=1.0)
    assert (found[[1, 3, 5]] == found[1]).all()
    torch.testing.assert_close(weight, torch.tensor([[0.6, 0.8], [0.0, 1.0], [0.1, 0.0]]))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_max_norm_of_bags_is_differentiated_as_theirs(mode: str) -> None:
    start = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)) * 3
    ids = torch.tensor([[1, 2, 2], [5, 1, 0]])
    grads = []
    for module in (ours, theirs):
        weight = start.clone().requires_grad_()
        module.embedding_bag(ids, weight, max_norm=1.0, mode=mode).pow(2).sum().backward()
        grads.append(weight.grad)
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("sparse", [False, True])
def test_embedding_of_no_ids(dtype: torch.dtype, sparse: bool) -> None:
    for shape in ((0,), (3, 0), (0, 3), (2, 0, 3)):
        layer = hotrow.torch.Embedding(5, 2, sparse=sparse)
        found = layer(torch.empty(shape, dtype=dtype))
        assert found.shape == (*shape, 2)
        found.sum().backward()
        grad = layer.weight.grad
        assert grad is not None
        assert grad.is_sparse == sparse
        assert grad.shape == layer.weight.shape
        assert not grad.to_dense().any()


def test_a_table_without_rows() -> None:
    layer = hotrow.torch.Embedding(0, 4)
    assert layer(torch.empty(2, 0, dtype=torch.int64)).shape == (2, 0, 4)
    with pytest.raises(IndexError):
        layer(torch.tensor([0]))
    bag = hotrow.torch.EmbeddingBag(0, 4, mode="sum")
    assert torch.equal(bag(torch.empty(0, dtype=torch.int64), torch.tensor([0, 0])), torch.zeros(2, 4))


def test_a_table_without_columns() -> None:
    layer = hotrow.torch.Embedding(4, 0)
    found = layer(torch.tensor([1, 3]))
    assert found.shape == (2, 0)
    found.sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.shape == (4, 0)


def test_sparse_gradients_add_up() -> None:
    layer = hotrow.torch.Embedding(10, 4, sparse=True)
    for ids in (torch.tensor([8, 1]), torch.tensor([[4, 8]])):
        layer(ids).sum().backward()
    grad = layer.weight.grad
    assert grad is not None
    assert grad.coalesce().indices().tolist() == [[1, 4, 8]]
    assert grad.to_dense()[:, 0].tolist() == [0, 1, 0, 0, 1, 0, 0, 0, 2, 0]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("sparse", [False, True])
def test_padding_is_looked_up_and_not_trained(dtype: torch.dtype, sparse: bool) -> None:
    layer = hotrow.torch.Embedding(10, 20, padding_idx=0, sparse=sparse, dtype=dtype)
    ids = torch.tensor([[0, 2, 4, 5], [4, 3, 0, 9]])
    found = layer(ids)
    assert not found[ids == 0].any()
    found.sum().backward()
    assert layer.weight.grad is not None
    assert not layer.weight.grad.to_dense()[0].any()
    # The row may be set, and is then what padding looks up.
    with torch.no_grad():
        layer.weight[0] = 1
    assert (layer(ids)[ids == 0] == 1).all()
    # A negative one counts from the end.
    other = hotrow.torch.Embedding(10, 20, padding_idx=-2)
    assert other.padding_idx == 8
    assert not other.weight[8].any()
    for wrong in (25, 10, -11):
        with pytest.raises(AssertionError, match="within num_embeddings"):
            hotrow.torch.Embedding(10, 20, padding_idx=wrong)
        with pytest.raises(AssertionError, match="within num_embeddings"):
            hotrow.torch.EmbeddingBag(10, 20, padding_idx=wrong)


def test_pretrained_padding_keeps_its_row() -> None:
    weight = torch.ones(3, 4)
    for kind in (hotrow.torch.Embedding, hotrow.torch.EmbeddingBag):
        layer: Any = kind.from_pretrained(weight.clone(), padding_idx=-1)
        assert layer.padding_idx == 2
        assert (layer.weight == 1).all()


def test_pretrained_options() -> None:
    options: dict[str, Any] = {"max_norm": 2.0, "norm_type": 0.5, "scale_grad_by_freq": True, "sparse": True}
    for kind in (hotrow.torch.Embedding, hotrow.torch.EmbeddingBag):
        layer: Any = kind.from_pretrained(torch.randn(3, 4), **options)
        for name, value in options.items():
            assert getattr(layer, name) == value
    bag = hotrow.torch.EmbeddingBag.from_pretrained(torch.randn(3, 4), mode="max")
    assert bag.mode == "max"


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [0, 3, -1])
def test_bags_of_a_matrix_are_bags_by_offsets(mode: str, padding_idx: int) -> None:
    weight = torch.randn(6, 4)
    ids = torch.randint(0, 6, (5, 7), generator=torch.Generator().manual_seed(2))
    matrix = ours.embedding_bag(ids, weight, mode=mode, padding_idx=padding_idx)
    offsets = torch.arange(0, 35, 7)
    flat = ours.embedding_bag(ids.flatten(), weight, offsets, mode=mode, padding_idx=padding_idx)
    ends = torch.arange(0, 36, 7)
    last = ours.embedding_bag(ids.flatten(), weight, ends, mode=mode, padding_idx=padding_idx, include_last_offset=True)
    assert torch.equal(matrix, flat)
    assert torch.equal(matrix, last)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_are_embeddings_reduced(mode: str) -> None:
    layer = hotrow.torch.EmbeddingBag(20, 5, mode=mode)
    ids = torch.randint(0, 20, (6, 3))
    rows = theirs.embedding(ids, layer.weight)
    expected = rows.amax(1) if mode == "max" else getattr(rows, mode)(1)
    torch.testing.assert_close(layer(ids), expected)


@pytest.mark.parametrize("dtype", TYPES)
def test_weights_of_one_change_nothing(dtype: torch.dtype) -> None:
    layer = hotrow.torch.EmbeddingBag(20, 5, mode="sum", dtype=dtype)
    ids, offsets = torch.tensor([3, 1, 1, 1, 4, 0]), torch.tensor([0, 0, 3, 3, 6])
    ones = torch.ones(6, dtype=dtype)
    assert torch.equal(layer(ids, offsets, ones), layer(ids, offsets))
    empty = layer(torch.empty(0, dtype=torch.int64), torch.tensor([0, 0]), torch.empty(0, dtype=dtype))
    assert torch.equal(empty, torch.zeros(2, 5, dtype=dtype))


def test_the_first_of_equal_largest_values_gets_the_gradient() -> None:
    grads = []
    for module in (ours, theirs):
        weight = torch.ones(4, 2, requires_grad=True)
        module.embedding_bag(torch.tensor([[2, 1, 3]]), weight, mode="max").sum().backward()
        grads.append(weight.grad)
    assert torch.equal(grads[0], grads[1])


def test_values_that_are_not_numbers() -> None:
    weight = torch.tensor([[float("nan")], [1.0], [float("inf")], [-float("inf")]])
    for ids in (torch.tensor([[1, 0]]), torch.tensor([[0, 1]]), torch.tensor([[2, 3]]), torch.tensor([[3, 3]])):
        assert torch.equal(ours.embedding(ids, weight).isnan(), theirs.embedding(ids, weight).isnan())
        for mode in ("sum", "mean"):
            found = ours.embedding_bag(ids, weight, mode=mode)
            torch.testing.assert_close(found, theirs.embedding_bag(ids, weight, mode=mode), equal_nan=True)


def test_the_weight_may_be_the_result_of_an_operation() -> None:
    raw = torch.randn(5, 3, requires_grad=True)
    ours.embedding(torch.tensor([1, 1, 4]), raw * 2).sum().backward()
    assert raw.grad is not None
    assert raw.grad[:, 0].tolist() == [0, 4, 0, 0, 2]


def test_autocast_leaves_lookups_alone() -> None:
    layer = hotrow.torch.Embedding(5, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.tensor([1])).dtype == torch.float32
