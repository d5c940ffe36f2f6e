"""Keras layers over hotrow's tables.

`Embedding` is a `keras.layers.Embedding` whose lookups, gradients and fused optimizers are computed by hotrow.
"""

from hotrow.keras.embedding import Embedding

__all__ = ["Embedding"]
