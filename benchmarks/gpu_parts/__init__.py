"""The six parts of ``gpu_check.py``, and what they share."""
