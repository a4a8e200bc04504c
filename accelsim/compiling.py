"""How numba compiles a kernel here: one machine module per kernel that Python calls, whatever it calls itself.

numba compiles each function for itself: it is optimised, made machine code, wrapped for Python and kept on disk, and
all that once more within each caller that it is inlined into. Of some hundred small functions under a search, Python
calls six. So a function is compiled in two ways. Called from Python it is a kernel of its own (`Kernel`). Called from a
kernel it is just typed and lowered (`Inner`), and its code goes as it is into the module of the kernel (`Part`,
`Whole`), which is optimised once.

No kernel counts from the end of an array. numba cannot know that, and its check of every index for a sign makes inner
loops several times slower than in C, mostly because it keeps them from being vectorised. `UnsignedIndices` does without
the check. With ``NUMBA_BOUNDSCHECK=1`` a negative index is then out of range, so that the tests in that mode find it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

from numba.core import config, ir, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import NopythonRewrites
from numba.core.typing import Context
from numba.core.untyped_passes import InlineClosureLikes

OPTIONS = {"nopython": True, "boundscheck": None, "nogil": True}

OF_ARRAYS = (InlineClosureLikes, NopythonRewrites)
"""Passes that look for expressions of whole arrays: a function that makes no array has none."""


class Part(JITCodeLibrary):  # type: ignore[misc]
    """Code of a function that only kernels call: neither optimised nor made machine code."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Let no more code in."""
        self._shared_module, self._finalized = self._final_module, True
        _relink(self._final_module, "external", "weak_odr")  # defined once, and linked before anything calls it too


class Whole(JITCodeLibrary):  # type: ignore[misc]
    """Code of a kernel that Python calls, all that it calls included."""

    def finalize(self) -> None:
        """Link all parts, those of parts too, each once; then optimise and compile as numba does."""
        parts: dict[Any, None] = {}
        others: dict[Any, None] = {}
        open_ = self._linking_libraries[::-1]  # type: ignore[has-type]
        while open_:
            library = open_.pop()
            if not isinstance(library, Part):
                others[library] = None
            elif library not in parts:
                parts[library] = None
                open_ += library._linking_libraries[::-1]
        # of numba's own only what is called by then is linked
        self._linking_libraries = [*parts, *others]
        super().finalize()

    def _optimize_final_module(self) -> None:
        _relink(self._final_module, "weak_odr", "linkonce_odr")  # goes where nothing calls it any more
        super()._optimize_final_module()


def _relink(module: Any, before: str, after: str) -> None:
    for function in module.functions:
        if not function.is_declaration and function.linkage.name == before:
            function.linkage = after


@register_pass(mutates_CFG=False, analysis_only=False)
class UnsignedIndices(FunctionPass):  # type: ignore[misc]
    """Cast the integers that index an array to unsigned ones; constants and slices stay."""

    _name = "accelsim_unsigned_indices"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Rewrite every ``getitem`` and ``setitem`` of an array in a typed function."""
        changed = False
        for block in state.func_ir.blocks.values():
            body = []
            for statement in block.body:
                access = statement.value if isinstance(statement, ir.Assign) else statement
                place = self._unsigned(state, access)
                if place is not None:
                    name = ir.Var(block.scope, block.scope.redefine("unsigned_index", access.loc).name, access.loc)
                    state.typemap[name.name] = place
                    body.append(ir.Assign(ir.Expr.cast(access.index, access.loc), name, access.loc))
                    sign = state.calltypes.pop(access)
                    access.index = name
                    args = [place if i == 1 else arg for i, arg in enumerate(sign.args)]
                    state.calltypes[access] = sign.replace(args=tuple(args))
                    changed = True
                body.append(statement)
            block.body = body
        return changed

    @staticmethod
    def _unsigned(state: Any, access: Any) -> Any:
        """Return the unsigned type of an access's index, or None where there is nothing to cast."""
        if isinstance(access, ir.SetItem):
            array = state.typemap[access.target.name]
        elif isinstance(access, ir.Expr) and access.op == "getitem":
            array = state.typemap[access.value.name]
        else:
            return None
        index = state.typemap[access.index.name]
        if not isinstance(array, types.Array):
            return None
        if isinstance(index, types.BaseTuple):  # type: ignore[attr-defined]
            parts = [_without_sign(part) for part in index]
            return None if parts == list(index) else types.Tuple(parts)  # type: ignore[attr-defined]
        return None if _without_sign(index) == index else _without_sign(index)


def _without_sign(kind: Any) -> Any:
    signed = isinstance(kind, types.Integer) and kind.signed  # type: ignore[attr-defined]
    return types.uintp if signed else kind


class Typing(Context):  # type: ignore[misc]
    """numba's typing context with a memory: all it knows is shared with the context that it stands for.

    numba asks every overload of an operator again for each use of it, and in each round of inference.
    """

    _known: ClassVar[dict[Any, Any]] = {}

    def __init__(self, context: Context) -> None:
        self.__dict__ = context.__dict__

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        """Return the signature of a call, as found before if it is of an operator or the like."""
        named = getattr(func, "typing_key", func)
        if kws or getattr(named, "__module__", "") not in ("_operator", "builtins"):
            return super().resolve_function_type(func, args, kws)
        found = self._known.get((func, args))
        if found is None:
            found = self._known[func, args] = super().resolve_function_type(func, args, kws)
        return found


@cache
def _remembering(context: Context) -> Typing:
    return Typing(context)


class KernelCompiler(CompilerBase):  # type: ignore[misc]
    """numba's own pipeline and `UnsignedIndices`, into a library of ours."""

    library: type[JITCodeLibrary] = Whole

    def __init__(self, typing: Any, *others: Any) -> None:
        super().__init__(_remembering(typing), *others)

    def define_pipelines(self) -> list[Any]:
        """Return the one pipeline."""
        name = self.state.func_id.func_qualname
        self.state.library = self.library(self.state.targetctx.codegen(), name)
        self.state.library.enable_object_caching()
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(UnsignedIndices, NopythonRewrites)
        if not self.state.flags.nrt:
            passes.passes = [each for each in passes.passes if each[0] not in OF_ARRAYS]
        passes.finalize()
        return [passes]


class InnerCompiler(KernelCompiler):
    """The same for what only kernels call."""

    library = Part


class Inner(CPUDispatcher):  # type: ignore[misc]
    """A function as kernels call it: no door to Python, no machine code of its own, nothing on disk."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions=OPTIONS | options, pipeline_class=InnerCompiler)
        self._compiler._customize_flags = _without_door

    def add_overload(self, found: Any) -> None:
        """Keep code under a key that only it has, for callers to find."""
        found = found._replace(entry_point=object())
        self.overloads[tuple(found.signature.args)] = found
        self.targetctx.insert_user_function(found.entry_point, found.fndesc, [found.library])


class Kernel(CPUDispatcher):  # type: ignore[misc]
    """A function as Python calls it; kernels that call it take it as `Inner`."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], folder: Path | None) -> None:
        super().__init__(function, targetoptions=OPTIONS | options, pipeline_class=KernelCompiler)
        self.folder = folder

    @cached_property
    def inner(self) -> Inner:
        """The function as kernels call it."""
        return Inner(self.py_func, self.targetoptions)

    def compile(self, sig: Any) -> Any:
        """Compile for types of arguments, or load what is in the folder.

        Meanwhile nothing looks for cycles among numba's millions of objects.
        """
        _load_array_functions()
        if self.folder is not None and not self.overloads:
            config.CACHE_DIR = str(self.folder)  # which numba reads once
            self.enable_caching()
        collects = gc.isenabled()
        gc.disable()
        try:
            return super().compile(sig)
        finally:
            if collects:
                gc.enable()

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Return how another kernel calls this one: numbers known as it is compiled are no types of their own."""
        return self.inner.get_call_template(tuple(map(_any_number, args)), kws)

    def get_overload(self, sig: Any) -> Any:
        """Return the key of what another kernel calls."""
        return self.inner.get_overload(sig)


@cache
def _load_array_functions() -> None:
    """Import numba's array functions, but not scipy: numba asks for its BLAS then, and again where it is used."""
    from numba.np import linalg

    ask = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        from numba.np import arraymath
    finally:
        linalg.ensure_blas = ask
    arraymath.ensure_blas = ask


def _any_number(kind: Any) -> Any:
    if isinstance(kind, types.Tuple):  # type: ignore[attr-defined]
        return types.Tuple(tuple(map(_any_number, kind)))  # type: ignore[attr-defined]
    return types.unliteral(kind)  # type: ignore[attr-defined]


def _without_door(flags: Any) -> Any:
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    return flags
