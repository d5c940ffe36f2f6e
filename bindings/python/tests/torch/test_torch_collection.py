"""Collections: against TorchRec where it is installed, and against bags looked up one by one."""

import copy
from typing import Any

import pytest
import torch
from hotrow.torch import EmbeddingBag, EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor, KeyedTensor
from hotrow.torch import functional as ours
from torch import Tensor

CONFIGS = [
    EmbeddingBagConfig(num_embeddings=20, embedding_dim=3, name="t1", feature_names=["a", "c"]),
    EmbeddingBagConfig(num_embeddings=30, embedding_dim=4, name="t2", feature_names=["b", "c"], pooling="MEAN"),
]


def features(keys: tuple[str, ...] = ("c", "a", "b"), batch: int = 5, weighted: bool = False) -> KeyedJaggedTensor:
    generator = torch.Generator().manual_seed(batch)
    lengths = torch.randint(0, 4, (len(keys) * batch,), generator=generator)
    values = torch.randint(0, 20, (int(lengths.sum()),), generator=generator)
    weights = torch.rand(len(values), generator=generator) if weighted else None
    return KeyedJaggedTensor(list(keys), values, weights, lengths=lengths)


def bag_of(given: KeyedJaggedTensor, key: str, weight: Tensor, mode: str) -> Tensor:
    at, batch, offsets = given.keys().index(key), given.stride(), given.offsets()
    cut = offsets[at * batch : (at + 1) * batch + 1]
    own = slice(int(cut[0]), int(cut[-1]))
    samples = given.weights_or_none()
    weights = None if samples is None else samples[own]
    return ours.embedding_bag(
        given.values()[own], weight, cut - cut[0], mode=mode, include_last_offset=True, per_sample_weights=weights
    )


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_features_are_pooled_from_their_tables(batch: int) -> None:
    collection = EmbeddingBagCollection(CONFIGS)
    given = features(batch=batch)
    pooled = collection(given)
    assert isinstance(pooled, KeyedTensor)
    assert pooled.keys() == ["a", "c@t1", "b", "c@t2"]
    assert pooled.length_per_key() == [3, 3, 4, 4]
    assert pooled.offset_per_key() == [0, 3, 6, 10, 14]
    assert pooled.values().shape == (batch, 14)
    weights = {name: bag.weight for name, bag in collection.embedding_bags.items()}
    for name, key, table, mode in (("a", "a", "t1", "sum"), ("c@t1", "c", "t1", "sum"), ("c@t2", "c", "t2", "mean")):
        expected = bag_of(given, key, weights[table], mode)
        assert torch.equal(pooled[name], expected)
        assert torch.equal(pooled.to_dict()[name], expected)


def test_against_torchrec() -> None:
    torchrec = pytest.importorskip("torchrec")
    pooling = torchrec.PoolingType
    configs = [
        torchrec.EmbeddingBagConfig(
            num_embeddings=20, embedding_dim=3, name="t1", feature_names=["a", "c"], pooling=pooling.SUM
        ),
        torchrec.EmbeddingBagConfig(
            num_embeddings=30, embedding_dim=4, name="t2", feature_names=["b", "c"], pooling=pooling.MEAN
        ),
    ]
    theirs = torchrec.EmbeddingBagCollection(tables=configs)
    ours = EmbeddingBagCollection(tables=configs)
    ours.load_state_dict(theirs.state_dict())
    plain = features()
    given = torchrec.KeyedJaggedTensor(keys=plain.keys(), values=plain.values(), lengths=plain.lengths())
    for sample in (given, plain):
        found, expected = ours(sample), theirs(given)
        assert list(found.keys()) == list(expected.keys())
        assert list(found.length_per_key()) == list(expected.length_per_key())
        assert list(found.offset_per_key()) == list(expected.offset_per_key())
        torch.testing.assert_close(found.values(), expected.values())
        for name, value in expected.to_dict().items():
            torch.testing.assert_close(found.to_dict()[name], value)
    grad = torch.randn_like(expected.values())
    found.values().backward(grad)
    expected.values().backward(grad)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)
    theirs.load_state_dict(ours.state_dict())
    assert ours.embedding_bag_configs() == theirs.embedding_bag_configs()
    assert ours.is_weighted() == theirs.is_weighted()
    assert ours.device == theirs.device


def test_weighted_features_against_torchrec() -> None:
    torchrec = pytest.importorskip("torchrec")
    config = torchrec.EmbeddingBagConfig(num_embeddings=20, embedding_dim=3, name="t1", feature_names=["a", "b"])
    theirs = torchrec.EmbeddingBagCollection(tables=[config], is_weighted=True)
    ours = EmbeddingBagCollection(tables=[config], is_weighted=True)
    ours.load_state_dict(theirs.state_dict())
    plain = features(("a", "b"), weighted=True)
    given = torchrec.KeyedJaggedTensor(plain.keys(), plain.values(), plain.weights_or_none(), lengths=plain.lengths())
    torch.testing.assert_close(ours(given).values(), theirs(given).values())
    with pytest.raises(ValueError, match="weights"):
        ours(features(("a", "b")))


def test_fused_tables_learn_and_are_copied() -> None:
    collection = EmbeddingBagCollection(CONFIGS, fused="adagrad", fused_options={"lr": 0.1})
    other = EmbeddingBagCollection(CONFIGS, fused="adagrad", fused_options={"lr": 0.1})
    first = collection(features()).values().pow(2).sum()
    first.backward()
    # A table steps once, whichever number of features it has.
    steps = [bag.optimizer.steps for bag in collection.embedding_bags.values()]
    assert steps == [1, 1]
    assert collection(features()).values().pow(2).sum() < first
    other.load_state_dict(collection.state_dict())
    same = copy.deepcopy(collection)
    for model in (collection, other, same):
        model(features()).values().pow(2).sum().backward()
    for name, value in collection.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
        assert torch.equal(value, same.state_dict()[name])


def test_features_of_a_fused_table_are_one_step() -> None:
    options: dict[str, Any] = {"fused": "rowwise_adagrad", "fused_options": {"lr": 0.1}}
    config = EmbeddingBagConfig(num_embeddings=20, embedding_dim=3, name="t", feature_names=["c", "a"])
    collection = EmbeddingBagCollection([config], is_weighted=True, **options)
    given = features(weighted=True)
    layer = EmbeddingBag(20, 3, mode="sum", include_last_offset=True, **options)
    layer.load_state_dict(collection.embedding_bags["t"].state_dict())
    # The two come first, in this order, so that they are one lookup already.
    ids, cut, weights = given.values(), given.offsets()[:11], given.weights_or_none()
    assert weights is not None
    end = int(cut[-1])
    expected = layer(ids[:end], cut, weights[:end])
    found = collection(given).values()
    assert torch.equal(found, torch.cat([expected[:5], expected[5:]], dim=1))
    found.pow(2).sum().backward()
    expected.pow(2).sum().backward()
    for name, value in layer.state_dict().items():
        assert torch.equal(value, collection.embedding_bags["t"].state_dict()[name])


def test_initial_weights() -> None:
    def ones(weight: Tensor) -> None:
        torch.nn.init.ones_(weight)

    configs = [
        EmbeddingBagConfig(100, 4, "bounded", feature_names=["a"], weight_init_min=1.0, weight_init_max=2.0),
        EmbeddingBagConfig(100, 4, "drawn", data_type="BF16"),
        EmbeddingBagConfig(100, 4, "ones", init_fn=ones, data_type=torch.float16),
    ]
    collection = EmbeddingBagCollection(configs)
    bounded, drawn, filled = (bag.weight for bag in collection.embedding_bags.values())
    assert isinstance(bounded, Tensor)
    assert bounded.min() >= 1
    assert bounded.max() <= 2
    assert drawn.abs().max() <= 0.1
    assert (drawn.dtype, filled.dtype) == (torch.bfloat16, torch.float16)
    assert (filled == 1).all()
    # A table without feature names has one of its own name.
    given = KeyedJaggedTensor(["a", "drawn", "ones"], torch.tensor([1, 2, 3]), lengths=torch.ones(3, dtype=torch.int64))
    assert collection(given).values().dtype == torch.float32


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="Duplicate"):
        EmbeddingBagCollection([CONFIGS[0], CONFIGS[0]])
    with pytest.raises(ValueError, match="pooling"):
        EmbeddingBagCollection([EmbeddingBagConfig(2, 2, "t", pooling="NONE")])
    with pytest.raises(ValueError, match="data_type"):
        EmbeddingBagCollection([EmbeddingBagConfig(2, 2, "t", data_type="INT8")])
    with pytest.raises(KeyError, match="'b'"):
        EmbeddingBagCollection(CONFIGS)(features(("a", "c")))
    with pytest.raises(ValueError, match="lengths or by offsets"):
        KeyedJaggedTensor(["a"], torch.tensor([1]))
    with pytest.raises(ValueError, match="features"):
        KeyedJaggedTensor(["a", "b"], torch.tensor([1]), lengths=torch.tensor([1]))


def test_anything_that_answers_like_features_will_do() -> None:
    class Answers:
        def keys(self) -> list[str]:
            return ["a", "b", "c"]

        def values(self) -> Tensor:
            return torch.tensor([1, 2, 3])

        def offsets(self) -> Tensor:
            return torch.tensor([0, 1, 2, 3], dtype=torch.int32)

        def weights_or_none(self) -> None:
            return None

    pooled: Any = EmbeddingBagCollection(CONFIGS)(Answers())
    assert pooled.values().shape == (1, 14)
