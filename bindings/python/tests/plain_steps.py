"""Gradients and the steps of every optimizer in NumPy's float32: what the package is compared with, bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plain import F32, dot

F64 = np.float64
Values = NDArray[np.float32]
Gradients = dict[int, Values]


def by_row(
    rows: Sequence[int],
    splits: Sequence[int],
    grad: NDArray[Any],
    mode: str = "sum",
    weights: NDArray[np.float32] | None = None,
    padding_idx: int | None = None,
    by_freq: bool = False,
) -> Gradients:
    """The summed gradient of each row of bags, in the order of the ids. A gather is one bag for each id."""
    sums: Gradients = {}
    counts: dict[int, int] = {}
    for bag in range(len(splits) - 1):
        members = [at for at in range(splits[bag], splits[bag + 1]) if rows[at] != padding_idx]
        total = F32(0)
        for at in members:
            weight = F32(1) if weights is None else weights[at]
            total = total + (weight * weight if mode == "sqrtn" else weight)
        divisor = {"sum": F32(1), "mean": total, "sqrtn": np.sqrt(np.maximum(total, F32(0)))}[mode]
        for at in members:
            weight = F32(1) if weights is None else weights[at]
            scale = weight / divisor if divisor != 0 else F32(0)
            row = rows[at]
            sums.setdefault(row, np.zeros(grad.shape[-1], F32))
            sums[row] = sums[row] + scale * grad[bag].astype(F32)
            counts[row] = counts.get(row, 0) + 1
    if by_freq:
        sums = {row: values / F32(counts[row]) for row, values in sums.items()}
    return dict(sorted(sums.items()))


def of_ids(ids: Sequence[int], grad: NDArray[Any], **options: Any) -> Gradients:
    """The summed gradient of each row of a gather."""
    return by_row(ids, range(len(ids) + 1), grad.reshape(len(ids), -1), **options)


def power(base: float, exponent: int) -> float:
    """By repeated squaring, as the engine has it."""
    product = 1.0
    while exponent:
        if exponent & 1:
            product *= base
        base *= base
        exponent >>= 1
    return product


def bias_correction(beta: float, step: int) -> np.float64:
    """What an average that started at zero is divided by."""
    return F64(1.0 - power(beta, step))


DEFAULTS: dict[str, dict[str, float]] = {
    "sgd": {"lr": 0.01, "momentum": 0.0, "nesterov": False},
    "adagrad": {"lr": 0.01, "eps": 1e-10, "initial_accumulator": 0.0},
    "rowwise_adagrad": {"lr": 0.01, "eps": 1e-8, "initial_accumulator": 0.0},
    "adam": {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "adamw": {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
    "partial_rowwise_adam": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "rmsprop": {"lr": 0.001, "rho": 0.9, "momentum": 0.0, "eps": 1e-7},
    "ftrl": {"lr": 0.001, "l1": 0.0, "l2": 0.0, "initial_accumulator": 0.1},
}
"""The rules, and the engine's hyperparameters."""


class Plain:
    """An optimizer as a loop over rows."""

    def __init__(self, rule: str, rows: int, dim: int, **given: Any) -> None:
        """Its state as before the first step."""
        self.rule = rule
        self.numbers = DEFAULTS[rule] | {k: v for k, v in given.items() if k in DEFAULTS[rule]}
        self.options = {k: v for k, v in given.items() if k not in DEFAULTS[rule]}
        self.steps = 0
        start = F32(self.numbers.get("initial_accumulator", 0.0))
        shapes: dict[str, dict[str, tuple[int, np.float32]]] = {
            "sgd": {"momentum": (dim, F32(0))} if self.numbers.get("momentum") and rule == "sgd" else {},
            "adagrad": {"sum": (dim, start)},
            "rowwise_adagrad": {"sum": (1, start)},
            "adam": {"exp_avg": (dim, F32(0)), "exp_avg_sq": (dim, F32(0))},
            "adamw": {"exp_avg": (dim, F32(0)), "exp_avg_sq": (dim, F32(0))},
            "partial_rowwise_adam": {"exp_avg": (dim, F32(0)), "exp_avg_sq": (1, F32(0))},
            "rmsprop": {"ms": (dim, F32(0)), "mom": (dim, F32(0))},
            "ftrl": {"accum": (dim, start), "linear": (dim, F32(0))},
        }
        self.state = {name: np.full((rows, width), value, F32) for name, (width, value) in shapes[rule].items()}

    def step(self, table: NDArray[Any], gradients: Gradients) -> None:
        """One step on the rows that have a gradient."""
        self.steps += 1
        clip_norm = self.options.get("clip_norm")
        if clip_norm is not None:
            norm = F32(np.sqrt(sum((F64(dot(g, g)) for g in gradients.values()), F64(0))))
            if norm > F32(clip_norm):
                gradients = {row: g * (F32(clip_norm) / norm) for row, g in gradients.items()}
        for row, summed in gradients.items():
            w, g = table[row].astype(F32), summed
            if (limit := self.options.get("clip_value")) is not None:
                g = np.clip(g, -F32(limit), F32(limit))
            decay = self.options.get("weight_decay", 0.0)
            decoupled = self.options.get("weight_decay_mode") == "decoupled"
            if decay and not decoupled:
                g = g + F32(decay) * w
            if self.rule == "adamw":
                decay, decoupled = self.numbers["weight_decay"], True
            if decay and decoupled:
                w = w * F32(1.0 - F64(F32(self.numbers["lr"])) * F64(F32(decay)))
            w = self.update(row, w, g)
            if (limit := self.options.get("max_row_norm")) is not None:
                norm = np.sqrt(dot(w, w))
                if norm > F32(limit):
                    w = w * (F32(limit) / norm)
            table[row] = self.rounded(row, w, table.dtype)

    def rounded(self, row: int, w: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Weights as the table has them."""
        seed = self.options.get("stochastic_rounding")
        if seed is None or dtype.name != "bfloat16":
            return w.astype(dtype)
        words = np.array([noise(seed, self.steps, row, column) for column in range(len(w))], np.uint32)
        high = (w.view(np.uint32) + (words & np.uint32(0xFFFF))) >> np.uint32(16)
        return high.astype(np.uint16).view(dtype)

    def update(self, row: int, w: Values, g: Values) -> Values:
        """The rule: new weights. Its state changes."""
        new: Values = getattr(self, self.rule)(row, w, g, {k: F32(v) for k, v in self.numbers.items()})
        return new

    def sgd(self, row: int, w: Values, g: Values, n: dict[str, np.float32]) -> Any:
        """Gradient descent."""
        if not n["momentum"]:
            return w - n["lr"] * g
        a = self.state["momentum"][row] * n["momentum"] + g
        self.state["momentum"][row] = a
        return w - n["lr"] * (g + n["momentum"] * a if n["nesterov"] else a)

    def adagrad(self, row: int, w: Values, g: Values, n: dict[str, np.float32]) -> Any:
        """Adagrad."""
        total = self.state["sum"][row] + g * g
        self.state["sum"][row] = total
        return w - n["lr"] * g / (np.sqrt(total) + n["eps"])

    def rowwise_adagrad(self, row: int, w: Values, g: Values, n: dict[str, np.float32]) -> Any:
        """Adagrad with one sum for each row."""
        total = self.state["sum"][row, 0] + dot(g, g) / F32(len(g))
        self.state["sum"][row] = total
        return w - n["lr"] / (np.sqrt(total) + n["eps"]) * g

    def moments(self, row: int, g: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Adam's averages. The betas are of float64."""
        rate1, rate2 = F32(1.0 - self.numbers["beta1"]), F32(1.0 - self.numbers["beta2"])
        m, v = self.state["exp_avg"][row], self.state["exp_avg_sq"][row]
        m = m + rate1 * (g - m)
        v = v + rate2 * (g * g - v)
        self.state["exp_avg"][row], self.state["exp_avg_sq"][row] = m, v
        return m, v

    def adam(self, row: int, w: Values, g: Values, n: dict[str, np.float32]) -> Any:
        """Adam, lazily."""
        m, v = self.moments(row, g)
        first, second = (bias_correction(self.numbers[beta], self.steps) for beta in ("beta1", "beta2"))
        return w - F32(F64(n["lr"]) * np.sqrt(second) / first) * (m / (np.sqrt(v) + n["eps"]))

    def adamw(self, row: int, w: Values, g: Values, n: dict[str, np.float32]) -> Any:
        """Adam with decoupled decay."""
        m, v = self.moments(row, g)
        first, second = (bias_correction(self.numbers[beta], self.steps) for beta in ("beta1", "beta2"))
        return w - F32(F64(n["lr"]) / first) * (m / (np.sqrt(v) / F32(np.sqrt(second)) + n["eps"]))

    def partial_rowwise_adam(self, row: int, w: Values, g: Values, n: dict[str, np.float32]) -> Any:
        """Adam with one second moment for each row. The betas are of float32."""
        first, second = (bias_correction(float(n[beta]), self.steps) for beta in ("beta1", "beta2"))
        v = self.state["exp_avg_sq"][row, 0]
        v = v + (F32(1) - n["beta2"]) * (dot(g, g) / F32(len(g)) - v)
        self.state["exp_avg_sq"][row] = v
        factor = F32(F64(n["lr"]) / first) / (np.sqrt(v) / F32(np.sqrt(second)) + n["eps"])
        m = self.state["exp_avg"][row]
        m = m + (F32(1) - n["beta1"]) * (g - m)
        self.state["exp_avg"][row] = m
        return w - factor * m

    def rmsprop(self, row: int, w: Values, g: Values, n: dict[str, np.float32]) -> Any:
        """RMSProp as TensorFlow has it."""
        ms = n["rho"] * self.state["ms"][row] + (F32(1) - n["rho"]) * (g * g)
        mom = n["momentum"] * self.state["mom"][row] + n["lr"] * g / np.sqrt(ms + n["eps"])
        self.state["ms"][row], self.state["mom"][row] = ms, mom
        return w - mom

    def ftrl(self, row: int, w: Values, g: Values, n: dict[str, np.float32]) -> Any:
        """Follow the regularized leader."""
        accum, z = self.state["accum"][row], self.state["linear"][row]
        more = accum + g * g
        root = np.sqrt(more)
        z = z + g - (root - np.sqrt(accum)) / n["lr"] * w
        self.state["accum"][row], self.state["linear"][row] = more, z
        toward = np.where(z > 0, n["l1"], -n["l1"])
        return np.where(np.abs(z) > n["l1"], (toward - z) / (root / n["lr"] + F32(2) * n["l2"]), F32(0)).astype(F32)


def noise(seed: int, step: int, row: int, column: int) -> int:
    """The random word of one weight: Philox4x32-10."""
    low = 0xFFFFFFFF
    a, b, c, d = row, column // 4, step & low, step >> 32
    k, other = seed & low, seed >> 32
    for _ in range(10):
        left, right = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (right >> 32) ^ b ^ k, right & low, (left >> 32) ^ d ^ other, left & low
        k, other = (k + 0x9E3779B9) & low, (other + 0xBB67AE85) & low
    return (a, b, c, d)[column % 4]
