"""Trials: hostile input, kills and faults by the hundred, run by ``make trials``."""
