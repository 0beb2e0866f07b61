"""Open the object store of a lake; the client of a bucket is only imported when it is needed."""

from dawnlist.lake.objects import ObjectStore


def open_object_store(uri: str) -> ObjectStore:
    """Open the object store of a lake's URI. Nothing is sent over the network yet."""
    if uri.startswith("s3://"):
        from dawnlist.lake.s3 import S3ObjectStore

        return S3ObjectStore(uri)
    if uri.startswith("gs://"):
        from dawnlist.lake.gcs import GcsObjectStore

        return GcsObjectStore(uri)
    from dawnlist.lake.local import LocalObjectStore

    return LocalObjectStore(uri)
