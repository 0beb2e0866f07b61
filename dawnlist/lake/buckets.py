"""What the lakes on S3 and on Google Cloud Storage share: a bucket, and the errors about it."""

from abc import ABC, abstractmethod

from dawnlist.lake.objects import split_bucket_uri


class BucketObjectStore(ABC):
    """The base class of the stores on S3 and on Google Cloud Storage."""

    def __init__(self, uri: str) -> None:
        """`uri` is the lake's, such as `s3://bucket/prefix`."""
        self.uri = uri
        self.bucket, self.prefix = split_bucket_uri(uri)
        self._bucket_exists = False

    def _require_bucket(self) -> None:
        """Ask for the bucket, after an object was not found.

        The answer about one object doesn't say whether the object or the whole bucket is missing.
        The client raises its own error when the bucket is missing.
        """
        if not self._bucket_exists:
            self._list_first_object()
            self._bucket_exists = True

    @abstractmethod
    def _list_first_object(self) -> None:
        """Ask the bucket for one object, so that the client fails when there is no bucket."""

    def _build_missing_bucket_error(self) -> FileNotFoundError:
        return FileNotFoundError(
            f"there is no bucket {self.bucket!r} for the lake {self.uri}: make it"
        )

    def _build_permission_error(self) -> PermissionError:
        return PermissionError(
            f"no permission for the lake {self.uri}: "
            "allow these credentials to list, read, write and delete in it"
        )

    def _build_credentials_error(self, advice: str) -> ConnectionError:
        return ConnectionError(f"no credentials for the lake {self.uri}: {advice}")

    def _build_connection_error(self, cause: str) -> ConnectionError:
        return ConnectionError(f"the lake {self.uri} can't be used: {cause[:300]}")
