"""The layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

import hotrow
from hotrow.keras import _backend
from hotrow.keras._fused import FusedState

_DTYPES = ("float32", "float16", "bfloat16")


@keras.saving.register_keras_serializable(package="hotrow")
class Embedding(keras.layers.Embedding):
    """`keras.layers.Embedding` over hotrow's tables: the same arguments, outputs, masks, configuration and files.

    On the torch backend the layer trains. By default its weight has a dense gradient, for Keras's optimizer.
    With `fused` it is updated by one of hotrow's optimizers inside of backward, which touches only the rows that were
    looked up. On the JAX, TensorFlow and NumPy backends the layer is for inference; to ask for a gradient is an error.

    >>> import keras
    >>> import numpy as np
    >>> from hotrow.keras import Embedding
    >>> layer = Embedding(3, 4, weights=np.arange(12, dtype="float32").reshape(3, 4))
    >>> rows = layer(np.array([[0], [2]]))
    >>> print(keras.ops.convert_to_numpy(rows).reshape(2, 4))
    [[ 0.  1.  2.  3.]
     [ 8.  9. 10. 11.]]

    Args:
        input_dim: How many rows there are.
        output_dim: How many values a row has.
        embeddings_initializer: As in Keras.
        embeddings_regularizer: As in Keras. Not with `fused`: there is `fused_options={"weight_decay": ...}`.
        embeddings_constraint: As in Keras; applied to the whole table after each step.
        mask_zero: Whether id 0 is padding.
        weights: The table to begin with.
        lora_rank: As in Keras. Not with `fused`.
        strict: Ids are read as Keras reads them on the backend that runs: floats are cut off, negative ids count from
            the end, on the torch backend 2**32 + 1 is row 1, and on JAX an id out of range gives a row of NaN. With
            `strict=True` they are read the same way everywhere, and one that names no row is an IndexError.
        fused: One of "sgd", "adagrad", "rowwise_adagrad", "adam", "adamw", "partial_rowwise_adam", "rmsprop", "ftrl".
            Each backward is one exact step, however often the layer was called: gradients of equal ids are summed.
        fused_options: Of `hotrow.Optimizer`, such as `{"lr": 0.05}`.
        **kwargs: Of `keras.layers.Embedding`. dtype is float32, float16 or bfloat16.

    With `fused`, `layer.optimizer` is the `hotrow.Optimizer`; set its `lr` to change the rate. Its state is saved with
    the layer. The table is not among the trainable weights, so Keras's learning rate, clipping, weight decay and
    gradient accumulation do not reach it. A loss scale would, as it scales all gradients: the policy "mixed_float16",
    which sets one, is refused; "mixed_bfloat16" works.

    Quantization and sparse inputs are not implemented, and say so.
    """

    # The signature is Keras's.
    def __init__(  # noqa: PLR0913, PLR0917, D107
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        *,
        strict: bool = False,
        fused: str | None = None,
        fused_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        _backend.name()
        if kwargs.get("quantization_config") is not None:
            raise _no_quantization()
        self.built: bool
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            lora_rank=lora_rank,
            **kwargs,
        )
        self.strict = bool(strict)
        self.fused = fused
        self.fused_options = dict(fused_options or {})
        # Outside of a compiled graph the table is read where it lies. TensorFlow's compiled graphs cannot call Python,
        # and JAX's copy the table at each call, so they do it only where jit_compile=True is said.
        self.supports_jit = False
        self._check_dtype()
        if fused is not None:
            self._check_fused()
            self.fused_state = FusedState(
                fused,
                self.fused_options,
                (input_dim, output_dim),
                name=f"{self.name}_fused",
                trainable=self.trainable,
            )
            if self.embeddings_constraint is not None:
                self.fused_state.after = self._constrain
        elif fused_options:
            raise ValueError("fused_options are of an optimizer, and fused names none")
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def _check_dtype(self) -> None:
        if getattr(self, "quantization_mode", None) is not None:
            raise _no_quantization()
        if self.variable_dtype not in _DTYPES:
            raise ValueError(
                f"a table of hotrow is of {', '.join(_DTYPES)}, and this one would be of {self.variable_dtype}"
            )

    def _check_fused(self) -> None:
        if self.embeddings_regularizer is not None:
            raise ValueError(
                "embeddings_regularizer and fused exclude each other, for its gradient is of the whole table: "
                'use fused_options={"weight_decay": ...}'
            )
        if self.lora_rank:
            raise _no_fused_lora()
        if "mixed_float16" in (self.dtype_policy.name, keras.config.dtype_policy().name):
            raise ValueError(
                "fused excludes the policy mixed_float16: Keras scales the loss there, and the optimizer cannot know "
                "by how much. mixed_bfloat16 needs no scale"
            )

    def build(self, input_shape: Any = None) -> None:
        """Makes the table."""
        if self.built:
            return
        self._check_dtype()
        if self.fused is None or not _backend.trains():
            super().build(input_shape)
            return
        self._embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            name="embeddings",
            constraint=self.embeddings_constraint,
            trainable=False,
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The rows that the ids name, in the layer's compute dtype."""
        # What is a tensor stays as it is: the NumPy backend would make int64 int32.
        ids = inputs if keras.ops.is_tensor(inputs) else keras.ops.convert_to_tensor(inputs)
        dtype = keras.backend.standardize_dtype(ids.dtype)
        if not self.strict and dtype not in ("int32", "int64"):
            # The backend's own cast: what it makes of NaN is its own, too.
            ids = keras.ops.cast(ids, "int32")
        elif dtype == "bfloat16":
            # NumPy has no such numbers, and float32 has them all.
            ids = keras.ops.cast(ids, "float32")
        rows = self._rows(self._embeddings, ids)
        if self.lora_enabled:
            delta = keras.ops.matmul(self._rows(self.lora_embeddings_a, ids), self.lora_embeddings_b)
            rows = keras.ops.add(rows, (self.lora_alpha / self.lora_rank) * delta)
        return keras.ops.cast(rows, dtype=self.compute_dtype)

    def _rows(self, variable: Any, ids: Any) -> Any:
        policy = _backend.policy(self.strict)
        if self.fused is not None and _backend.trains():
            from hotrow.keras import _torch  # noqa: PLC0415  (PyTorch is there only under its own backend)

            to = _torch.Target(self.fused_state, policy)
            return _torch.fused_lookup(self.fused_state.anchor.value, variable.value, ids, to)
        return _backend.lookup()(variable.value, ids, policy, variable.trainable)

    def compute_output_spec(self, inputs: Any) -> Any:
        """The shape and dtype of what `call` returns."""
        if getattr(inputs, "sparse", False):
            raise _backend.no_sparse_ids()
        return super().compute_output_spec(inputs)

    @property
    def optimizer(self) -> hotrow.Optimizer | None:
        """With `fused`, the optimizer."""
        return None if self.fused is None else self.fused_state.optimizer

    def _constrain(self) -> None:
        self._embeddings.assign(self.embeddings_constraint(self._embeddings))

    def get_weights(self) -> list[Any]:
        """The table, alone in a list as in Keras."""
        return [self._embeddings.numpy()] if self.fused is not None and self.built else super().get_weights()

    def set_weights(self, weights: list[Any]) -> None:
        """Sets the table."""
        if self.fused is None:
            super().set_weights(weights)
            return
        if len(weights) != 1 or tuple(weights[0].shape) != tuple(self._embeddings.shape):
            shapes = ", ".join(str(tuple(given.shape)) for given in weights)
            raise ValueError(
                f"the weights are one table of {tuple(self._embeddings.shape)}, and these are {shapes or 'none'}"
            )
        self._embeddings.assign(weights[0])

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        """As in Keras. The low-rank change is computed for the rows that are looked up, not for the table."""
        if self.fused is not None:
            raise _no_fused_lora()
        super().enable_lora(*args, **kwargs)

    def quantize(self, *_args: Any, **_kwargs: Any) -> None:
        """Not implemented."""
        raise _no_quantization()

    def get_config(self) -> dict[str, Any]:
        """Keras's configuration, and what hotrow adds."""
        config: dict[str, Any] = super().get_config()
        return {**config, "strict": self.strict, "fused": self.fused, "fused_options": dict(self.fused_options)}


def _no_quantization() -> NotImplementedError:
    return NotImplementedError(
        "hotrow.keras.Embedding cannot be quantized by Keras: use dtype='bfloat16' or 'float16', or give its weights "
        "to keras.layers.Embedding"
    )


def _no_fused_lora() -> ValueError:
    return ValueError(
        "LoRA and fused exclude each other: LoRA freezes the table, and a fused optimizer is there to train it"
    )
