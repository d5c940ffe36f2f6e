"""Sharded collections as modules: outputs and steps are the collection's own, to the bit; what cannot be is refused."""

from __future__ import annotations

import doctest
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hotrow
import hotrow.distributed.torch
import numpy as np
import pytest
import torch
from hotrow import EmbeddingBagConfig
from hotrow.distributed import LocalComm, ShardedEmbeddingBagCollection, plan
from hotrow.distributed.torch import ShardedModule, ShardedSequenceModule
from hotrow.torch import KeyedJaggedTensor
from numpy.typing import NDArray
from torch import Tensor

CONFIGS = [
    EmbeddingBagConfig(name="users", num_embeddings=50, embedding_dim=3, feature_names=["user"]),
    EmbeddingBagConfig(
        name="items", num_embeddings=80, embedding_dim=4, feature_names=["seen", "liked"], pooling="mean"
    ),
]
OPTIMIZER = ("adagrad", {"lr": 0.1})


class _World:
    """A comm of which nothing but the size is asked."""

    rank, size = 1, 4

    all_to_all = all_gather = barrier = None


class _Recorder:
    """A collection of bags that keeps what it is given."""

    comm: Any = _World()

    def __init__(self) -> None:
        self.grads: list[Any] = []
        self.columns = {"a": slice(0, 2)}
        self.compiled: list[bool] = []

    def forward(self, keys: Sequence[str], values: Any, *, lengths: Any, **_: Any) -> Any:
        self.compiled.append(torch.compiler.is_compiling())
        return np.ones((len(lengths), 2), np.float32)

    def backward(self, grad: Any) -> None:
        self.grads.append(grad)


class _Sequences(_Recorder):
    """A collection of sequences that keeps what it is given."""

    def forward(self, keys: Sequence[str], values: Any, *, lengths: Any, **_: Any) -> Any:
        cut = np.split(np.arange(len(values) * 2, dtype=np.float32).reshape(-1, 2), [int(lengths[0])])
        return dict(zip(keys, cut, strict=True))


def sharded() -> ShardedEmbeddingBagCollection:
    return ShardedEmbeddingBagCollection(CONFIGS, plan(CONFIGS, world_size=1), LocalComm(), seed=3, optimizer=OPTIMIZER)


def features(batch: int = 5, weighted: bool = False, seed: int = 0) -> KeyedJaggedTensor:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 4, (3 * batch,), generator=generator)
    ids = torch.randint(0, 50, (int(lengths.sum()),), generator=generator)
    weights = torch.rand(len(ids), generator=generator) if weighted else None
    return KeyedJaggedTensor(["user", "seen", "liked"], ids, weights, lengths=lengths)


def one(module: ShardedModule | ShardedSequenceModule) -> Any:
    return module(KeyedJaggedTensor(["a"], torch.tensor([1, 2, 3]), lengths=torch.tensor([2, 1])))


@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_outputs_and_steps_are_those_of_one_collection(batch: int, weighted: bool) -> None:
    collection = sharded()
    module = ShardedModule(collection)
    expected = hotrow.EmbeddingBagCollection(CONFIGS, seed=3).with_optimizer(OPTIMIZER[0], **OPTIMIZER[1])
    for seed in range(3):
        given = features(batch, weighted, seed)
        weights = given.weights_or_none()
        out = module(given)
        wanted = expected.forward(
            given.keys(), given.values(), lengths=given.lengths(), weights=None if weights is None else weights.numpy()
        )
        assert np.array_equal(out.detach().numpy(), wanted)
        out.sin().sum().backward()
        expected.backward(torch.from_numpy(wanted).cos().numpy())
        for name in expected.table_names:
            assert np.array_equal(collection.gather_table(name), expected.table(name))


def test_columns_are_the_features() -> None:
    module = ShardedModule(sharded())
    widths = {name: len(range(*each.indices(11))) for name, each in module.columns.items()}
    assert widths == {"user": 3, "seen": 4, "liked": 4}


def test_a_module_has_no_parameters_and_no_state() -> None:
    module = ShardedModule(sharded())
    assert not list(module.parameters())
    assert not module.state_dict()


@pytest.mark.parametrize(("average", "expected"), [(True, 0.75), (False, 3.0)])
def test_gradients_are_averaged_over_ranks_as_those_of_dense_layers_are(average: bool, expected: float) -> None:
    collection = _Recorder()
    (3 * one(ShardedModule(collection, average=average))).sum().backward()
    (grad,) = collection.grads
    assert (grad.dtype, grad.flags.c_contiguous) == (np.float32, True)
    assert grad.tolist() == [[expected, expected]] * 2


def test_a_gradient_that_is_one_number_everywhere_is_laid_out() -> None:
    collection = _Recorder()
    one(ShardedModule(collection, average=False)).sum().backward()
    assert collection.grads[0].flags.c_contiguous


def test_a_backward_pass_is_taken_once() -> None:
    collection = _Recorder()
    loss = one(ShardedModule(collection)).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="takes it once"):
        loss.backward()
    assert len(collection.grads) == 1


@pytest.mark.parametrize("grad", [True, False])
def test_a_backward_pass_behind_another_lookup_is_refused(grad: bool) -> None:
    collection = _Recorder()
    module = ShardedModule(collection)
    loss = one(module).sum()
    with torch.set_grad_enabled(grad):
        later = one(module).sum()
    with pytest.raises(RuntimeError, match="earlier forward pass"):
        loss.backward()
    assert not collection.grads
    if grad:
        later.backward()
        assert len(collection.grads) == 1


def test_no_backward_pass_skips_a_lookup_that_was_refused() -> None:
    collection = sharded()
    module = ShardedModule(collection)
    out = module(features())
    before = collection.gather_table("users")
    with pytest.raises(IndexError, match="50"):
        module(KeyedJaggedTensor(["user", "seen", "liked"], torch.tensor([50]), lengths=torch.tensor([1, 0, 0])))
    with pytest.raises(RuntimeError, match="earlier forward pass"):
        out.sum().backward()
    assert np.array_equal(collection.gather_table("users"), before)
    module(features()).sum().backward()
    assert not np.array_equal(collection.gather_table("users"), before)


def test_second_derivatives_are_refused() -> None:
    out = one(ShardedModule(_Recorder()))
    scale = torch.ones(2, 2, requires_grad=True)
    loss = (out * scale).sum()
    (grad,) = torch.autograd.grad(loss, scale, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(grad.sum(), scale)


def test_what_is_refused() -> None:
    module = ShardedModule(sharded())
    given = features(weighted=True)
    weights = given.weights_or_none()
    assert weights is not None
    weights.requires_grad_()
    with pytest.raises(ValueError, match="detach"):
        module(given)
    with pytest.raises(TypeError, match="int64 or int32"):
        module(KeyedJaggedTensor(["user"], torch.tensor([1.0]), lengths=torch.tensor([1])))
    with pytest.raises(TypeError, match="lengths"):
        module(KeyedJaggedTensor(["user"], torch.tensor([1]), lengths=torch.tensor([1.0])))
    with pytest.raises(RuntimeError, match="CPU"):
        module(KeyedJaggedTensor(["user"], torch.empty(1, dtype=torch.int64, device="meta"), lengths=torch.tensor([1])))


def test_torchrec_features() -> None:
    torchrec = pytest.importorskip("torchrec")
    module = ShardedModule(sharded())
    plain = features(weighted=True)
    given = torchrec.KeyedJaggedTensor(plain.keys(), plain.values(), plain.weights_or_none(), lengths=plain.lengths())
    assert torch.equal(module(given), module(plain))


def test_sequences() -> None:
    collection = _Sequences()
    module = ShardedSequenceModule(collection)
    found = module(KeyedJaggedTensor(["a", "b"], torch.tensor([4, 5, 6]), lengths=torch.tensor([2, 1])))
    assert {name: rows.tolist() for name, rows in found.items()} == {"a": [[0, 1], [2, 3]], "b": [[4, 5]]}
    # A feature that the loss passes over has a gradient of zeros: its ranks wait for it.
    (8 * found["b"]).sum().backward()
    (grads,) = collection.grads
    assert {name: rows.tolist() for name, rows in grads.items()} == {"a": [[0, 0], [0, 0]], "b": [[2, 2]]}


class _Model(torch.nn.Module):
    """A layer behind the lookups."""

    def __init__(self, collection: ShardedEmbeddingBagCollection) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embeddings = ShardedModule(collection)
        self.dense = torch.nn.Linear(collection.output_dim, 2)

    def forward(self, given: KeyedJaggedTensor) -> Tensor:
        out: Tensor = self.dense(self.embeddings(given).tanh())
        return out


def trained(model: torch.nn.Module, collection: ShardedEmbeddingBagCollection) -> list[NDArray[Any]]:
    """All weights after three steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for seed in range(3):
        optimizer.zero_grad()
        model(features(seed=seed)).square().mean().backward()
        optimizer.step()
    dense = [each.detach().numpy() for each in model.parameters()]
    return [*dense, *(collection.gather_table(config.name) for config in CONFIGS)]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_beside_distributed_data_parallel() -> None:
    first, second = sharded(), sharded()
    whole = torch.nn.parallel.DistributedDataParallel(_Model(first))
    for found, expected in zip(trained(whole, first), trained(_Model(second), second), strict=True):
        assert np.array_equal(found, expected)


def test_inside_of_a_compiled_model() -> None:
    first, second = sharded(), sharded()
    compiled: Any = torch.compile(_Model(first), backend="aot_eager")
    for found, expected in zip(trained(compiled, first), trained(_Model(second), second), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_what_is_exchanged_is_not_compiled() -> None:
    collection = _Recorder()
    compiled: Any = torch.compile(ShardedModule(collection), backend="eager")
    one(compiled).sum().backward()
    assert collection.compiled == [False]
    assert len(collection.grads) == 1


def test_docstrings() -> None:
    failed, attempted = doctest.testmod(hotrow.distributed.torch)
    assert attempted
    assert not failed
