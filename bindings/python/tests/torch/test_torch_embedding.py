"""`hotrow.torch.functional.embedding` against `torch.nn.functional.embedding`."""

import pytest
import torch
import torch.nn.functional as theirs
from hotrow.torch import functional as ours
from hypothesis import given
from hypothesis import strategies as st
from torch_cases import TYPES, Case, assert_close, cases, double


@given(cases())
def test_rows_are_theirs_to_the_bit(case: Case) -> None:
    found = ours.embedding(case.ids, case.weight)
    assert found.dtype == case.weight.dtype
    assert torch.equal(found, theirs.embedding(case.ids, case.weight))


@given(cases(), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_gradients_are_those_of_float64(case: Case, padded: bool, by_freq: bool, sparse: bool, seed: int) -> None:
    padding = int(case.ids.flatten()[0]) if padded and case.ids.numel() else None
    mine, exact = case.weight.clone().requires_grad_(), double(case.weight)
    found = ours.embedding(case.ids, mine, padding, scale_grad_by_freq=by_freq, sparse=sparse)
    expected = theirs.embedding(case.ids, exact, padding, scale_grad_by_freq=by_freq)
    grad = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed)).to(found.dtype)
    found.backward(grad)
    expected.backward(grad.double())
    assert mine.grad is not None
    assert exact.grad is not None
    assert mine.grad.dtype == mine.dtype
    assert mine.grad.is_sparse == sparse
    assert_close(mine.grad.to_dense(), exact.grad, mine.dtype)


def test_a_sparse_gradient_is_coalesced_and_names_each_row_once() -> None:
    weight = torch.ones(6, 2, requires_grad=True)
    found = ours.embedding(torch.tensor([5, 1, 5, 3]), weight, padding_idx=3, sparse=True)
    (grad,) = torch.autograd.grad(found.sum(), weight)
    assert grad.is_coalesced()
    assert grad.indices().tolist() == [[1, 5]]
    assert grad.values().tolist() == [[1.0, 1.0], [2.0, 2.0]]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf")])
def test_max_norm_renormalises_in_place_as_theirs(dtype: torch.dtype, norm_type: float) -> None:
    weight = torch.randn(10, 4, generator=torch.Generator().manual_seed(1)).to(dtype)
    a, b = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    ids = torch.tensor([[1, 2, 2], [9, 0, 1]])
    found = ours.embedding(ids, a, max_norm=0.7, norm_type=norm_type)
    expected = theirs.embedding(ids, b, max_norm=0.7, norm_type=norm_type)
    assert torch.equal(found, expected)
    assert torch.equal(a, b)
    assert not torch.equal(a, weight)
    found.sum().backward()
    expected.sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert torch.equal(a.grad, b.grad)


def test_the_weight_is_not_copied() -> None:
    weight = torch.zeros(4, 2)
    assert ours.embedding(torch.tensor([1]), weight).tolist() == [[0.0, 0.0]]
    weight[1] = 3
    assert ours.embedding(torch.tensor([1]), weight).tolist() == [[3.0, 3.0]]


@pytest.mark.parametrize("dtype", TYPES)
def test_rows_with_gaps_and_transposed_weights(dtype: torch.dtype) -> None:
    wide = torch.randn(6, 10).to(dtype)
    ids = torch.tensor([5, 0, 5])
    for weight in (wide[:, 2:7], wide[::2], wide.t(), wide[:, ::2], wide[:1].expand(6, 10)):
        known = ids.clamp(max=len(weight) - 1)
        assert torch.equal(ours.embedding(known, weight), theirs.embedding(known, weight))


def test_ids_of_any_layout() -> None:
    weight = torch.randn(50, 3)
    ids = torch.randint(0, 50, (6, 8))
    for view in (ids.t(), ids[::2, 1::3], ids[0, 0], ids[:0], ids.unsqueeze(1).expand(6, 2, 8), ids.int().t()):
        assert torch.equal(ours.embedding(view, weight), theirs.embedding(view, weight))


def test_a_gradient_that_is_expanded() -> None:
    weight = torch.randn(5, 3, requires_grad=True)
    ours.embedding(torch.tensor([[1, 1, 4]]), weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.sum(dim=1).tolist() == [0.0, 6.0, 0.0, 0.0, 3.0]


def test_without_gradients_there_is_no_graph() -> None:
    weight = torch.randn(5, 3, requires_grad=True)
    with torch.no_grad():
        assert not ours.embedding(torch.tensor([1]), weight).requires_grad
    with torch.inference_mode():
        assert ours.embedding(torch.tensor([1]), weight).is_inference()
    assert not ours.embedding(torch.tensor([1]), weight.detach()).requires_grad


def test_padding_idx_counts_from_the_end() -> None:
    weight = torch.ones(4, 2, requires_grad=True)
    ours.embedding(torch.tensor([3, 1]), weight, padding_idx=-1).sum().backward()
    assert weight.grad is not None
    assert weight.grad[:, 0].tolist() == [0.0, 1.0, 0.0, 0.0]
