"""Gradients against finite differences, and gradients of gradients.

The engine computes in float32, so differences are taken over wide steps; lookups are linear in the weight and in the
weights of samples, so wide steps lose nothing.
"""

from collections.abc import Callable

import hotrow.torch
import pytest
import torch
import torch.nn.functional as theirs
from hotrow.torch import functional as ours
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch_cases import double

IDS = torch.tensor([[1, 3, 3], [0, 3, 5]])
WIDE = {"eps": 0.25, "atol": 1e-4, "rtol": 1e-4, "nondet_tol": 0.0}


def table() -> Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()


def samples() -> Tensor:
    return torch.rand(2, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()


LOOKUPS: dict[str, Callable[[Tensor], Tensor]] = {
    "embedding": lambda weight: ours.embedding(IDS, weight),
    "sum": lambda weight: ours.embedding_bag(IDS, weight, mode="sum"),
    "mean": lambda weight: ours.embedding_bag(IDS, weight, mode="mean"),
    "padded mean": lambda weight: ours.embedding_bag(IDS, weight, mode="mean", padding_idx=3),
    "offsets": lambda weight: ours.embedding_bag(IDS.flatten(), weight, torch.tensor([0, 2, 2]), mode="sum"),
}


@pytest.mark.filterwarnings("ignore:Input #")
@pytest.mark.parametrize("name", LOOKUPS)
def test_gradcheck(name: str) -> None:
    assert gradcheck(LOOKUPS[name], table(), **WIDE)
    assert gradgradcheck(LOOKUPS[name], table(), **WIDE)


@pytest.mark.filterwarnings("ignore:Input #")
def test_gradcheck_of_the_largest_values() -> None:
    # Not linear: steps must be small enough to leave the largest the largest.
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).mul_(10).requires_grad_()
    assert gradcheck(lambda w: ours.embedding_bag(IDS, w, mode="max"), weight, **{**WIDE, "eps": 0.01, "atol": 1e-2})
    assert gradgradcheck(
        lambda w: ours.embedding_bag(IDS, w, mode="max"), weight, **{**WIDE, "eps": 0.01, "atol": 1e-2}
    )


@pytest.mark.filterwarnings("ignore:Input #")
def test_gradcheck_of_weights_of_samples() -> None:
    def pooled(weight: Tensor, weights: Tensor) -> Tensor:
        return ours.embedding_bag(IDS, weight, mode="sum", per_sample_weights=weights)

    assert gradcheck(pooled, (table(), samples()), **WIDE)
    assert gradgradcheck(pooled, (table(), samples()), **WIDE)


def second(lookup: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
    """The gradient of the squared norm of a gradient."""
    (grad,) = torch.autograd.grad(lookup(weight).pow(3).sum(), weight, create_graph=True)
    (of_grad,) = torch.autograd.grad(grad.pow(2).sum(), weight)
    return of_grad


def test_second_derivatives_of_embeddings_are_theirs() -> None:
    for padding in (None, 3):
        found = second(lambda weight, at=padding: ours.embedding(IDS, weight, at), table())
        expected = second(lambda weight, at=padding: theirs.embedding(IDS, weight, at), double(table()))
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)


def test_second_derivatives_by_frequency_are_exact() -> None:
    # PyTorch leaves the frequencies out of its second derivative, so the expected values are put together from
    # indexing.
    times = torch.bincount(IDS.flatten(), minlength=6).clamp(min=1)

    def plain(weight: Tensor) -> Tensor:
        scaled = weight / times[:, None] + (weight - weight / times[:, None]).detach()
        return scaled[IDS]

    found = second(lambda weight: ours.embedding(IDS, weight, scale_grad_by_freq=True), table())
    torch.testing.assert_close(found.double(), second(plain, double(table())), rtol=1e-5, atol=1e-4)


def test_second_derivatives_that_there_are_not() -> None:
    weight = table()
    pooled = ours.embedding_bag(IDS, weight, mode="sum", scale_grad_by_freq=True)
    with pytest.raises(NotImplementedError, match="second derivative"):
        torch.autograd.grad(pooled.pow(2).sum(), weight, create_graph=True)


def test_functorch_is_refused() -> None:
    weight = table().detach()
    with pytest.raises(NotImplementedError, match=r"torch\.func"):
        torch.func.grad(lambda w: ours.embedding(IDS, w).sum())(weight)
    with pytest.raises(NotImplementedError, match=r"torch\.func"):
        torch.vmap(lambda ids: ours.embedding_bag(ids[None], weight))(IDS)


def test_functional_call() -> None:
    layer = hotrow.torch.Embedding(6, 4)
    found = torch.func.functional_call(layer, {"weight": table().detach()}, (IDS,))
    assert torch.equal(found, table().detach()[IDS])


def test_forward_mode_is_refused_and_not_wrong() -> None:
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(table().detach(), torch.ones(6, 4))
        with pytest.raises(NotImplementedError, match="forward mode"):
            ours.embedding(IDS, dual)
