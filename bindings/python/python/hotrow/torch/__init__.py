"""hotrow's tables under PyTorch: replace the import, and the rest of the model stays as it is.

>>> import torch
>>> from hotrow.torch import Embedding
>>> layer = Embedding(1000, 16, fused="rowwise_adagrad", fused_options={"lr": 0.05})
>>> layer(torch.tensor([[3, 5], [8, 3]])).square().mean().backward()  # the rows 3, 5 and 8 have changed now
>>> layer.optimizer.steps
1
"""

from hotrow.torch import functional
from hotrow.torch.collection import EmbeddingBagCollection, EmbeddingBagConfig
from hotrow.torch.embedding import Embedding
from hotrow.torch.embedding_bag import EmbeddingBag
from hotrow.torch.keyed import KeyedJaggedTensor, KeyedTensor

__all__ = [
    "Embedding",
    "EmbeddingBag",
    "EmbeddingBagCollection",
    "EmbeddingBagConfig",
    "KeyedJaggedTensor",
    "KeyedTensor",
    "functional",
]
