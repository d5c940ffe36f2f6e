"""The part of a layer that trains it while PyTorch runs backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

import hotrow
from hotrow.keras import _backend
from hotrow.typing import Policy


class FusedState(keras.layers.Layer):
    """A layer inside of the embedding layer, so that Keras saves and loads the optimizer's state next to the weights.

    It also holds the anchor: one trainable zero. A lookup depends on it, which makes PyTorch run backward even where
    nothing else is trainable, and its gradient is zero, so that any optimizer leaves it as it is. The table itself is
    no trainable variable: an optimizer that were given it would train it a second time, and keep a dense state for it.
    """

    def __init__(
        self, rule: str, options: Mapping[str, Any], shape: tuple[int, int], *, name: str, trainable: bool
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._rule, self._options, self._shape = rule, dict(options), shape
        # A rule or an option that does not exist is refused now. The state of a whole table is allocated when needed.
        hotrow.Optimizer(rule, 0, shape[1], **self._options)
        self._optimizer: hotrow.Optimizer | None = None
        self._pending: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []
        self._backward: int | None = None
        #: What is called after a step.
        self.after: Callable[[], None] | None = None
        if _backend.trains():
            self.anchor = self.add_weight(shape=(), initializer="zeros", dtype="float32", name="anchor")
        self.built = True

    @property
    def optimizer(self) -> hotrow.Optimizer:
        """The optimizer, made when first asked for."""
        if self._optimizer is None:
            self._optimizer = hotrow.Optimizer(self._rule, *self._shape, **self._options)
        return self._optimizer

    def collect(self, table: Any, ids: np.ndarray[Any, Any], grad: np.ndarray[Any, Any], policy: Policy) -> None:
        """Keeps a lookup's gradient until backward ends: a layer that was called twice makes one step."""
        from hotrow.keras import _torch_engine as engine  # noqa: PLC0415  (PyTorch is there only under its own backend)

        if self._backward != engine.number():
            # What a backward that failed has left is not this one's.
            self._pending.clear()
            self._backward = engine.number()
            engine.at_the_end(lambda: self._step(table, policy))
        self._pending.append((ids, grad))

    def _step(self, table: Any, policy: Policy) -> None:
        from hotrow.keras import _torch_engine as engine  # noqa: PLC0415

        pending, self._pending, self._backward = self._pending, [], None
        if len(pending) == 1:
            ((ids, grad),) = pending
        else:
            ids = np.concatenate([ids.reshape(-1) for ids, _ in pending])
            grad = np.concatenate([grad.reshape(-1, self._shape[1]) for _, grad in pending])
        engine.change(table, lambda table: self.optimizer.step(table, ids, grad, policy=policy))
        if self.after is not None:
            self.after()

    def save_own_variables(self, store: Any) -> None:
        """Writes the state, if there has been a step; never the anchor, which is zero."""
        if self._optimizer is not None:
            for name, value in self._optimizer.state_dict().items():
                if name in ("lr", "steps") or name.startswith("state."):
                    store[name] = np.asarray(value)

    def load_own_variables(self, store: Any) -> None:
        """Reads the state. A file without one, of a layer that was not fused or not trained, begins anew."""
        names = list(store.keys())
        self._optimizer = None
        if names:
            state = self.optimizer.state_dict()
            for name in names:
                value = np.asarray(store[name])
                state[name] = value if value.ndim else value.item()
            self.optimizer.load_state_dict(state)
