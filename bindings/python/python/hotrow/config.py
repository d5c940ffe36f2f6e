"""What the tables of a collection are made of, under TorchRec's names."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig:
    """A table of an `EmbeddingCollection`."""

    num_embeddings: int
    """Rows of the table."""
    embedding_dim: int
    """Values in a row."""
    name: str
    """The table's name, unique in its collection."""
    feature_names: Sequence[str] = field(default_factory=tuple)
    """The keys that look up this table."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """What its numbers are."""
    initializer: str | tuple[float, float] | None = None
    """The name of an initializer, or the bounds of a uniform one; by default the root of 1 / num_embeddings."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingBagConfig(EmbeddingConfig):
    """A table of an `EmbeddingBagCollection`."""

    pooling: Literal["sum", "mean", "sqrtn"] = "sum"
    """How the rows of a list become one."""
