"""Files go from Python's packages to hotrow and back, and every value is compared by its bits.

Usage: interop.py HOTROW FOLDER
"""

import json
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

HOTROW = Path(sys.argv[1]).resolve()
FOLDER = Path(sys.argv[2])


def hotrow(*args, code=0):
    """What the command prints; it must end with this code."""
    done = subprocess.run([HOTROW, *map(str, args)], capture_output=True, text=True, cwd=FOLDER, check=False)
    assert done.returncode == code, f"{args}: exit code {done.returncode}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def same(got, want, what):
    assert got.dtype == want.dtype, f"{what}: {got.dtype} instead of {want.dtype}"
    assert got.shape == want.shape, f"{what}: {got.shape} instead of {want.shape}"
    assert got.tobytes() == want.tobytes(), f"{what}: other values"
    print(f"ok: {what}")


def odd(rows, dim, dtype, seed):
    """Ordinary values, and those that are not."""
    values = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    values.flat[:5] = [np.inf, -np.inf, -0.0, 1e-40, 65504.0]
    return values.astype(dtype)


DTYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}

# From Python to here and back, for every element, and with metadata of somebody else.
for name, dtype in DTYPES.items():
    for rows, dim in [(37, 5), (1, 1), (64, 16)]:
        table = odd(rows, dim, dtype, seed=rows) if rows * dim > 5 else np.ones((rows, dim), dtype)
        save_file({"weight": table}, FOLDER / "theirs.safetensors", metadata={"made": "elsewhere"})
        hotrow("verify", "theirs.safetensors")
        info = json.loads(hotrow("info", "theirs.safetensors", "--json"))
        assert str([rows, dim]) in str(info), info
        hotrow("convert", "theirs.safetensors", "ours.safetensors")
        ours = load_file(FOLDER / "ours.safetensors")["embeddings"]
        same(ours, table, f"safetensors {name} [{rows}, {dim}] there and back")

# Several tables in a file: one is chosen, and without a choice all are named.
users, items = odd(10, 4, np.float32, 1), odd(20, 4, np.float32, 2)
save_file({"users": users, "items": items}, FOLDER / "two.safetensors")
complaint = hotrow("convert", "two.safetensors", "one.npy", code=1)
assert "users" in complaint and "items" in complaint, complaint
hotrow("convert", "two.safetensors", "one.npy", "--table", "items")
same(np.load(FOLDER / "one.npy"), items, "one table of two, as npy")

# f64 and integers are converted, and it is said.
save_file({"wide": users.astype(np.float64)}, FOLDER / "wide.safetensors")
hotrow("convert", "wide.safetensors", "wide.npy")
same(np.load(FOLDER / "wide.npy"), users, "f64 rounded to f32")

# npy and npz, also Fortran order and compressed.
np.save(FOLDER / "fortran.npy", np.asfortranarray(items))
hotrow("convert", "fortran.npy", "fortran.safetensors")
same(load_file(FOLDER / "fortran.safetensors")["embeddings"], items, "npy in Fortran order")
words = np.array([f"wörd {k}" for k in range(20)])
np.savez_compressed(FOLDER / "named.npz", vectors=items, words=words)
hotrow("convert", "named.npz", "named.safetensors")
named = load_file(FOLDER / "named.safetensors")
same(named["embeddings"], items, "npz")
assert json.loads(named["embeddings.ids"].tobytes()) == words.tolist()
print("ok: words of an npz, as JSON in safetensors")
hotrow("convert", "named.safetensors", "again.npz")
again = np.load(FOLDER / "again.npz")
same(again["embeddings"], items, "npz of ours")
assert again["words"].tolist() == words.tolist()

# Rows by number and by word.
for number in [3, 7, 19]:
    row = json.loads(hotrow("lookup", "one.npy", number, "--format", "json"))
    same(np.array(row["vector"], np.float32), items[number], f"lookup of row {number}")

# A checkpoint of a training: every shard is a safetensors file, and its tables are those of the model.
hotrow("train", "--epochs", 2, "--checkpoint", "run", "--out", "model", "--dim", 8)
model = load_file(FOLDER / "model" / "model.safetensors")
last = max((FOLDER / "run").glob("step-*.json"), key=lambda path: int(path.stem.removeprefix("step-")))
shards = {}
for shard in json.loads(last.read_text())["manifest"]["files"]:
    shards |= load_file(FOLDER / "run" / shard["name"])
for name, table in model.items():
    same(shards[name], table, f"{name} of the checkpoint and of the model")
for shard in (FOLDER / "run").glob("*.safetensors"):
    data = shard.read_bytes()
    header = int.from_bytes(data[:8], "little")
    for name, tensor in json.loads(data[8 : 8 + header]).items():
        if name != "__metadata__" and len(tensor["shape"]) == 2:
            assert (8 + header + tensor["data_offsets"][0]) % 64 == 0, f"{name} is not aligned to 64 bytes"
print("ok: tables begin at multiples of 64 bytes")
