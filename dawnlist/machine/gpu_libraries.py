"""The GPU: found, and made to work with CuPy and with implicit, or a clear error."""

from typing import Any


def import_cupy() -> Any:
    """The module CuPy on a machine where it can compute; RuntimeError that says what is missing."""
    try:
        import cupy as module
    except ImportError as error:
        raise RuntimeError(
            f"a GPU was asked for, and CuPy can't be imported ({error}): install dawnlist[gpu], or choose the cpu"
        ) from None
    try:
        module.cuda.runtime.getDeviceCount()  # raises where there is none
    except module.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(
            f"a GPU was asked for, and CUDA finds none ({error}): run on a node with an NVIDIA GPU and its driver, "
            "or choose the cpu"
        ) from None
    return module


def import_implicit_als() -> Any:
    """implicit's GPU AlternatingLeastSquares class; RuntimeError that says what is missing.

    implicit falls back to the CPU in silence when its GPU library does not load, so the library is asked first. It
    does not find CUDA's own libraries where pip puts them: they are loaded before it.
    """
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        for name in ("cudart", "cublas", "curand"):
            load_nvidia_dynamic_lib(name)
    except Exception as error:
        raise RuntimeError(
            f"a GPU was asked for, and CUDA 13's libraries can't be loaded ({error}): "
            "install dawnlist[gpu] on a node with an NVIDIA driver, or choose the cpu"
        ) from error
    import implicit.gpu

    if not implicit.gpu.HAS_CUDA:
        raise RuntimeError(
            "a GPU was asked for, and implicit finds none: run on a node with an NVIDIA GPU and dawnlist[gpu] "
            "(rmm-cu13 and librmm-cu13 26.4), or choose the cpu"
        )
    from implicit.gpu.als import AlternatingLeastSquares

    return AlternatingLeastSquares
