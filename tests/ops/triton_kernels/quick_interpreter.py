"""Triton's interpreter without most of its work, whose result it drops or has had before.

* Every sum, difference and product of whole numbers is computed once more in 64 bits, for an
  assertion that the interpreter's options leave out.
* Every call of a function in a kernel looks through ``triton.language`` for what is to be replaced;
  the launch has replaced it.
* Every value has a type of its own, with the sizes of its block wrapped one by one, and asks for
  numpy's type in a table of all of them. Types of one name share all this.
* Every operation compares the types and the shapes of two values, and makes a block of a number;
  what was found of two types, or made of a number for a type, is what comes out the next time.
* Every launch looks through ``triton.language`` for what it has to replace, the same every time,
  and each call of that is passed through two functions more.
"""

import inspect
from dataclasses import replace
from functools import cache

from triton.language import core, semantic
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
    _share_operands()
    _list_members_once()


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


def _share_operands():
    """Prepare two operands as those of the same types, or a number for the same type, before."""
    prepare = semantic.TritonSemantic.binary_op_type_checking_impl
    unchanged, numbers = set(), {}

    def binary(self, lhs, rhs, *flags, **named):
        options = (*flags, *named.items())
        if type(lhs) is type(rhs) is core.tensor:
            key = (lhs.type.name, rhs.type.name, options)
            if key in unchanged:
                return lhs, rhs
            found = prepare(self, lhs, rhs, *flags, **named)
            if found[0] is lhs and found[1] is rhs:
                unchanged.add(key)
            return found
        if type(lhs) is core.tensor and type(rhs) in (int, float):
            # With its sign: -0.0 is equal to 0.0.
            key = (lhs.type.name, type(rhs), repr(rhs), options)
            if key in numbers:
                return lhs, numbers[key]
            found = prepare(self, lhs, rhs, *flags, **named)
            if found[0] is lhs:
                found[1].handle.data.flags.writeable = False
                numbers[key] = found[1]
            return found
        return prepare(self, lhs, rhs, *flags, **named)

    semantic.TritonSemantic.binary_op_type_checking_impl = binary


def _list_members_once():
    """Find what a launch replaces once for each place, and call it without a detour."""

    @cache
    def builtins_of(place):
        return [pair for pair in inspect.getmembers(place) if core.is_builtin(pair[1])]

    def patch_builtin(place, builder, scope):
        for name, member in builtins_of(place):
            interpreter._patch_attr(place, name, member, builder, scope)

    def patch_attr(place, name, member, builder, scope):
        def call(*args, member=member, **named):
            named["_semantic"] = interpreter.interpreter_semantic
            return member(*args, **named)

        scope.set_attr(place, name, call)

    interpreter._patch_builtin = patch_builtin
    interpreter._patch_attr = patch_attr
