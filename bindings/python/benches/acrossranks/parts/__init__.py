"""What is measured, one module a part: `run(comm, ...)` is called at every rank, and rank 0 returns what was found."""
