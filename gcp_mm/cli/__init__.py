"""The command line: one module for each command of ``gcp-mm``.

Each has a ``main(argv, prog)``: the command line without the program (``sys.argv`` if None), and
how the program is called in its help (the file of ``sys.argv`` if None). The files in ``tools/``
call the same modules. Importing this package, or asking for help, imports no OpenMMLab: what takes
seconds to import is imported in the function that needs it.
"""
