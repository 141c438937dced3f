"""What every command shares: its name in hints, its errors in one line, its silence.

``run_command`` runs one and explains errors with ``machine_errors``; ``command_names`` writes the
next command; ``noise`` keeps the stack quiet. It imports the ground floor alone.
"""
