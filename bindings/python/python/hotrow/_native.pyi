"""Types and descriptions of the native module. Use the package `hotrow`, which has all of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from hotrow.typing import Element, Ids, Mode, Path, Policy, TableLike

__all__ = [
    "CheckpointPart",
    "CheckpointReader",
    "Checkpoints",
    "EmbeddingBagCollection",
    "EmbeddingCollection",
    "Optimizer",
    "ReceivedBags",
    "ReceivedIds",
    "RoutedBags",
    "RoutedIds",
    "Routes",
    "SparseGrad",
    "Table",
    "after_fork",
    "bag_weight_grad",
    "draw_part",
    "embedding_bag",
    "embedding_bag_max",
    "gather",
    "gather_dense_grad",
    "get_num_threads",
    "level",
    "load",
    "load_all",
    "memory_cache",
    "mmap",
    "refusal",
    "refused",
    "save",
    "scatter_add",
    "set_memory_cache",
    "set_num_threads",
    "similar",
    "sparse_grad",
    "tables",
]

# Table

@final
class Table:
    """A table of rows, `[rows, dim]`, in float32, float16 or bfloat16, whose memory is that of a NumPy array.

    The array is wrapped, not copied: what is written through one shows in the other. Its rows may lie apart (columns of
    a wider array), each row's numbers side by side. `copy=True` copies it into memory of hotrow's own, aligned and on
    huge pages, where lookups are faster; then it may lie as it likes.

    bfloat16 is that of the package `ml_dtypes`, or, with `dtype="bfloat16"`, uint16 that hold its bits.

    >>> import numpy as np
    >>> import hotrow
    >>> array = np.arange(12, dtype=np.float32).reshape(4, 3)
    >>> table = hotrow.Table(array)
    >>> table
    Table(shape=(4, 3), dtype='float32')
    >>> table.gather([3, 0])
    array([[ 9., 10., 11.],
           [ 0.,  1.,  2.]], dtype=float32)
    >>> table.array is array
    True

    Tables can be pickled; `copy.deepcopy` copies the memory, `copy.copy` does not. Any thread may use a table at any
    time: a change through it waits for lookups through it, and they for the change.

    Raises:
        TypeError: It is no array of one of the three types.
        ValueError: It has not two dimensions, or a row's numbers are not side by side.
    """

    def __new__(cls, array: NDArray[Any], *, dtype: Element | None = None, copy: bool = False) -> Table: ...
    @staticmethod
    def zeros(rows: int, dim: int, dtype: Element = "float32") -> Table:
        """A table of zeros, aligned and on huge pages.

        >>> import hotrow
        >>> hotrow.Table.zeros(1000, 64, "float16")
        Table(shape=(1000, 64), dtype='float16')
        """

    @staticmethod
    def init(rows: int, dim: int, initializer: str = "uniform", *, seed: int = 0, dtype: Element = "float32") -> Table:
        """A table filled by one of Keras's initializers, by its name there, with the parameters it has by default.

        Its values depend on the seed and the shape alone, not on the machine or the number of threads.

        >>> import hotrow
        >>> table = hotrow.Table.init(1000, 16, "uniform", seed=7)
        >>> bool((abs(table.array) <= 0.05).all())
        True
        """

    @property
    def array(self) -> NDArray[Any]:
        """The rows as a NumPy array, without a copy."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def rows(self) -> int:
        """How many rows."""

    @property
    def dim(self) -> int:
        """How many numbers a row has."""

    @property
    def dtype(self) -> Element:
        """What the numbers are."""

    @property
    def nbytes(self) -> int:
        """The bytes of all rows, without what lies between them."""

    @property
    def writable(self) -> bool:
        """Whether the rows can be changed: those of a read-only array, or of a mapped file, cannot."""

    def gather(
        self, ids: Ids, *, out: NDArray[Any] | None = None, dtype: Element | None = None, policy: Policy = "strict"
    ) -> NDArray[Any]:
        """The rows that the ids name. See `hotrow.gather`."""

    def embedding_bag(
        self,
        ids: Ids,
        offsets: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        mode: Mode = "sum",
        per_sample_weights: ArrayLike | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        default_row: int | None = None,
        out: NDArray[Any] | None = None,
        dtype: Element | None = None,
        policy: Policy = "strict",
    ) -> NDArray[Any]:
        """Each bag's rows pooled into one. See `hotrow.embedding_bag`."""

    def embedding_bag_max(
        self,
        ids: Ids,
        offsets: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        default_row: int | None = None,
        policy: Policy = "strict",
    ) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
        """Each bag's largest values, and the rows that they came from. See `hotrow.embedding_bag_max`."""

    def scatter_add(self, ids: Ids, source: ArrayLike, *, alpha: float = 1.0, policy: Policy = "strict") -> None:
        """Adds rows to the rows that the ids name. See `hotrow.scatter_add`."""

    def similar(
        self,
        queries: ArrayLike,
        k: int = 10,
        *,
        metric: Literal["cosine", "dot"] = "cosine",
        exclude: ArrayLike | None = None,
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """The `k` rows nearest to each query, and their scores. See `hotrow.similar`."""

    def save(self, path: Path) -> None:
        """Writes the table into a file of the format safetensors, under the name "embeddings". See `hotrow.save`."""

    def __len__(self) -> int: ...
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]: ...
    def __dlpack__(self, **how: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __copy__(self) -> Table: ...
    def __deepcopy__(self, _memo: Any) -> Table: ...
    def __reduce__(self) -> tuple[Any, tuple[NDArray[Any]]]: ...

# Lookups

def gather(
    table: TableLike,
    ids: Ids,
    *,
    out: NDArray[Any] | None = None,
    dtype: Element | None = None,
    policy: Policy = "strict",
) -> NDArray[Any]:
    """The rows that the ids name: an array of the ids' shape with `dim` after it.

    Ids are any array of integers, floats or bools, of any shape and however it lies in memory, a number, or nested
    sequences. They are read once: it does no harm if another thread changes them meanwhile.

    >>> import numpy as np
    >>> import hotrow
    >>> table = np.arange(8, dtype=np.float32).reshape(4, 2)
    >>> hotrow.gather(table, [[0], [3]])
    array([[[0., 1.]],
    <BLANKLINE>
           [[6., 7.]]], dtype=float32)
    >>> hotrow.gather(table, -1)
    Traceback (most recent call last):
        ...
    IndexError: id -1 at position [] is out of range: the table has 4 rows, so ids must be in 0..4
    >>> hotrow.gather(table, -1, policy="keras3_numpy")
    array([6., 7.], dtype=float32)

    Args:
        table: A table, or an array as `Table` takes it.
        ids: Which rows.
        out: Where to write the rows, instead of a new array: C-contiguous, of the result's shape and type. It must not
            overlap the table.
        dtype: "float32" widens the rows of a narrower table; otherwise they are given as they are.
        policy: How ids are cast, what a negative one means, and what happens to one that names no row. "strict" refuses
            what is wrong; the other policies do what the systems do that they are named after.

    Raises:
        IndexError: An id names no row.
        TypeError: Ids, table or output are of a wrong type.
        ValueError: A shape is wrong, or an id is NaN.
        MemoryError: There is no memory for the result.
    """

def embedding_bag(
    table: TableLike,
    ids: Ids,
    offsets: ArrayLike | None = None,
    *,
    lengths: ArrayLike | None = None,
    mode: Mode = "sum",
    per_sample_weights: ArrayLike | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
    default_row: int | None = None,
    out: NDArray[Any] | None = None,
    dtype: Element | None = None,
    policy: Policy = "strict",
) -> NDArray[Any]:
    """Each bag's rows pooled into one: `[bags, dim]`. The gathered rows are never written to memory.

    Rows are pooled in float32 in the order of the ids, so that the result is the same on every machine.

    >>> import numpy as np
    >>> import hotrow
    >>> table = np.arange(8, dtype=np.float32).reshape(4, 2)
    >>> hotrow.embedding_bag(table, [[0, 1], [2, 3]])
    array([[ 2.,  4.],
           [10., 12.]], dtype=float32)
    >>> hotrow.embedding_bag(table, [0, 1, 2, 3], [0, 3], mode="mean")
    array([[2., 3.],
           [6., 7.]], dtype=float32)

    Args:
        table: A table, or an array as `Table` takes it.
        ids: Two dimensions, a bag in each row; or one, which is cut by `offsets` or `lengths`.
        offsets: Where each bag starts, int32 or int64.
        lengths: How long each bag is, int32 or int64.
        mode: "mean" divides the sum by the sum of the weights, "sqrtn" by the root of the sum of their squares; without
            weights these are ones.
        per_sample_weights: A factor for each id, of the ids' shape; not for "max".
        include_last_offset: Whether `offsets` end with the number of ids.
        padding_idx: Ids that name this row are left out. A negative number counts from the end.
        default_row: The row of a bag without ids, instead of zeros.
        out: Where to write, instead of a new array; its rows may lie apart, so that several tables can write one wide
            array.
        dtype: What the pooled rows are of: "float32", which they are unless it is said, or the table's own element, to
            which each is rounded once.
        policy: How ids are read: see `gather`.

    Raises:
        IndexError: An id names no row.
        TypeError: Something is of a wrong type.
        ValueError: A shape is wrong, bags overlap or do not cover the ids, or the mode is not known.
    """

def embedding_bag_max(
    table: TableLike,
    ids: Ids,
    offsets: ArrayLike | None = None,
    *,
    lengths: ArrayLike | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
    default_row: int | None = None,
    policy: Policy = "strict",
) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
    """Each bag's largest values, and the rows that they came from, which the gradient needs: two arrays `[bags, dim]`.

    A value that came from no row is told by 4294967295.

    >>> import numpy as np
    >>> import hotrow
    >>> table = np.array([[1, 9], [5, 2]], np.float32)
    >>> hotrow.embedding_bag_max(table, [[0, 1]])
    (array([[5., 9.]], dtype=float32), array([[1, 0]], dtype=uint32))
    """

# Additions and gradients

def scatter_add(
    table: TableLike, ids: Ids, source: ArrayLike, *, alpha: float = 1.0, policy: Policy = "strict"
) -> None:
    """Adds `alpha` times each row of `source` to the row of the table that its id names, in the order of the ids.

    The result is that of the plain loop, to the bit, on any number of threads. The updates of a row of float16 or
    bfloat16 are added in float32, and rounded once.

    >>> import numpy as np
    >>> import hotrow
    >>> table = np.zeros((3, 2), np.float32)
    >>> hotrow.scatter_add(table, [2, 0, 2], np.ones((3, 2), np.float32), alpha=0.5)
    >>> table
    array([[0.5, 0.5],
           [0. , 0. ],
           [1. , 1. ]], dtype=float32)

    Raises:
        IndexError: An id names no row. Nothing has been added then, as after any error.
        ValueError: `source` has not the ids' shape with `dim` after it, overlaps the table, or the table is read-only.
    """

def gather_dense_grad(
    ids: Ids,
    grad: ArrayLike,
    rows: int,
    dim: int,
    *,
    padding_idx: int | None = None,
    scale_grad_by_freq: bool = False,
    policy: Policy = "strict",
) -> NDArray[np.float32]:
    """The gradient of a table of which rows were gathered: float32, `[rows, dim]`, zero where no id went.

    >>> import numpy as np
    >>> import hotrow
    >>> hotrow.gather_dense_grad([1, 1], np.array([[1, 2], [3, 4]], np.float32), 3, 2)
    array([[0., 0.],
           [4., 6.],
           [0., 0.]], dtype=float32)

    Args:
        ids: What was looked up.
        grad: The gradient of the rows, of the ids' shape with `dim` after it.
        rows: How many rows the table has.
        dim: How many numbers a row has.
        padding_idx: The row that gets no gradient. A negative number counts from the end.
        scale_grad_by_freq: Whether a row's gradient is divided by how often the row was looked up.
        policy: How ids are read: see `gather`.
    """

def bag_weight_grad(
    table: TableLike,
    ids: Ids,
    grad: ArrayLike,
    offsets: ArrayLike | None = None,
    *,
    lengths: ArrayLike | None = None,
    mode: Literal["sum", "mean", "sqrtn"] = "sum",
    per_sample_weights: ArrayLike | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
    default_row: int | None = None,
    policy: Policy = "strict",
) -> NDArray[np.float32]:
    """The gradient of the weights of bags, of the ids' shape. `grad` is that of the pooled rows, `[bags, dim]`.

    >>> import numpy as np
    >>> import hotrow
    >>> table = np.array([[1, 2], [3, 4]], np.float32)
    >>> hotrow.bag_weight_grad(table, [[0, 1]], np.array([[1, 10]], np.float32), per_sample_weights=[[0.5, 2]])
    array([[21., 43.]], dtype=float32)
    """

# Search

def similar(
    table: TableLike,
    queries: ArrayLike,
    k: int = 10,
    *,
    metric: Literal["cosine", "dot"] = "cosine",
    exclude: ArrayLike | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """The `k` rows nearest to each query, best first, and their scores. Every row is scored: the answer is exact.

    >>> import numpy as np
    >>> import hotrow
    >>> table = np.array([[1, 0], [3, 4], [0, 2]], np.float32)
    >>> rows, scores = hotrow.similar(table, [2, 0], k=2)
    >>> rows
    array([0, 1], dtype=uint32)
    >>> scores
    array([1. , 0.6], dtype=float32)
    >>> hotrow.similar(table, table[[1, 2]], k=1, exclude=[[1], [2]])[0]
    array([[2],
           [1]], dtype=uint32)

    Args:
        table: A table, or an array as `Table` takes it.
        queries: One, `[dim]`, or several, `[n, dim]`. The results are `[k]` or `[n, k]` then.
        k: How many rows; all of them if there are not so many.
        metric: "cosine", or "dot" for the dot product.
        exclude: Rows that are not meant: `[m]` for all queries, or `[n, m]`, those of each. Where too few rows are
            left, the row number is 4294967295 and the score minus infinity.
    """

# Files

def save(path: Path, tables: Mapping[str, TableLike]) -> None:
    """Writes tables into a safetensors file, with a checksum for each. The file appears whole or not at all.

    >>> import pathlib, tempfile
    >>> import hotrow
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "towers.safetensors")
    >>> hotrow.save(path, {"users": hotrow.Table.zeros(16, 4), "items": hotrow.Table.zeros(32, 4)})
    >>> hotrow.tables(path)
    {'users': (16, 4), 'items': (32, 4)}
    >>> hotrow.load(path, "items")
    Table(shape=(32, 4), dtype='float32')
    >>> hotrow.mmap(path, "users").writable
    False
    >>> folder.cleanup()

    Raises:
        OSError: The file cannot be written. One that had the name is as it was.
    """

def load(path: Path, table: str | None = None) -> Table:
    """A table of a file of any format that hotrow knows, in memory. It needs a name where the file has several.

    Numbers of other types are converted, with a warning.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is damaged, or has no such table.
    """

def load_all(path: Path) -> dict[str, Table]:
    """All tables of a file, by name; a table without a name is called "embeddings"."""

def mmap(path: Path, table: str | None = None) -> Table:
    """A table of a safetensors or npy file that stays there: it is read where it is looked up, and cannot be changed.

    Nobody may write into the file or truncate it meanwhile; replacing it, as `save` does, does no harm.
    """

def tables(path: Path) -> dict[str, tuple[int | None, int]]:
    """The tables of a file: names and shapes. Some formats do not tell how many rows they have."""

# Threads and memory

def get_num_threads() -> int:
    """How many threads large calls use."""

def set_num_threads(threads: int) -> None:
    """Makes large calls use so many threads; 0 means one for each processor. No result depends on it."""

def memory_cache() -> int:
    """How many bytes of freed results are kept at most, 256 MiB unless set."""

def set_memory_cache(bytes: int) -> None:
    """Keeps at most so many bytes of freed results for those to come; 0 gives all memory back to the system at once."""

def level() -> str:
    """The instruction set in use: "portable", "avx2" or "avx512". The environment variable HOTROW_LEVEL caps it."""

def after_fork() -> None:
    """Forgets the parent's threads: they are not in this process. The package calls it."""

# SparseGrad, sparse_grad, Optimizer, EmbeddingBagCollection, EmbeddingCollection

@final
class SparseGrad:
    """The gradient of a table that only some rows have: which, ascending, and the sum of the gradients of each.

    The gradients of equal ids are added in float32 in the order of the ids: the same bits on any number of threads.

    >>> import numpy as np
    >>> import hotrow
    >>> gradient = hotrow.sparse_grad([8, 2, 8], np.float32([[1], [2], [3]]), rows=10)
    >>> gradient.rows, gradient.values.ravel()
    (array([2, 8], dtype=uint32), array([2., 4.], dtype=float32))
    >>> gradient.clip_by_value(3.0)
    >>> gradient.to_dense()[8]
    array([3.], dtype=float32)
    """

    def __new__(cls, rows: ArrayLike, values: ArrayLike, shape: tuple[int, int]) -> SparseGrad:
        """Copies the parts of a gradient: rows ascending, values `[len(rows), dim]`, and the shape of the table."""

    @property
    def rows(self) -> NDArray[np.uint32]:
        """Which rows have a gradient, ascending: not a copy, read-only."""

    @property
    def values(self) -> NDArray[np.float32]:
        """Their gradients, `[len(rows), dim]`: not a copy, read-only."""

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the table."""

    def to_dense(self) -> NDArray[np.float32]:
        """The same in the table's shape, with zeros where there is no gradient."""

    def norm(self) -> float:
        """The L2 norm of all values."""

    def clip_by_norm(self, max_norm: float) -> float:
        """Scales all values so that their norm is at most `max_norm`, in place. Returns the norm that they had."""

    def clip_by_value(self, limit: float) -> None:
        """Brings every value into `-limit..=limit`, in place."""

    def __len__(self) -> int: ...
    def __copy__(self) -> SparseGrad: ...
    def __deepcopy__(self, _memo: object) -> SparseGrad: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def sparse_grad(
    ids: Ids,
    grad: ArrayLike,
    rows: int,
    *,
    offsets: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    mode: Mode | None = None,
    per_sample_weights: ArrayLike | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
    scale_grad_by_freq: bool = False,
    argmax: NDArray[np.uint32] | None = None,
    policy: Policy = "strict",
    dtype: Element | None = None,
) -> SparseGrad:
    """The gradient of a lookup in a table of `rows` rows.

    `grad` is that of the lookup's output: of `ids.shape + [dim]` for a gather; of `[bags, dim]` for bags, which are
    cut by offsets or lengths, or stand in the rows of `ids` where only a mode is given. It is float32, float16 or
    bfloat16 (`dtype="bfloat16"` says that a gradient of uint16 holds those bits), and read where it lies. Bags that
    were pooled by their maximum need `argmax`, as `embedding_bag_max` returns it.

    >>> import numpy as np
    >>> import hotrow
    >>> hotrow.sparse_grad([[1, 2], [2, 3]], np.ones((2, 4), np.float32), rows=10, mode="mean").values[:, 0]
    array([0.5, 1. , 0.5], dtype=float32)
    """

@final
class Optimizer:
    """An optimizer with its state for one table of `rows` rows of `dim` values.

    A step sums the gradients of equal ids in their order, and moves each row that has any once: rows that a batch does
    not name keep their weights and state. Rules and their hyperparameters:

    - `sgd`: lr, momentum, nesterov
    - `adagrad`, `rowwise_adagrad`: lr, eps, initial_accumulator
    - `adam`, `partial_rowwise_adam`: lr, beta1, beta2, eps
    - `adamw`: lr, beta1, beta2, eps, weight_decay
    - `rmsprop`: lr, rho, momentum, eps
    - `ftrl`: lr, l1, l2, initial_accumulator

    Options of all: `weight_decay` with `weight_decay_mode` "l2" or "decoupled", `clip_value`, `clip_norm`,
    `max_row_norm`, `stochastic_rounding` (a seed: float16 and bfloat16 weights are rounded at random, the same way
    every time), and `finite_check`, which refuses gradients that are not finite. `columns=(first, of)` says of
    `rowwise_adagrad` and `partial_rowwise_adam` that the table is some columns of one that has so many: gradients have
    all of them, and the state of a row is made from all.

    >>> import numpy as np
    >>> import hotrow
    >>> table = np.zeros((10, 2), np.float32)
    >>> optimizer = hotrow.Optimizer("sgd", 10, 2, lr=0.5)
    >>> optimizer.step(table, [4, 4], np.float32([[1, 2], [1, 2]]))
    >>> table[4]
    array([-1., -2.], dtype=float32)
    """

    def __new__(cls, rule: str, rows: int, dim: int, **hyperparameters: Any) -> Optimizer:
        """An optimizer before its first step."""

    @property
    def rule(self) -> str:
        """The name of the rule."""

    @property
    def rows(self) -> int:
        """How many rows the table has."""

    @property
    def dim(self) -> int:
        """How many values a row of the table has."""

    @property
    def lr(self) -> float:
        """The learning rate, from the next step on."""

    @lr.setter
    def lr(self, lr: float) -> None:
        """Sets the learning rate."""

    @property
    def steps(self) -> int:
        """How many steps were made. Adam's corrections and stochastic rounding depend on it."""

    @steps.setter
    def steps(self, steps: int) -> None:
        """Says how many steps were made."""

    def state(self) -> dict[str, NDArray[np.float32]]:
        """The states by name, `[rows, dim]` or `[rows, 1]`: not copies, read-only. `load_state_dict` gives others."""

    def set_state(self, name: str, values: ArrayLike) -> None:
        """Sets one state, in place."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that it takes to go on bit for bit: strings, numbers, and a copy of each state.

        >>> import hotrow
        >>> optimizer = hotrow.Optimizer("adagrad", 10, 2)
        >>> list(optimizer.state_dict())
        ['rule', 'rows', 'dim', 'steps', 'lr', 'eps', 'initial_accumulator', 'state.sum']
        """

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on as the optimizer that `state` was taken from, with its hyperparameters, options, steps and states."""

    def step(
        self,
        table: TableLike,
        ids: Ids,
        grad: ArrayLike,
        *,
        offsets: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        mode: Mode | None = None,
        per_sample_weights: ArrayLike | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        scale_grad_by_freq: bool = False,
        argmax: NDArray[np.uint32] | None = None,
        policy: Policy = "strict",
        dtype: Element | None = None,
    ) -> None:
        """One step on the rows that the ids name, by the gradient of the lookup's output: see `sparse_grad`.

        Nothing is written between gradient and table. A step that is refused has changed nothing.
        """

    def step_sparse(self, table: TableLike, gradient: SparseGrad) -> None:
        """One step by a gradient that has been summed by row."""

    def __copy__(self) -> Optimizer: ...
    def __deepcopy__(self, _memo: object) -> Optimizer: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __setstate__(self, state: dict[str, Any]) -> None: ...

@final
class EmbeddingBagCollection:
    """Many tables that are looked up and trained in one call each: TorchRec's `EmbeddingBagCollection`.

    Tables are described by `EmbeddingBagConfig`, or dictionaries with its fields. Features may share a table; dims and
    elements may differ. The optimizers are fused into the backward. The results are those of the tables called one by
    one.

    >>> import numpy as np
    >>> import hotrow
    >>> config = hotrow.EmbeddingBagConfig
    >>> collection = hotrow.EmbeddingBagCollection([
    ...     config(name="users", num_embeddings=100, embedding_dim=8, feature_names=["user"]),
    ...     config(name="items", num_embeddings=1000, embedding_dim=4, feature_names=["seen", "liked"]),
    ... ]).with_optimizer("rowwise_adagrad", lr=0.1)

    Two examples. The lists stand key by key: user [7], [8]; seen [1, 2], []; liked [2], [3, 4].

    >>> out = collection.forward(["user", "seen", "liked"], [7, 8, 1, 2, 2, 3, 4], lengths=[1, 1, 2, 0, 1, 2])
    >>> out.shape
    (2, 16)
    >>> out[:, collection.columns["seen"]][1]
    array([0., 0., 0., 0.], dtype=float32)
    >>> collection.backward(np.full_like(out, 0.01))
    """

    def __new__(cls, configs: Iterable[Any], *, seed: int = 0) -> EmbeddingBagCollection:
        """Tables drawn as their configurations say."""

    def forward(
        self,
        keys: Sequence[str],
        values: Ids,
        *,
        lengths: ArrayLike | None = None,
        offsets: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        policy: Policy = "strict",
    ) -> NDArray[np.float32]:
        """Pools every feature: `[batch, output_dim]`.

        The lists stand key by key, one for each example under each key: `len(keys) * batch` lengths, or one more offset
        than that. Keys that no table looks up are passed over.
        """

    def backward(self, grad: ArrayLike) -> None:
        """Steps every table by the gradient `[batch, output_dim]` of the last forward's output.

        A table whose optimizer was given `columns` has all columns of the whole table in it.
        """

    def with_optimizer(self, rule: str, **hyperparameters: Any) -> EmbeddingBagCollection:
        """Trains every table by an optimizer of this rule, as `Optimizer` takes it. Returns the collection."""

    def set_optimizer(self, table: str, rule: str, **hyperparameters: Any) -> None:
        """Trains one table by an optimizer of its own."""

    def set_lr(self, lr: float, *, table: str | None = None) -> None:
        """Changes the learning rate of one table, or of all."""

    @property
    def lrs(self) -> dict[str, float]:
        """The learning rates of the tables that have an optimizer."""

    def table(self, name: str) -> NDArray[Any]:
        """A table as an array that shares its memory."""

    @property
    def table_names(self) -> list[str]:
        """The names of the tables."""

    @property
    def configs(self) -> tuple[Any, ...]:
        """The configurations of the tables."""

    @property
    def output_dim(self) -> int:
        """The values of an example's output: the sum of the features' dims."""

    @property
    def columns(self) -> dict[str, slice]:
        """The columns of each output: by feature, or `feature@table` where several tables look one up."""

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Every table and every optimizer, copied: to be taken while no other thread trains the collection."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on as the collection that `state` was taken from. Its tables are written where they are."""

    def optimizer_record(self, table: str) -> str | None:
        """The optimizer of a table but for its states: rule, hyperparameters, options and steps as JSON."""

    def set_optimizer_record(self, table: str, record: str) -> None:
        """Lets a table's optimizer go on as that of a record of the same rule. Its states stay as they are."""

    def state_dims(self, table: str) -> dict[str, int]:
        """The states of a table's optimizer: how many values a row has, by name."""

    def state_rows(self, table: str, state: str, rows: tuple[int, int]) -> NDArray[np.float32]:
        """Some rows of a state of a table's optimizer, copied."""

    def read_state(
        self,
        table: str,
        state: str,
        reader: CheckpointReader,
        source: str,
        rows: tuple[int, int],
        columns: tuple[int, int],
    ) -> None:
        """Reads a state of a table's optimizer: rows and columns of that of the checkpoint's table `source`."""

    def __reduce__(self) -> tuple[Any, ...]: ...
    def __setstate__(self, state: dict[str, Any]) -> None: ...

@final
class EmbeddingCollection:
    """Many tables whose rows are looked up one for each id and trained in one call each.

    TorchRec calls it the same.

    >>> import hotrow
    >>> collection = hotrow.EmbeddingCollection([
    ...     hotrow.EmbeddingConfig(name="words", num_embeddings=99, embedding_dim=4, feature_names=["query", "title"]),
    ... ]).with_optimizer("sgd", lr=0.1)
    >>> out = collection.forward(["query", "title"], [5, 6, 7, 6, 9], lengths=[1, 1, 2, 1])
    >>> {key: rows.shape for key, rows in out.items()}
    {'query': (2, 4), 'title': (3, 4)}
    >>> collection.backward({key: 0.01 * rows for key, rows in out.items()})
    """

    def __new__(cls, configs: Iterable[Any], *, seed: int = 0) -> EmbeddingCollection:
        """Tables drawn as their configurations say."""

    def forward(
        self,
        keys: Sequence[str],
        values: Ids,
        *,
        lengths: ArrayLike | None = None,
        offsets: ArrayLike | None = None,
        policy: Policy = "strict",
    ) -> dict[str, NDArray[np.float32]]:
        """Looks up every id of every feature: `[ids, dim]` by feature, or `feature@table` if several do."""

    def backward(self, grads: Mapping[str, ArrayLike]) -> None:
        """Steps every table by the gradients of the last forward's output, under the same names.

        Those of a table whose optimizer was given `columns` have all columns of the whole table.
        """

    def with_optimizer(self, rule: str, **hyperparameters: Any) -> EmbeddingCollection:
        """Trains every table by an optimizer of this rule, as `Optimizer` takes it. Returns the collection."""

    def set_optimizer(self, table: str, rule: str, **hyperparameters: Any) -> None:
        """Trains one table by an optimizer of its own."""

    def set_lr(self, lr: float, *, table: str | None = None) -> None:
        """Changes the learning rate of one table, or of all."""

    @property
    def lrs(self) -> dict[str, float]:
        """The learning rates of the tables that have an optimizer."""

    def table(self, name: str) -> NDArray[Any]:
        """A table as an array that shares its memory."""

    @property
    def table_names(self) -> list[str]:
        """The names of the tables."""

    @property
    def configs(self) -> tuple[Any, ...]:
        """The configurations of the tables."""

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs."""

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Every table and every optimizer, copied: to be taken while no other thread trains the collection."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on as the collection that `state` was taken from. Its tables are written where they are."""

    def optimizer_record(self, table: str) -> str | None:
        """The optimizer of a table but for its states: rule, hyperparameters, options and steps as JSON."""

    def set_optimizer_record(self, table: str, record: str) -> None:
        """Lets a table's optimizer go on as that of a record of the same rule. Its states stay as they are."""

    def state_dims(self, table: str) -> dict[str, int]:
        """The states of a table's optimizer: how many values a row has, by name."""

    def state_rows(self, table: str, state: str, rows: tuple[int, int]) -> NDArray[np.float32]:
        """Some rows of a state of a table's optimizer, copied."""

    def read_state(
        self,
        table: str,
        state: str,
        reader: CheckpointReader,
        source: str,
        rows: tuple[int, int],
        columns: tuple[int, int],
    ) -> None:
        """Reads a state of a table's optimizer: rows and columns of that of the checkpoint's table `source`."""

    def __reduce__(self) -> tuple[Any, ...]: ...
    def __setstate__(self, state: dict[str, Any]) -> None: ...

@final
class Routes:
    """How tables are cut into shards, and what follows for the ids and vectors of every feature.

    Messages are arrays of bytes. `hotrow.distributed` carries them from rank to rank.
    """

    def __new__(
        cls,
        configs: Iterable[Any],
        shards: Sequence[tuple[int, int, int, int, int, int]],
        ranks: int,
        *,
        wire_dtype: str = "float32",
        whole_rows: Sequence[int] = ...,
    ) -> Routes:
        """Shards as (table, owner, rows from, rows to, columns from, columns to).

        Tables without any are not exchanged. To the owners of columns of the tables `whole_rows` go gradients of all
        columns.
        """

    @property
    def shards(self) -> list[tuple[int, int, int, int, int, int]]:
        """The shards, by table and by row and column."""

    def shards_of(self, rank: int) -> list[int]:
        """The numbers of a rank's shards among all."""

    def keys_of(self, rank: int) -> list[str]:
        """The keys of what a rank receives."""

    def keys_of_shard(self, shard: int) -> list[str]:
        """Those of them that look up a shard."""

    @property
    def width(self) -> int:
        """The columns of the output."""

    def route_bags(
        self,
        keys: Sequence[str],
        values: Ids,
        *,
        lengths: ArrayLike | None = None,
        offsets: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        policy: Policy = "strict",
        deduplicate: bool = True,
    ) -> tuple[RoutedBags, list[NDArray[np.uint8]]]:
        """Checks a batch of bags, and cuts it into a message for each rank."""

    def receive_bags(self, rank: int, messages: Sequence[NDArray[np.uint8]]) -> ReceivedBags:
        """Puts what all ranks sent to `rank` together."""

    def route_ids(
        self,
        keys: Sequence[str],
        values: Ids,
        *,
        lengths: ArrayLike | None = None,
        offsets: ArrayLike | None = None,
        policy: Policy = "strict",
        deduplicate: bool = True,
    ) -> tuple[RoutedIds, list[NDArray[np.uint8]]]:
        """Checks a batch of ids that are not pooled, and cuts it into a message for each rank."""

    def receive_ids(self, rank: int, messages: Sequence[NDArray[np.uint8]], *, summed: bool = False) -> ReceivedIds:
        """Puts what all ranks sent to `rank` together: all ids, or, with `summed`, the distinct ones of each rank."""

@final
class RoutedBags:
    """What a rank keeps of the bags that it sent."""

    @property
    def examples(self) -> int:
        """How many examples the batch has."""

    def unpack(
        self, messages: Sequence[NDArray[np.uint8]], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Puts the vectors of all owners in place: `[examples, width]`.

        In `out`, if it is given, columns of tables without shards stay as they are; otherwise they are zeros.
        """

    def pack_gradient(self, grad: ArrayLike) -> list[NDArray[np.uint8]]:
        """The gradient of the output as a message for each owner."""

@final
class ReceivedBags:
    """The bags that an owner got from all ranks."""

    @property
    def examples(self) -> int:
        """How many examples there are, of all ranks together."""

    @property
    def values(self) -> NDArray[np.uint32]:
        """The ids."""

    @property
    def lengths(self) -> NDArray[np.int32]:
        """The lengths of the lists."""

    @property
    def weights(self) -> NDArray[np.float32] | None:
        """The weights, if any rank gave some."""

    def pack(self, output: ArrayLike) -> list[NDArray[np.uint8]]:
        """The output of the owner's collection as a message for each rank."""

    def unpack_gradient(self, messages: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The gradient of that output, with whole rows of the tables whose owners get them."""

@final
class RoutedIds:
    """What a rank keeps of the ids that it sent."""

    @property
    def ids(self) -> list[int]:
        """How many ids each feature has."""

    def unpack(self, messages: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The rows of all owners in place: `[ids, dim]` of each feature, one behind the other."""

    def pack_gradient(self, grads: Sequence[NDArray[np.float32]], *, summed: bool = False) -> list[NDArray[np.uint8]]:
        """The gradients of each feature's rows as a message for each owner; `summed` sums those of equal ids."""

@final
class ReceivedIds:
    """The ids that an owner got from all ranks."""

    @property
    def values(self) -> NDArray[np.uint32]:
        """The ids."""

    @property
    def lengths(self) -> NDArray[np.int32]:
        """The lengths of the lists."""

    def pack(self, outputs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint8]]:
        """The outputs of the owner's collection as a message for each rank."""

    def unpack_gradient(self, messages: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The gradients of those outputs, `[ids, columns]` of each, one behind the other.

        Of tables whose owners get whole rows they have all columns.
        """

def refusal(reason: str) -> NDArray[np.uint8]:
    """A message that says, instead of what the other ranks expect, why it does not come."""

def refused(message: NDArray[np.uint8]) -> str | None:
    """The reason that a refusal gives, or `None`."""

def draw_part(config: Any, seed: int, first: tuple[int, int], out: NDArray[Any]) -> None:
    """Writes a part of the table that a configuration describes, from row and column `first` on.

    It is what a collection whose first table this is would draw with the seed.
    """

@final
class Checkpoints:
    """A folder of checkpoints that several processes save into together."""

    def __new__(cls, folder: Path, *, keep_last: int | None = None) -> Checkpoints:
        """The folder is made by the first save if it is not there."""

    def steps(self) -> list[int]:
        """The steps that there are checkpoints of, ascending."""

    def begin(self, step: int) -> int:
        """Begins a save of a step, and takes the folder's lock; returns the generation that the parts' names have."""

    def part(
        self,
        step: int,
        generation: int,
        at: int,
        count: int,
        tables: Sequence[tuple[str, str, tuple[int, int], tuple[int, int], str | None]],
    ) -> CheckpointPart:
        """Begins file number `at` of `count`.

        Its tables are (name, element, shape, rows from and to, the optimizer's record).
        """

    def commit(
        self, step: int, generation: int, tables: Sequence[str], records: Sequence[str], config: str = "null"
    ) -> tuple[int, list[int], str | None]:
        """Makes a checkpoint of all parts.

        Returns its bytes, the steps that were removed, and why not all could be removed that is needed no longer.
        """

    def release(self) -> None:
        """Lets go of the folder's lock."""

    def reader(self, step: int) -> CheckpointReader:
        """Opens a checkpoint to read rows and columns of it."""

@final
class CheckpointPart:
    """A file of a checkpoint, being written."""

    def write(self, table: str, rows: NDArray[Any], *, state: str | None = None) -> None:
        """Writes the next rows of a table, or of a state of its optimizer."""

    def finish(self) -> str:
        """Brings the file onto the disk; returns what a commit needs to know of it."""

    def discard(self) -> None:
        """Removes the file, unless it is finished."""

@final
class CheckpointReader:
    """An open checkpoint."""

    @property
    def step(self) -> int:
        """The step."""

    @property
    def config(self) -> str:
        """The configuration as JSON."""

    @property
    def crc32(self) -> int:
        """The checksum of the manifest: checkpoints of the same checksum are the same."""

    @property
    def tables(self) -> list[tuple[str, Element, tuple[int, int], str | None]]:
        """The tables: name, element, shape, and the record of the optimizer."""

    def read(self, table: str, rows: tuple[int, int], columns: tuple[int, int], out: NDArray[Any]) -> None:
        """Reads rows and columns of a table into an array of their shape."""
