"""Fused optimizers against PyTorch's on sparse gradients, and against the engine's own steps to the bit.

Where the semantics agree with PyTorch's: sgd with `SGD`, adagrad with `Adagrad`, adam with `SparseAdam`. They differ by
definition, and are compared with `hotrow.Optimizer` alone: rowwise_adagrad and partial_rowwise_adam (PyTorch has none),
adamw and rmsprop (PyTorch's are dense: rows without a gradient move there), ftrl (PyTorch has none), sgd with momentum
(PyTorch's moves every row at each step).
"""

import copy
import gc
import io
import pickle
from typing import Any

import hotrow
import hotrow.torch
import numpy as np
import pytest
import torch
from torch import Tensor
from torch_cases import RULES, TYPES

AGREE: list[tuple[str, dict[str, Any], Any, dict[str, Any]]] = [
    ("sgd", {"lr": 0.1}, torch.optim.SGD, {"lr": 0.1}),
    ("adagrad", {"lr": 0.1}, torch.optim.Adagrad, {"lr": 0.1}),
    (
        "adagrad",
        {"lr": 0.1, "initial_accumulator": 0.5, "eps": 1e-3},
        torch.optim.Adagrad,
        {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3},
    ),
    ("adam", {"lr": 0.01}, torch.optim.SparseAdam, {"lr": 0.01}),
    ("adam", {"lr": 0.01, "beta1": 0.5, "beta2": 0.9}, torch.optim.SparseAdam, {"lr": 0.01, "betas": (0.5, 0.9)}),
]


def batches(count: int = 4, rows: int = 12) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(0, rows, (5, 4), generator=generator) for _ in range(count)]


def train(layer: Any, steps: list[Tensor], optimizer: Any = None) -> None:
    for ids in steps:
        if optimizer is not None:
            optimizer.zero_grad()
        layer(ids).pow(2).mean().backward()
        if optimizer is not None:
            optimizer.step()


@pytest.mark.parametrize(("rule", "options", "optimizer", "their_options"), AGREE)
@pytest.mark.parametrize("kind", ["Embedding", "EmbeddingBag"])
def test_steps_are_theirs(
    rule: str, options: dict[str, Any], optimizer: Any, their_options: dict[str, Any], kind: str
) -> None:
    theirs = getattr(torch.nn, kind)(12, 7, sparse=True)
    ours = getattr(hotrow.torch, kind)(12, 7, fused=rule, fused_options=options)
    ours.load_state_dict(theirs.state_dict())
    train(theirs, batches(), optimizer(theirs.parameters(), **their_options))
    train(ours, batches())
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-5, atol=1e-6)
    assert ours.optimizer.steps == 4


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_rule_is_the_engine_s_step_to_the_bit(rule: str, dtype: torch.dtype) -> None:
    layer = hotrow.torch.Embedding(12, 7, padding_idx=3, dtype=dtype, fused=rule, fused_options={"lr": 0.1})
    table = layer.weight.detach().clone()
    optimizer = hotrow.Optimizer(rule, 12, 7, lr=0.1)
    for ids in batches():
        grad = torch.randn(5, 4, 7).to(dtype)
        layer(ids).backward(grad)
        array = (
            hotrow.Table(table.view(torch.uint16).numpy(), dtype="bfloat16")
            if dtype is torch.bfloat16
            else table.numpy()
        )
        optimizer.step(array, ids.numpy(), grad.float().numpy(), padding_idx=3)
    assert torch.equal(layer.weight, table)
    assert layer.weight.grad is None


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_step_as_their_gradient_says(mode: str) -> None:
    layer = hotrow.torch.EmbeddingBag(12, 3, mode=mode, padding_idx=2, fused="sgd", fused_options={"lr": 1.0})
    exact = layer.weight.detach().double().requires_grad_()
    ids, offsets = torch.tensor([1, 2, 1, 5, 9]), torch.tensor([0, 3, 3])
    torch.nn.functional.embedding_bag(ids, exact, offsets, mode=mode, padding_idx=2).pow(2).sum().backward()
    assert exact.grad is not None
    expected = (exact - exact.grad).float()
    layer(ids, offsets).pow(2).sum().backward()
    torch.testing.assert_close(layer.weight.detach(), expected.detach())


def test_weights_of_samples_get_their_gradient_from_before_the_step() -> None:
    layer = hotrow.torch.EmbeddingBag(6, 2, mode="sum", fused="sgd", fused_options={"lr": 0.5})
    before = layer.weight.detach().clone()
    samples = torch.tensor([[0.5, 2.0]], requires_grad=True)
    layer(torch.tensor([[1, 4]]), per_sample_weights=samples).sum().backward()
    assert samples.grad is not None
    torch.testing.assert_close(samples.grad[0], before[[1, 4]].sum(dim=1))
    torch.testing.assert_close(before[1] - layer.weight[1].detach(), torch.full((2,), 0.25))


def test_a_layer_in_a_model_with_a_dense_optimizer() -> None:
    torch.manual_seed(0)
    layer = hotrow.torch.EmbeddingBag(50, 8, mode="sum", fused="rowwise_adagrad", fused_options={"lr": 0.1})
    model = torch.nn.Sequential(layer, torch.nn.Linear(8, 1))
    # All parameters may be given to it: those without a gradient are passed over.
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1)
    ids, target = torch.randint(0, 50, (64, 5)), torch.randn(64, 1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (model(ids) - target).pow(2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert layer.weight.grad is None
    assert layer.weight not in optimizer.state


def test_each_backward_pass_is_a_step() -> None:
    layer = hotrow.torch.Embedding(6, 2, fused="sgd", fused_options={"lr": 1.0})
    before = layer.weight.detach().clone()
    ids = torch.tensor([1])
    # Two lookups in one graph are two steps, in whichever order; so are two backward passes.
    (layer(ids) + layer(ids)).sum().backward()
    assert layer.optimizer is not None
    assert layer.optimizer.steps == 2
    layer(ids).sum().backward()
    assert layer.optimizer.steps == 3
    torch.testing.assert_close(before[1] - layer.weight[1].detach(), torch.full((2,), 3.0))


def test_the_learning_rate_is_set_at_any_time() -> None:
    layer = hotrow.torch.Embedding(6, 2, fused="sgd", fused_options={"lr": 1.0})
    assert layer.optimizer is not None
    layer.optimizer.lr = 0.0
    before = layer.weight.detach().clone()
    layer(torch.tensor([1])).sum().backward()
    assert torch.equal(layer.weight, before)
    layer.optimizer.lr = 0.5
    layer(torch.tensor([1])).sum().backward()
    torch.testing.assert_close(before[1] - layer.weight[1].detach(), torch.full((2,), 0.5))


def test_nothing_moves_without_a_gradient() -> None:
    layer = hotrow.torch.Embedding(6, 2, fused="sgd")
    before = layer.weight.detach().clone()
    assert layer.optimizer is not None
    with torch.no_grad():
        layer(torch.tensor([1]))
    layer.requires_grad_(False)
    assert not layer(torch.tensor([1])).requires_grad
    assert torch.equal(layer.weight, before)
    assert layer.optimizer.steps == 0


def test_second_derivatives_are_refused() -> None:
    layer = hotrow.torch.Embedding(6, 2, fused="sgd")
    before = layer.weight.detach().clone()
    with pytest.raises(RuntimeError, match="create_graph"):
        layer(torch.tensor([1])).sum().backward(create_graph=True)
    assert torch.equal(layer.weight, before)


def test_autograd_sees_that_the_weight_has_changed() -> None:
    layer = hotrow.torch.Embedding(6, 2, fused="sgd")
    product = layer.weight @ torch.ones(2, 3, requires_grad=True)
    layer(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["Embedding", "EmbeddingBag"])
def test_a_state_dict_goes_on_bit_for_bit(rule: str, kind: str) -> None:
    def make() -> Any:
        return getattr(hotrow.torch, kind)(12, 7, fused=rule)

    one = make()
    one.optimizer.lr = 0.03
    train(one, batches())
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other = make()
    other.load_state_dict(torch.load(file))
    copies = [other, copy.deepcopy(one), pickle.loads(pickle.dumps(one))]
    train(one, batches(6)[4:])
    for same in copies:
        assert same.optimizer.lr == one.optimizer.lr
        assert same.optimizer.steps == 4
        train(same, batches(6)[4:])
        assert torch.equal(same.weight, one.weight)
        for name, value in one.state_dict().items():
            assert torch.equal(same.state_dict()[name], value), name


def test_state_dicts_and_torch_nn() -> None:
    fused = hotrow.torch.Embedding(6, 2, fused="adam")
    train(fused, batches(2, rows=6))
    plain = torch.nn.Embedding(6, 2)
    assert fused.optimizer is not None
    # A layer without an optimizer has no place for its state.
    with pytest.raises(RuntimeError, match=r"optimizer\.state\.exp_avg"):
        plain.load_state_dict(fused.state_dict())
    result = plain.load_state_dict(fused.state_dict(), strict=False)
    assert result.missing_keys == []
    assert torch.equal(plain.weight, fused.weight)
    # And one that has an optimizer keeps it as it is.
    torch.nn.init.ones_(plain.weight)
    fused.load_state_dict(plain.state_dict())
    assert torch.equal(plain.weight, fused.weight)
    assert fused.optimizer.steps == 2


def test_state_dicts_that_do_not_fit() -> None:
    state = hotrow.torch.Embedding(6, 2, fused="adam").state_dict()
    with pytest.raises(RuntimeError, match=r"Missing key.*optimizer\.state\.sum"):
        hotrow.torch.Embedding(6, 2, fused="adagrad").load_state_dict(state)
    state["optimizer.state.exp_avg"] = torch.zeros(6, 3)
    with pytest.raises(RuntimeError, match=r"optimizer\.state\.exp_avg"):
        hotrow.torch.Embedding(6, 2, fused="adam").load_state_dict(state)


def test_state_dicts_of_models_with_fused_layers() -> None:
    def make() -> torch.nn.Module:
        return torch.nn.Sequential(hotrow.torch.Embedding(6, 2, fused="adagrad"), torch.nn.Linear(2, 1))

    one, other = make(), make()
    train(one, batches(3, rows=6))
    assert "0.optimizer.state.sum" in one.state_dict()
    other.load_state_dict(one.state_dict())
    for name, value in other.state_dict().items():
        assert torch.equal(value, one.state_dict()[name])


def test_a_step_outlives_its_layer() -> None:
    weight = torch.zeros(6, 2)
    layer = hotrow.torch.Embedding.from_pretrained(weight, freeze=False, fused="sgd", fused_options={"lr": 1.0})
    found = layer(torch.tensor([1])).sum()
    del layer
    gc.collect()
    found.backward()
    assert weight[1].tolist() == [-1.0, -1.0]


def test_optimizers_end_with_their_layers() -> None:
    from hotrow.torch import _optimizers  # noqa: PLC0415

    gc.collect()
    before = len(_optimizers._known)
    layer = hotrow.torch.Embedding(6, 2, fused="adam")
    assert len(_optimizers._known) == before + 1
    del layer
    gc.collect()
    assert len(_optimizers._known) == before


def test_options_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="adagard"):
        hotrow.torch.Embedding(6, 2, fused="adagard")
    with pytest.raises(TypeError, match="epsilon"):
        hotrow.torch.Embedding(6, 2, fused="adam", fused_options={"epsilon": 1})
    with pytest.raises(ValueError, match="lr"):
        hotrow.torch.Embedding(6, 2, fused="adam", fused_options={"lr": -1.0})
    with pytest.raises(ValueError, match="fused"):
        hotrow.torch.Embedding(6, 2, fused_options={"lr": 1.0})
    with pytest.raises(ValueError, match="sparse"):
        hotrow.torch.EmbeddingBag(6, 2, sparse=True, fused="adam")


def test_a_weight_that_cannot_be_written_in_place() -> None:
    layer = hotrow.torch.Embedding.from_pretrained(torch.zeros(2, 6).t(), freeze=False, fused="sgd")
    with pytest.raises(ValueError, match="side by side"):
        layer(torch.tensor([1])).sum().backward()


def test_memory_stays_flat() -> None:
    resident = pytest.importorskip("resource")
    layer = hotrow.torch.EmbeddingBag(10_000, 16, mode="sum", fused="rowwise_adagrad")
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 10_000, (256, 8)))

    def steps(count: int) -> int:
        for _ in range(count):
            layer(ids).sum().backward()
        return int(resident.getrusage(resident.RUSAGE_SELF).ru_maxrss)

    first = steps(50)
    assert steps(1_000) - first < 8 * 1024
