"""Measurements that errors are divided by, as JSON files."""
