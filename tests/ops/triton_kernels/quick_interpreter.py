"""Triton's interpreter without most of its work, whose result it drops or has had before.

* Every sum, difference and product of whole numbers is computed once more in 64 bits, for an
  assertion that the interpreter's options leave out.
* Every call of a function in a kernel looks through ``triton.language`` for what is to be replaced;
  the launch has replaced it.
* Every value has a type of its own, with the sizes of its block wrapped one by one, and asks for
  numpy's type in a table of all of them. Types of one name share all this.
"""

from dataclasses import replace

from triton.language import core
from triton.runtime import interpreter


def quicken():
    """Let the interpreter of this process do none of it."""
    builder = interpreter.interpreter_builder
    builder.options = replace(builder.options, sanitize_overflow=builder.options.debug)
    launch, patch_lang = interpreter.GridExecutor.__call__, interpreter._patch_lang
    patched = set()

    def launch_afresh(executor, *args, **kwargs):
        patched.clear()  # when a launch ends, all is put back
        return launch(executor, *args, **kwargs)

    def patch_once(function):
        module = id(function.__globals__)
        if module in patched:
            return None
        patched.add(module)
        return patch_lang(function)

    interpreter.GridExecutor.__call__ = launch_afresh
    interpreter._patch_lang = patch_once
    _share_types()


def _share_types():
    """Make what follows from the name of a type once."""
    begin_tensor, begin_block = core.tensor.__init__, core.block_type.__init__
    find_dtype = interpreter._get_np_dtype
    shapes, blocks, dtypes = {}, {}, {}

    def tensor(self, handle, type):
        if type.name not in shapes:
            begin_tensor(self, handle, type)
            shapes[type.name] = self.shape, self.numel
        self.handle, self.type, self.dtype = handle, type, type.scalar
        self.shape, self.numel = shapes[type.name]

    def block(self, element_ty, shape):
        key = (element_ty.name, *(getattr(size, "value", size) for size in shape))
        if key not in blocks:
            begin_block(self, element_ty, shape)
            blocks[key] = dict(vars(self))
        vars(self).update(blocks[key], element_ty=element_ty)

    def np_dtype(given):
        if given.name not in dtypes:
            dtypes[given.name] = find_dtype(given)
        return dtypes[given.name]

    core.tensor.__init__ = tensor
    core.block_type.__init__ = block
    interpreter._get_np_dtype = np_dtype
