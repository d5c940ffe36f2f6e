"""The benchmark behind `sharded.py`.

`launch` starts the ranks of a part, `worker` is one of them, each module of `parts` says what they do, `batches` draws
what they look up, `check` compares results with one process, `turns` takes the times, and `record` and `report` keep
and show them. Workloads and the machine's description are those of `sidebyside`.
"""
