"""`hotrow.torch.functional.embedding_bag` against `torch.nn.functional.embedding_bag`."""

import pytest
import torch
import torch.nn.functional as theirs
from hotrow.torch import functional as ours
from hypothesis import assume, given
from hypothesis import strategies as st
from torch_cases import TYPES, Case, assert_close, cases, double


@given(cases(), st.sampled_from(["sum", "mean", "max"]), st.booleans(), st.integers(0, 2**32 - 1))
def test_pools_and_their_gradients(case: Case, mode: str, padded: bool, seed: int) -> None:
    padding = int(case.ids.flatten()[0]) if padded and case.ids.numel() else None
    mine, exact = case.weight.clone().requires_grad_(), double(case.weight)
    found = ours.embedding_bag(case.ids, mine, mode=mode, padding_idx=padding, **case.cut)
    expected = theirs.embedding_bag(case.ids, exact, mode=mode, padding_idx=padding, **case.cut)
    assert found.dtype == mine.dtype
    assert_close(found, expected, mine.dtype)
    grad = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed)).to(found.dtype)
    found.backward(grad)
    expected.backward(grad.double())
    assert mine.grad is not None
    assert exact.grad is not None
    assert_close(mine.grad, exact.grad, mine.dtype)


@given(cases(), st.sampled_from(["sum", "mean"]), st.booleans(), st.booleans())
def test_sparse_gradients_and_those_divided_by_frequency(case: Case, mode: str, sparse: bool, by_freq: bool) -> None:
    mine, exact = case.weight.clone().requires_grad_(), double(case.weight)
    ours.embedding_bag(
        case.ids, mine, mode=mode, sparse=sparse, scale_grad_by_freq=by_freq, **case.cut
    ).sum().backward()
    theirs.embedding_bag(case.ids, exact, mode=mode, scale_grad_by_freq=by_freq, **case.cut).sum().backward()
    assert mine.grad is not None
    assert exact.grad is not None
    assert mine.grad.is_sparse == sparse
    assert_close(mine.grad.to_dense(), exact.grad, mine.dtype)


@given(cases(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_weights_of_samples_and_their_gradient(case: Case, padded: bool, frozen: bool, seed: int) -> None:
    assume(case.ids.numel() > 0)
    padding = int(case.ids.flatten()[0]) if padded else None
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randn(case.ids.shape, generator=generator).to(case.weight.dtype)
    mine, exact = case.weight.clone().requires_grad_(not frozen), double(case.weight)
    a, b = samples.clone().requires_grad_(), double(samples)
    found = ours.embedding_bag(case.ids, mine, mode="sum", per_sample_weights=a, padding_idx=padding, **case.cut)
    expected = theirs.embedding_bag(case.ids, exact, mode="sum", per_sample_weights=b, padding_idx=padding, **case.cut)
    assert_close(found, expected, mine.dtype)
    grad = torch.randn(found.shape, generator=generator).to(found.dtype)
    found.backward(grad)
    expected.backward(grad.double())
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.dtype == a.dtype
    assert_close(a.grad, b.grad, mine.dtype)
    if not frozen:
        assert mine.grad is not None
        assert exact.grad is not None
        assert_close(mine.grad, exact.grad, mine.dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_max_norm_renormalises_in_place_as_theirs(dtype: torch.dtype) -> None:
    weight = torch.randn(10, 4, generator=torch.Generator().manual_seed(1)).to(dtype)
    a, b = weight.clone(), weight.clone()
    ids, offsets = torch.tensor([1, 2, 2, 9]), torch.tensor([0, 3])
    found = ours.embedding_bag(ids, a, offsets, max_norm=0.7, mode="max")
    assert torch.equal(found, theirs.embedding_bag(ids, b, offsets, max_norm=0.7, mode="max"))
    assert torch.equal(a, b)


def test_bags_of_nothing_are_zeros() -> None:
    weight = torch.randn(4, 3)
    nothing = torch.empty(0, dtype=torch.int64)
    for mode in ("sum", "mean", "max"):
        found = ours.embedding_bag(nothing, weight, torch.tensor([0, 0]), mode=mode)
        assert torch.equal(found, torch.zeros(2, 3))
        assert torch.equal(found, theirs.embedding_bag(nothing, weight, torch.tensor([0, 0]), mode=mode))
    assert ours.embedding_bag(torch.empty(0, 3, dtype=torch.int64), weight).shape == (0, 3)
    # A bag of nothing but padding, too.
    found = ours.embedding_bag(torch.tensor([[2, 2]]), weight, padding_idx=2)
    assert torch.equal(found, torch.zeros(1, 3))


@pytest.mark.parametrize("dtype", TYPES)
def test_sums_of_16_bits_are_rounded_once(dtype: torch.dtype) -> None:
    weight = torch.randn(100, 9, generator=torch.Generator().manual_seed(3)).to(dtype)
    ids = torch.randint(0, 100, (8, 40), generator=torch.Generator().manual_seed(4))
    exact = torch.zeros(8, 9)
    for k in range(ids.shape[1]):
        exact += weight[ids[:, k]].float()
    assert torch.equal(ours.embedding_bag(ids, weight, mode="sum"), exact.to(dtype))


def test_offsets_may_be_of_the_other_type() -> None:
    weight = torch.randn(10, 3)
    ids, offsets = torch.tensor([1, 2, 9]), torch.tensor([0, 1])
    expected = theirs.embedding_bag(ids, weight, offsets)
    assert torch.equal(ours.embedding_bag(ids.int(), weight, offsets), expected)
    assert torch.equal(ours.embedding_bag(ids, weight, offsets.int()), expected)


def test_nested_tensors() -> None:
    weight = torch.randn(10, 3)
    ids = torch.nested.nested_tensor([torch.tensor([1, 2]), torch.tensor([0])], layout=torch.jagged)
    # The same raggedness, which another nested tensor of the same lengths would not have.
    samples = torch.nested.nested_tensor_from_jagged(torch.tensor([0.5, 2.0, 1.0]), ids.offsets())
    found = ours.embedding_bag(ids, weight, mode="sum", per_sample_weights=samples)
    torch.testing.assert_close(found, theirs.embedding_bag(ids, weight, mode="sum", per_sample_weights=samples))
    with pytest.raises(ValueError, match="nested"):
        ours.embedding_bag(ids, weight, mode="sum", per_sample_weights=torch.ones(3))


def test_weights_of_samples_may_have_gaps() -> None:
    weight = torch.randn(10, 3)
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    samples = torch.randn(3, 2).t()
    found = ours.embedding_bag(ids, weight, mode="sum", per_sample_weights=samples)
    torch.testing.assert_close(found, theirs.embedding_bag(ids, weight, mode="sum", per_sample_weights=samples))
