"""A lake whose files are counted as they are read."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from dawnlist.lake.lake import Lake


class CountingFiles(pafs.FileSystemHandler):  # type: ignore[misc]
    """The local file system, writing down which data files are read, and how many bytes of them."""

    def __init__(self) -> None:
        self.local, self.opened, self.bytes = pafs.LocalFileSystem(), Counter[str](), 0

    def get_type_name(self) -> str:
        return "counting"

    def get_file_info(self, paths: list[str]) -> Any:
        return self.local.get_file_info(paths)

    def get_file_info_selector(self, selector: Any) -> Any:
        return self.local.get_file_info(selector)

    def normalize_path(self, path: str) -> str:
        return str(self.local.normalize_path(path))

    def open_input_stream(self, path: str) -> Any:
        return self.open_input_file(path)

    def open_input_file(self, path: str) -> Any:
        self.opened[path] += 1
        counting = self

        class File(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                data = super().read(size)
                counting.bytes += len(data)
                return data

        return pa.PythonFile(File(Path(path).read_bytes()), mode="r")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = None
    move = copy_file = open_output_stream = open_append_stream = None


def count_reads(lake: Lake) -> tuple[Lake, CountingFiles]:
    other, handler = Lake(lake.uri, lake.objects), CountingFiles()
    vars(other)["filesystem"] = pafs.PyFileSystem(handler)
    return other, handler
