"""The command line: one module for each command of ``gcp-mm``.

The files in ``tools/`` call the same modules. Importing this package imports nothing else.
"""
