"""The registered operators: `torch.library.opcheck`, and `torch.compile` without a break in the graph."""

from collections.abc import Callable

import hotrow.torch
import pytest
import torch
from hotrow.torch import functional as ours
from hotrow.torch import ops
from torch import Tensor

IDS = torch.tensor([4, 1, 1, 3])
OFFSETS = torch.tensor([0, 3])
ARGMAX = torch.tensor([[1, 3, 4], [3, -1, 3]], dtype=torch.int32)
NOTHING = torch.empty(0, dtype=torch.int32)


def weight(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()


def samples() -> Tensor:
    return torch.rand(4, generator=torch.Generator().manual_seed(1)).requires_grad_()


def bags(mode: str, weights: Tensor | None = None, padding_idx: int = -1) -> tuple[object, ...]:
    return (IDS, OFFSETS, mode, weights, False, padding_idx)


CALLS: dict[str, tuple[object, tuple[object, ...]]] = {
    "embedding": (ops.embedding, (weight(), IDS, -1, False, False, 0)),
    "embedding, int32": (ops.embedding, (weight(), IDS.int(), 1, True, False, 0)),
    "embedding, bfloat16": (ops.embedding, (weight(torch.bfloat16), IDS.reshape(2, 2), -1, False, False, 0)),
    "embedding_backward": (ops.embedding_backward, (torch.randn(4, 3, requires_grad=True), IDS, 6, 1, False)),
    "embedding_sparse_backward": (ops.embedding_sparse_backward, (torch.randn(4, 3), IDS, 6, -1, False)),
    "embedding_bag, sum": (ops.embedding_bag, (weight(), *bags("sum", samples()), False, False, 0)),
    "embedding_bag, mean": (ops.embedding_bag, (weight(), *bags("mean", None, 1), True, False, 0)),
    "embedding_bag, max": (ops.embedding_bag, (weight(), *bags("max"), False, False, 0)),
    "embedding_bag, matrix": (
        ops.embedding_bag,
        (weight(), IDS.reshape(2, 2), None, "sum", None, False, -1, False, False, 0),
    ),
    "embedding_bag_backward": (
        ops.embedding_bag_backward,
        (torch.randn(2, 3, requires_grad=True), *bags("sum", samples()), NOTHING, 6, False),
    ),
    "embedding_bag_backward, max": (
        ops.embedding_bag_backward,
        (torch.randn(2, 3, requires_grad=True), *bags("max"), ARGMAX, 6, False),
    ),
    "embedding_bag_sparse_backward": (
        ops.embedding_bag_sparse_backward,
        (torch.randn(2, 3), *bags("mean"), NOTHING, 6, True),
    ),
    "sample_weights_backward": (
        ops.sample_weights_backward,
        (torch.randn(2, 3, requires_grad=True), weight(), IDS, OFFSETS, False, -1),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_opcheck(name: str) -> None:
    operator, arguments = CALLS[name]
    torch.library.opcheck(operator, arguments)


def test_opcheck_of_the_fused_update() -> None:
    layer = hotrow.torch.EmbeddingBag(6, 3, mode="sum", fused="sgd", fused_options={"lr": 0.1})
    arguments = (weight().detach(), torch.randn(2, 3), *bags("sum"), None, False, layer._optimizer_number)
    torch.library.opcheck(ops.fused_update, arguments)
    gather = (weight().detach(), torch.randn(4, 3), IDS, None, "", None, False, 3, None, False, layer._optimizer_number)
    torch.library.opcheck(ops.fused_update, gather)


BACKENDS = ["eager", "aot_eager"]


def both_ways(call: Callable[[Tensor], Tensor], backend: str) -> None:
    a, b = weight(), weight()
    torch._dynamo.reset()
    found = torch.compile(call, backend=backend, fullgraph=True)(a)
    expected = call(b)
    assert torch.equal(found, expected)
    found.pow(2).sum().backward()
    expected.pow(2).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.is_sparse == b.grad.is_sparse
    assert torch.equal(a.grad.to_dense(), b.grad.to_dense())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "options", [{}, {"padding_idx": 1}, {"scale_grad_by_freq": True}, {"sparse": True}, {"max_norm": 0.5}]
)
def test_compiled_embedding(backend: str, options: dict[str, object]) -> None:
    both_ways(lambda w: ours.embedding(IDS, w, **options), backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_compiled_bag(backend: str, mode: str) -> None:
    both_ways(lambda w: ours.embedding_bag(IDS, w, OFFSETS, mode=mode, padding_idx=3), backend)


def test_compiled_sparse_bag_with_weights() -> None:
    given = samples().detach()
    both_ways(
        lambda w: ours.embedding_bag(IDS, w, OFFSETS, mode="sum", sparse=True, per_sample_weights=given), "aot_eager"
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_compiled_fused_layers(backend: str, rule: str) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    plain = hotrow.torch.Embedding(6, 3, fused=rule, fused_options={"lr": 0.1})
    compiled = hotrow.torch.Embedding(6, 3, fused=rule, fused_options={"lr": 0.1})
    compiled.load_state_dict(plain.state_dict())
    call = torch.compile(compiled, backend=backend, fullgraph=True)
    for _ in range(3):
        for layer in (plain, call):
            layer(IDS).pow(2).sum().backward()
    assert compiled.optimizer is not None
    assert compiled.optimizer.steps == 3
    assert torch.equal(plain.weight, compiled.weight)


def test_compiled_for_any_number_of_ids() -> None:
    torch._dynamo.reset()
    call = torch.compile(lambda ids, w: ours.embedding(ids, w) * 2, backend="aot_eager", fullgraph=True, dynamic=True)
    w = weight()
    for count in (3, 5, 9):
        ids = torch.arange(count) % 6
        assert torch.equal(call(ids, w), w[ids] * 2)


def test_inductor() -> None:
    torch._dynamo.reset()
    layer = hotrow.torch.EmbeddingBag(6, 3, mode="sum", fused="sgd", fused_options={"lr": 1.0})
    before = layer.weight.detach().clone()
    try:
        torch.compile(layer, fullgraph=True)(IDS, OFFSETS).sum().backward()
    except torch._dynamo.exc.BackendCompilerFailed as error:
        pytest.skip(f"inductor needs a C++ compiler: {error}")
    assert torch.equal((before - layer.weight)[:, 0].round(), torch.tensor([0.0, 2.0, 0.0, 1.0, 1.0, 0.0]))


def test_exported() -> None:
    layer = hotrow.torch.Embedding(6, 3)
    program = torch.export.export(layer, (IDS,))
    assert torch.equal(program.module()(IDS), layer(IDS))


def test_meta_tensors_have_shapes() -> None:
    found = ours.embedding(IDS.to("meta"), weight().to("meta"))
    assert found.shape == (4, 3)
    assert found.device.type == "meta"
