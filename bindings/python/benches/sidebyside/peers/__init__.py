"""One module a library: how it does each workload."""
