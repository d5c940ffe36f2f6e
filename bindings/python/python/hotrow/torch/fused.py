"""Layers whose weight is updated inside of the backward pass.

The weight stays a `Parameter` that requires a gradient, since that is what users and their tools expect:
`layer.weight`, the key "weight" in the state dict, `requires_grad_(False)` to freeze it. Its `.grad` stays `None`, and
PyTorch's optimizers pass over parameters without a gradient, so `model.parameters()` may be handed to one as it is.
(Only tools that insist on a gradient for every parameter have to be told to leave it out: `DistributedDataParallel`,
for one.) A buffer and a hidden parameter would keep it out of optimizers, too, but then `layer.weight.requires_grad`
and `named_parameters` would tell another story than `torch.nn` does.

Each backward pass through a lookup is one step. So gradients are not accumulated: two backward passes are two steps,
and a layer that is called twice in one graph steps twice in its backward pass. `zero_grad` has nothing to clear. Second
derivatives are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

import hotrow
from hotrow.torch import _optimizers
from hotrow.torch._optimizers import Registered

_KEY = "optimizer."


class FusedModule(torch.nn.Module):
    """A layer that may have a fused optimizer, which is part of its state dict."""

    weight: Tensor
    fused: str | None = None
    _registered: Registered | None = None

    def _fuse(self, rule: str | None, options: Mapping[str, Any] | None, sparse: bool) -> None:
        if rule is None:
            if options is not None:
                raise ValueError("fused_options are for a fused optimizer: give its rule, fused=...")
            return
        if sparse:
            raise ValueError("fused= leaves no gradient that could be sparse: give one of the two")
        rows, dim = self.weight.shape
        self._registered = _optimizers.register(rule, rows, dim, options)
        self.fused = rule

    @property
    def optimizer(self) -> hotrow.Optimizer | None:
        """The fused optimizer, or None. Its `lr` may be set at any time."""
        return None if self._registered is None else self._registered.native

    @property
    def _optimizer_number(self) -> int:
        return 0 if self._registered is None else self._registered.number

    def _optimizer_repr(self) -> str:
        return "" if self.fused is None else f", fused={self.fused!r}"

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, value in self._optimizer_state().items():
            destination[prefix + _KEY + name] = value

    def _optimizer_state(self) -> dict[str, Tensor]:
        """What changes from step to step, and the learning rate: all as tensors, copied."""
        native = self.optimizer
        if native is None:
            return {}
        kept: dict[str, Tensor] = {}
        for name, value in native.state_dict().items():
            if name.startswith("state."):
                kept[name] = torch.from_numpy(value)
        kept["steps"] = torch.tensor(native.steps, dtype=torch.int64)
        kept["lr"] = torch.tensor(native.lr, dtype=torch.float64)
        return kept

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """A state dict without an optimizer's state, such as one of `torch.nn`, leaves the optimizer as it is."""
        native = self.optimizer
        start = prefix + _KEY
        mine: dict[str, Any] = {}
        if native is not None:
            mine = {key[len(start) :]: value for key, value in state_dict.items() if key.startswith(start)}
            state_dict = {key: value for key, value in state_dict.items() if not key.startswith(start)}
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if native is None or not mine:
            return
        wanted = self._optimizer_state()
        if strict:
            missing_keys += [start + name for name in wanted if name not in mine]
            unexpected_keys += [start + name for name in mine if name not in wanted]
        for name, value in mine.items():
            try:
                _set(native, name, value, wanted)
            except (TypeError, ValueError) as error:
                error_msgs.append(f"{start}{name}: {error}")


def _set(native: hotrow.Optimizer, name: str, value: Any, wanted: Mapping[str, Tensor]) -> None:
    if name == "steps":
        native.steps = int(value)
    elif name == "lr":
        native.lr = float(value)
    elif name in wanted:
        native.set_state(name.removeprefix("state."), value.detach().cpu().numpy())
