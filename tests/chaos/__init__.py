"""What a running installation is put through: each subcommand of `python -m tests.chaos`."""
