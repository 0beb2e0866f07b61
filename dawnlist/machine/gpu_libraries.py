"""Import CuPy and implicit for use with a GPU, or raise an error that says what is missing."""

from typing import Any, Final

IMPLICIT_CUDA_LIBRARIES: Final = ("cudart", "cublas", "curand")
"""Libraries of CUDA that implicit needs."""


def import_cupy() -> Any:
    """Import CuPy and check that it finds a GPU.

    Raises:
        RuntimeError: CuPy or a GPU is missing.
    """
    try:
        import cupy as module
    except ImportError as error:
        raise RuntimeError(
            f"a GPU was asked for, and CuPy can't be imported ({error}): "
            "install dawnlist[gpu], or choose the cpu"
        ) from None
    try:
        module.cuda.runtime.getDeviceCount()
    except module.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(
            f"a GPU was asked for, and CUDA finds none ({error}): "
            "run on a node with an NVIDIA GPU and its driver, or choose the cpu"
        ) from None
    return module


def import_implicit_als() -> Any:
    """Import implicit's AlternatingLeastSquares for the GPU.

    implicit falls back to the CPU without an error when its GPU library does not load, so this
    function checks the library. implicit also does not find the libraries of CUDA where pip
    installs them, so they are loaded before it.

    Raises:
        RuntimeError: A library or a GPU is missing.
    """
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        for name in IMPLICIT_CUDA_LIBRARIES:
            load_nvidia_dynamic_lib(name)
    except Exception as error:
        raise RuntimeError(
            f"a GPU was asked for, and CUDA 13's libraries can't be loaded ({error}): "
            "install dawnlist[gpu] on a node with an NVIDIA driver, or choose the cpu"
        ) from error
    import implicit.gpu

    if not implicit.gpu.HAS_CUDA:
        raise RuntimeError(
            "a GPU was asked for, and implicit finds none: run on a node with an NVIDIA GPU and "
            "dawnlist[gpu] (rmm-cu13 and librmm-cu13 26.4), or choose the cpu"
        )
    from implicit.gpu.als import AlternatingLeastSquares

    return AlternatingLeastSquares
