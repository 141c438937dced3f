"""The subcommands of tools/test_robustness.py."""
