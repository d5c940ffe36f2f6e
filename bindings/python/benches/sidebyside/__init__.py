"""The benchmark behind `peers.py`.

`workloads` says what is done, `draw` and `data` make the ids and tables, each module of `peers` says how one library
does it, `check` compares the results, `timing` takes the times, and `report`, `figures`, `record` and `chart` show
them.
"""
