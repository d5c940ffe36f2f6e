"""Programs to run and to read: `python -m hotrow.examples.two_tower_keras --help`."""
