"""Optimizers, step by step, against plain loops in NumPy."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from pathlib import Path
from typing import Any

import hotrow
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from plain import BF16, ELEMENTS, draw, same
from plain_steps import DEFAULTS, Plain, by_row, of_ids

ROWS = 20
RULES = list(DEFAULTS)
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((rule, {}) for rule in RULES),
    ("sgd", {"lr": 0.1, "momentum": 0.9}),
    ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("adagrad", {"lr": 0.3, "eps": 1e-3, "initial_accumulator": 0.1}),
    ("rowwise_adagrad", {"lr": 0.3, "eps": 1e-3, "initial_accumulator": 0.1}),
    ("adam", {"lr": 0.02, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3}),
    ("adamw", {"lr": 0.02, "weight_decay": 0.5}),
    ("rmsprop", {"lr": 0.02, "rho": 0.7, "momentum": 0.5, "eps": 1e-3}),
    ("ftrl", {"lr": 0.1, "l1": 0.2, "l2": 0.3}),
    ("sgd", {"lr": 0.1, "weight_decay": 0.01}),
    ("adagrad", {"weight_decay": 0.1, "weight_decay_mode": "decoupled"}),
    ("adam", {"clip_value": 0.5}),
    ("rowwise_adagrad", {"clip_norm": 1.5, "finite_check": True}),
    ("sgd", {"lr": 0.5, "max_row_norm": 2.0}),
    ("rmsprop", {"clip_norm": 1.0, "clip_value": 0.25, "max_row_norm": 1.0, "weight_decay": 0.1}),
]


def same_state(optimizer: hotrow.Optimizer, plain: Plain) -> None:
    state = optimizer.state()
    assert list(state) == list(plain.state)
    for name, values in state.items():
        same(values, plain.state[name])


@pytest.mark.parametrize("dtype", list(ELEMENTS))
@pytest.mark.parametrize(("rule", "options"), VARIANTS)
def test_every_rule_over_several_steps(
    rng: np.random.Generator, rule: str, options: dict[str, Any], dtype: str
) -> None:
    for dim in (1, 5, 16, 37):
        table = draw(rng, ROWS, dim, dtype)
        expected = table.copy()
        optimizer, plain = hotrow.Optimizer(rule, ROWS, dim, **options), Plain(rule, ROWS, dim, **options)
        wrapped = hotrow.Table(table)
        for step in range(4):
            ids = rng.integers(0, ROWS, (3, 4))
            grad = rng.standard_normal((3, 4, dim)).astype(np.float32)
            optimizer.step(wrapped if step % 2 else table, ids, grad)
            plain.step(expected, of_ids(ids.ravel().tolist(), grad))
            same(table, expected)
            same_state(optimizer, plain)
        assert optimizer.steps == 4


@given(
    rule=st.sampled_from(RULES),
    dim=st.sampled_from([1, 3, 16, 33]),
    lengths=st.lists(st.integers(0, 5), max_size=8),
    mode=st.sampled_from([None, "sum", "mean", "sqrtn"]),
    weighted=st.booleans(),
    padding_idx=st.sampled_from([None, 0, 3]),
    by_freq=st.booleans(),
    of=st.sampled_from(list(ELEMENTS)),
    seed=st.integers(0, 1000),
)
def test_bags(
    rule: str,
    dim: int,
    lengths: list[int],
    mode: str | None,
    weighted: bool,
    padding_idx: int | None,
    by_freq: bool,
    of: str,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    table = draw(rng, ROWS, dim)
    expected = table.copy()
    splits = [0, *np.cumsum(lengths, dtype=np.int64).tolist()]
    ids = rng.integers(0, 8, splits[-1])
    weights = rng.standard_normal(splits[-1]).astype(np.float32) if weighted else None
    grad = rng.standard_normal((len(lengths), dim)).astype(ELEMENTS[of])
    common: dict[str, Any] = {"padding_idx": padding_idx, "scale_grad_by_freq": by_freq, "mode": mode}
    common["per_sample_weights"] = weights
    plain = Plain(rule, ROWS, dim)
    gradients = by_row(ids.tolist(), splits, grad, mode or "sum", weights, padding_idx, by_freq)
    plain.step(expected, gradients)
    cuts: list[dict[str, Any]] = [
        {"lengths": np.array(lengths, np.int32)},
        {"offsets": splits, "include_last_offset": True},
        {"offsets": np.array(splits[:-1], np.int64)},
    ]
    for cut in cuts:
        stepped, optimizer = table.copy(), hotrow.Optimizer(rule, ROWS, dim)
        optimizer.step(stepped, ids, grad, **common, **cut)
        same(stepped, expected)
        same_state(optimizer, plain)
    stepped, optimizer = table.copy(), hotrow.Optimizer(rule, ROWS, dim)
    optimizer.step_sparse(stepped, hotrow.sparse_grad(ids, grad, ROWS, **common, **cuts[0]))
    same(stepped, expected)


def test_a_gather_with_padding_and_frequencies(rng: np.random.Generator) -> None:
    table = draw(rng, ROWS, 6)
    expected = table.copy()
    ids = [3, 1, 3, 0, 0, 19]
    grad = rng.standard_normal((6, 6)).astype(np.float32)
    hotrow.Optimizer("sgd", ROWS, 6, lr=0.5).step(table, ids, grad, padding_idx=-20, scale_grad_by_freq=True)
    Plain("sgd", ROWS, 6, lr=0.5).step(expected, of_ids(ids, grad, padding_idx=0, by_freq=True))
    same(table, expected)


def test_max_pooling(rng: np.random.Generator) -> None:
    table = draw(rng, ROWS, 4)
    ids = rng.integers(0, ROWS, (5, 3))
    _, argmax = hotrow.embedding_bag_max(table, ids)
    grad = rng.standard_normal((5, 4)).astype(np.float32)
    expected = table.copy()
    total = np.zeros_like(table)
    for bag in range(5):
        for column in range(4):
            total[argmax[bag, column], column] += grad[bag, column]
    expected -= np.float32(0.5) * total
    optimizer = hotrow.Optimizer("sgd", ROWS, 4, lr=0.5)
    optimizer.step(table, ids, grad, argmax=argmax)
    np.testing.assert_array_equal(table, expected)
    with pytest.raises(ValueError, match="max"):
        optimizer.step(table, ids, grad, mode="max")
    with pytest.raises(ValueError, match="max"):
        optimizer.step(table, ids, grad, mode="sum", argmax=argmax)
    with pytest.raises(TypeError, match="uint32"):
        optimizer.step(table, ids, grad, argmax=argmax.astype(np.int64))


@pytest.mark.parametrize("of", list(ELEMENTS))
def test_a_gradient_is_read_however_it_lies(rng: np.random.Generator, of: str) -> None:
    wide = rng.standard_normal((6, 2, 12)).astype(ELEMENTS[of])
    layouts = [
        wide[:, :, 3:8],
        wide[:, 1, 3:8][:, None, :].repeat(2, 1),
        wide[::2, :, :5],
        wide[::-1, :, :5],
        np.asfortranarray(wide)[:, :, :5],
        wide[:, :, ::2][:, :, :5],
        np.broadcast_to(wide[0, 0, :5], (6, 2, 5)),
    ]
    for grad in layouts:
        ids = rng.integers(0, ROWS, grad.shape[:2])
        table, expected = (np.zeros((ROWS, 5), np.float32) for _ in range(2))
        hotrow.Optimizer("sgd", ROWS, 5, lr=1.0).step(table, ids, grad)
        Plain("sgd", ROWS, 5, lr=1.0).step(expected, of_ids(ids.ravel().tolist(), np.ascontiguousarray(grad)))
        same(table, expected)


def test_gradients_of_other_types(rng: np.random.Generator) -> None:
    grad = rng.standard_normal((3, 4)).astype(np.float32)
    expected = np.zeros((ROWS, 4), np.float32)
    hotrow.Optimizer("sgd", ROWS, 4, lr=1.0).step(expected, [1, 2, 1], grad)
    for other in (grad.astype(np.float64), grad.tolist(), grad.astype(">f4"), grad.astype(">f8")):
        table = np.zeros((ROWS, 4), np.float32)
        hotrow.Optimizer("sgd", ROWS, 4, lr=1.0).step(table, [1, 2, 1], other)
        same(table, expected)
    optimizer = hotrow.Optimizer("sgd", ROWS, 4)
    for bad in (grad.astype(np.int32), grad.astype(np.uint16), grad.astype(complex), np.array([["a"] * 4] * 3)):
        with pytest.raises(TypeError):
            optimizer.step(expected, [1, 2, 1], bad)


def test_bits_of_bfloat16(rng: np.random.Generator) -> None:
    table, grad = draw(rng, ROWS, 4, "bfloat16"), draw(rng, 3, 4, "bfloat16")
    bits = table.view(np.uint16).copy()
    hotrow.Optimizer("sgd", ROWS, 4, lr=1.0).step(table, [1, 2, 1], grad)
    hotrow.Optimizer("sgd", ROWS, 4, lr=1.0).step(hotrow.Table(bits, dtype="bfloat16"), [1, 2, 1], grad.view(np.uint16))
    same(bits.view(BF16), table)
    a = hotrow.sparse_grad([1, 2, 1], grad.view(np.uint16), ROWS, dtype="bfloat16")
    same(a.values, hotrow.sparse_grad([1, 2, 1], grad, ROWS).values)


def test_stochastic_rounding_is_the_same_every_time(rng: np.random.Generator) -> None:
    start = draw(rng, ROWS, 19, "bfloat16")
    batches = [(rng.integers(0, ROWS, 12), rng.standard_normal((12, 19)).astype(np.float32)) for _ in range(3)]
    expected, plain = start.copy(), Plain("adagrad", ROWS, 19, stochastic_rounding=2**63 + 5)
    for ids, grad in batches:
        plain.step(expected, of_ids(ids.tolist(), grad))
    for _ in range(2):
        table, optimizer = start.copy(), hotrow.Optimizer("adagrad", ROWS, 19, stochastic_rounding=2**63 + 5)
        for ids, grad in batches:
            optimizer.step(table, ids, grad)
        same(table, expected)
    other, optimizer = start.copy(), hotrow.Optimizer("adagrad", ROWS, 19, stochastic_rounding=6)
    for ids, grad in batches:
        optimizer.step(other, ids, grad)
    assert not np.array_equal(other, expected)


def test_large_steps_are_those_of_any_number_of_threads(rng: np.random.Generator, restored: None) -> None:
    ids = np.minimum(rng.zipf(1.2, 20_000) - 1, 4999)
    grad = rng.standard_normal((20_000, 32)).astype(np.float32)
    expected = np.zeros((5000, 32), np.float32)
    plain = Plain("rowwise_adagrad", 5000, 32)
    plain.step(expected, of_ids(ids.tolist(), grad))
    for threads in (1, 2, 3):
        hotrow.set_num_threads(threads)
        table, optimizer = np.zeros((5000, 32), np.float32), hotrow.Optimizer("rowwise_adagrad", 5000, 32)
        optimizer.step(table, ids, grad)
        same(table, expected)
        same_state(optimizer, plain)


def train(table: NDArray[Any], optimizer: hotrow.Optimizer, seed: int, steps: int = 3) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        optimizer.step(table, rng.integers(0, ROWS, 9), rng.standard_normal((9, table.shape[1])).astype(np.float32))


@pytest.mark.parametrize(("rule", "options"), [*VARIANTS, ("adam", {"stochastic_rounding": 2**64 - 1})])
def test_whoever_is_saved_goes_on_bit_for_bit(tmp_path: Path, rule: str, options: dict[str, Any]) -> None:
    table = draw(np.random.default_rng(0), ROWS, 7, "bfloat16")
    optimizer = hotrow.Optimizer(rule, ROWS, 7, **options)
    train(table, optimizer, 1)
    optimizer.lr = 0.125
    saved = optimizer.state_dict()
    np.savez(tmp_path / "state.npz", **saved)
    with np.load(tmp_path / "state.npz") as file:
        from_file = dict(file)
    others = [
        pickle.loads(pickle.dumps(optimizer)),
        copy.copy(optimizer),
        copy.deepcopy({"in": [optimizer]})["in"][0],
        hotrow.Optimizer(rule, ROWS, 7),
        hotrow.Optimizer(rule, ROWS, 7, lr=0.7),
    ]
    others[3].load_state_dict(saved)
    others[4].load_state_dict(from_file)
    tables = [table.copy() for _ in others]
    train(table, optimizer, 2)
    for other, its in zip(others, tables, strict=True):
        assert (other.lr, other.steps) == (0.125, 3)
        train(its, other, 2)
        same(its, table)
        mine, yours = optimizer.state_dict(), other.state_dict()
        assert list(mine) == list(yours)
        for name, value in mine.items():
            np.testing.assert_array_equal(value, yours[name])


def test_what_is_no_state_is_refused() -> None:
    optimizer = hotrow.Optimizer("adam", 4, 2)
    optimizer.step(np.zeros((4, 2), np.float32), [1], [[1.0, 2.0]])
    good = optimizer.state_dict()
    before = pickle.dumps(optimizer)
    for name in good:
        with pytest.raises(ValueError, match="lacks"):
            optimizer.load_state_dict({k: v for k, v in good.items() if k != name})
    for change in (
        {"rule": "none"},
        {"rows": 5},
        {"state.exp_avg": np.zeros((4, 3))},
        {"state.sum": np.zeros((4, 2))},
        {"lr": -1.0},
        {"steps": -1},
    ):
        with pytest.raises(ValueError, match=r".+"):
            optimizer.load_state_dict(good | change)
    with pytest.raises(TypeError):
        optimizer.load_state_dict(good | {"surprise": 1})
    for other in (hotrow.Optimizer("adamw", 4, 2), hotrow.Optimizer("adam", 4, 3), hotrow.Optimizer("adam", 5, 2)):
        with pytest.raises(ValueError, match="the state is of"):
            optimizer.load_state_dict(other.state_dict())
    assert pickle.dumps(optimizer) == before


@pytest.mark.parametrize("dtype", list(ELEMENTS))
@pytest.mark.parametrize("rule", ["rowwise_adagrad", "partial_rowwise_adam"])
def test_columns_of_a_table_step_as_the_table(rng: np.random.Generator, rule: str, dtype: str) -> None:
    table = draw(rng, ROWS, 11, dtype)
    parts = [(slice(first, end), np.ascontiguousarray(table[:, first:end])) for first, end in ((0, 3), (3, 4), (4, 11))]
    options: dict[str, Any] = {"lr": 0.3, "clip_value": 1.0}
    whole = hotrow.Optimizer(rule, ROWS, 11, **options)
    owners = [
        hotrow.Optimizer(rule, ROWS, part.shape[1], columns=(columns.start, 11), **options) for columns, part in parts
    ]
    for _ in range(3):
        ids, grad = rng.integers(0, ROWS, 30), rng.standard_normal((30, 11)).astype(np.float32)
        whole.step(table, ids, grad)
        owners = [pickle.loads(pickle.dumps(owner)) for owner in owners]
        for owner, (_, part) in zip(owners, parts, strict=True):
            owner.step(part, ids, grad)
    for owner, (columns, part) in zip(owners, parts, strict=True):
        same(part, table[:, columns])
        for name, values in owner.state().items():
            expected = whole.state()[name]
            same(values, expected if expected.shape[1] == 1 else expected[:, columns])
        assert owner.state_dict()["columns"] == (columns.start, 11)
    assert "columns" not in whole.state_dict()
    with pytest.raises(ValueError, match="the whole table's rows have 11 values, and the gradient's have 3"):
        owners[0].step(parts[0][1], [1], [[1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("rule", "options", "error", "message"),
    [
        ("rowwise_adagrad", {"columns": (6, 8)}, ValueError, "columns is 6..9 of 8 for a table of 3"),
        ("rowwise_adagrad", {"columns": (2**64 - 1, 8)}, ValueError, "columns is"),
        ("rowwise_adagrad", {"columns": 3}, TypeError, "columns must be two whole numbers"),
        ("rowwise_adagrad", {"columns": (-1, 8)}, TypeError, "columns must be two whole numbers"),
        ("adagrad", {"columns": (0, 8)}, ValueError, "it steps each column by itself"),
        ("partial_rowwise_adam", {"columns": (0, 8), "max_row_norm": 1.0}, ValueError, "the weights of a whole row"),
        ("partial_rowwise_adam", {"columns": (0, 8), "weight_decay": 0.1}, ValueError, "the weights of a whole row"),
    ],
)
def test_columns_that_cannot_be(rule: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        hotrow.Optimizer(rule, 5, 3, **options)


def test_states_are_seen_without_a_copy() -> None:
    table, optimizer = np.zeros((6, 3), np.float32), hotrow.Optimizer("partial_rowwise_adam", 6, 3)
    state = optimizer.state()
    assert {name: values.shape for name, values in state.items()} == {"exp_avg": (6, 3), "exp_avg_sq": (6, 1)}
    optimizer.step(table, [2], [[1.0, 2.0, 3.0]])
    assert state["exp_avg"][2].all()
    assert state["exp_avg_sq"][2].all()
    assert not state["exp_avg"][:2].any()
    with pytest.raises(ValueError, match="read-only"):
        state["exp_avg"][0] = 1
    with pytest.raises(ValueError, match="shares memory"):
        optimizer.step(table, [0, 1, 2, 3, 4, 5], state["exp_avg"])
    with pytest.raises(ValueError, match="read-only"):
        hotrow.Optimizer("sgd", 6, 3).step(state["exp_avg"], [0], [[1.0, 2.0, 3.0]])
    optimizer.set_state("exp_avg", np.arange(18).reshape(6, 3))
    np.testing.assert_array_equal(state["exp_avg"].ravel(), np.arange(18))
    with pytest.raises(ValueError, match="momentum"):
        optimizer.set_state("momentum", np.zeros((6, 3)))
    # They live as long as anybody looks at them.
    optimizer.load_state_dict(hotrow.Optimizer("partial_rowwise_adam", 6, 3).state_dict())
    del optimizer
    gc.collect()
    np.testing.assert_array_equal(state["exp_avg"].ravel(), np.arange(18))


def test_learning_rate_and_steps_can_be_set() -> None:
    optimizer = hotrow.Optimizer("adam", 3, 2, lr=0.5)
    assert (optimizer.rule, optimizer.rows, optimizer.dim, optimizer.lr, optimizer.steps) == ("adam", 3, 2, 0.5, 0)
    optimizer.lr, optimizer.steps = 0.25, 7
    assert (optimizer.lr, optimizer.steps) == (0.25, 7)
    assert repr(optimizer) == 'hotrow.Optimizer("adam", rows=3, dim=2, lr=0.25, steps=7)'
    with pytest.raises(ValueError, match="lr"):
        optimizer.lr = -1
    assert optimizer.lr == 0.25
    with pytest.raises(OverflowError):
        optimizer.steps = -1
    table, expected = (np.ones((3, 2), np.float32) for _ in range(2))
    plain = Plain("adam", 3, 2, lr=0.25)
    plain.steps = 7
    optimizer.step(table, [1], [[1.0, 2.0]])
    plain.step(expected, {1: np.array([1.0, 2.0], np.float32)})
    same(table, expected)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("sgd", {"lr": -1}),
        ("sgd", {"lr": float("nan")}),
        ("sgd", {"lr": 1e300}),
        ("sgd", {"momentum": 1.0}),
        ("adam", {"beta1": 1.0}),
        ("adagrad", {"eps": -1e-3}),
        ("ftrl", {"lr": 0}),
        ("ftrl", {"weight_decay": 0.1, "weight_decay_mode": "decoupled"}),
        ("adamw", {"weight_decay_mode": "l2"}),
        ("sgd", {"weight_decay": -1}),
        ("sgd", {"weight_decay": 0.1, "weight_decay_mode": "both"}),
        ("sgd", {"clip_value": 0}),
        ("sgd", {"clip_norm": float("inf")}),
        ("sgd", {"max_row_norm": -2}),
        ("sgd", {"stochastic_rounding": -1}),
        ("sgd", {"stochastic_rounding": 2**64}),
        ("sgdd", {}),
    ],
)
def test_bad_hyperparameters(rule: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        hotrow.Optimizer(rule, 3, 2, **options)


@pytest.mark.parametrize(
    "options", [{"beta1": 0.5}, {"lr": "fast"}, {"stochastic_rounding": True}, {"stochastic_rounding": 0.5}]
)
def test_what_no_hyperparameter_is(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        hotrow.Optimizer("sgd", 3, 2, **options)


def test_a_refused_step_changes_nothing(rng: np.random.Generator) -> None:
    table = draw(rng, 5, 3)
    optimizer = hotrow.Optimizer("adam", 5, 3, finite_check=True)
    before = table.copy()
    nan = np.array([[1, 2, 3], [1, np.nan, 3]], np.float32)
    ones = np.ones((2, 3), np.float32)
    read_only = table.copy()
    read_only.flags.writeable = False
    refused: list[tuple[type[Exception], tuple[Any, ...], dict[str, Any]]] = [
        (ValueError, (table, [1, 2], nan), {}),
        (IndexError, (table, [1, 5], ones), {}),
        (IndexError, (table, [1, -1], ones), {}),
        (ValueError, (table, [1, 2], ones[:, :2]), {}),
        (ValueError, (table, [1, 2, 3], ones), {}),
        (ValueError, (table, [1, 2], ones), {"per_sample_weights": [1.0, 2.0]}),
        (ValueError, (table, [1, 2], ones), {"offsets": [0, 3], "include_last_offset": True}),
        (ValueError, (table, [1, 2], ones), {"offsets": [0, 1], "lengths": [1, 1]}),
        (ValueError, (table, [1, 2], ones), {"policy": "none"}),
        (ValueError, (table, [1, 2], ones), {"offsets": [0, 1], "mode": "median"}),
        (ValueError, (table, [1, 2], ones), {"padding_idx": 5}),
        (ValueError, (table, [1, 2], table[1:3]), {}),
        (ValueError, (read_only, [1, 2], ones), {}),
        (ValueError, (np.zeros((6, 3), np.float32), [1, 2], ones), {}),
        (TypeError, (table.tolist(), [1, 2], ones), {}),
        (TypeError, (table.astype(np.float64), [1, 2], ones), {}),
    ]
    for error, given_, options in refused:
        with pytest.raises(error):
            optimizer.step(*given_, **options)
    same(table, before)
    assert optimizer.steps == 0
    assert not any(values.any() for values in optimizer.state().values())


def test_ids_that_name_no_row_are_passed_over(rng: np.random.Generator) -> None:
    table, expected = (np.zeros((5, 3), np.float32) for _ in range(2))
    grad = rng.standard_normal((4, 3)).astype(np.float32)
    hotrow.Optimizer("sgd", 5, 3, lr=1.0).step(table, [1, 7, 1, 4], grad, policy="zero_fill")
    Plain("sgd", 5, 3, lr=1.0).step(expected, of_ids([1, 1, 4], grad[[0, 2, 3]]))
    same(table, expected)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_tables_of_nothing(shape: tuple[int, int]) -> None:
    table, optimizer = np.zeros(shape, np.float32), hotrow.Optimizer("adam", *shape)
    optimizer.step(table, np.zeros(0, np.int64), np.zeros((0, shape[1]), np.float32))
    assert optimizer.steps == 1
    assert optimizer.state()["exp_avg"].shape == shape
    assert pickle.loads(pickle.dumps(optimizer)).steps == 1


@pytest.mark.parametrize("batch", [10, 5000])
def test_two_threads_step_one_optimizer(batch: int) -> None:
    # Whole numbers: their sums are exact in any order.
    table, optimizer = hotrow.Table.zeros(1000, 16), hotrow.Optimizer("sgd", 1000, 16, lr=1.0)
    rng = np.random.default_rng(5)
    batches = [(rng.integers(0, 1000, batch), rng.integers(-3, 4, (batch, 16)).astype(np.float32)) for _ in range(20)]
    expected = np.zeros((1000, 16), np.float32)
    for ids, grad in batches:
        np.add.at(expected, ids, -grad)
    failed: list[BaseException] = []

    def work(part: list[tuple[NDArray[Any], NDArray[Any]]]) -> None:
        try:
            for ids, grad in part:
                optimizer.step(table, ids, grad)
                optimizer.lr = optimizer.lr
                optimizer.state_dict()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(batches[k::4],)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failed
    assert optimizer.steps == 20
    np.testing.assert_array_equal(table.array, expected)


def resident() -> int:
    """The bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


@pytest.mark.thread_unsafe
def test_a_thousand_steps_leave_memory_flat(rng: np.random.Generator) -> None:
    table, optimizer = hotrow.Table.zeros(20_000, 32), hotrow.Optimizer("adam", 20_000, 32, clip_norm=10.0)
    ids = rng.integers(0, 20_000, (512, 2))
    grad = rng.standard_normal((512, 2, 32)).astype(np.float32)

    def steps(count: int) -> None:
        for _ in range(count):
            optimizer.step(table, ids, grad)
            optimizer.step(table, ids, grad[:, 0], mode="mean")
            optimizer.step_sparse(table, hotrow.sparse_grad(ids, grad, 20_000))

    steps(30)
    gc.collect()
    before = resident()
    steps(334)
    gc.collect()
    assert resident() - before < 16 << 20
