"""The subcommands of tools/landscape.py."""
