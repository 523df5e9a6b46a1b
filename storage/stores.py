"""Which object store: one line of the configuration."""

from pathlib import Path

from storage.folder import FolderStore
from storage.objects import ObjectStore
from storage.settings import ObjectStoreSettings
from storage.signing import load_secret


def open_store(settings: ObjectStoreSettings, data: Path) -> ObjectStore:
    """The configured store, not started. The folder is `objects` in the data folder, which must exist.

    Raises:
        ValueError: the settings name no store, or the secret for signed URLs cannot be used.
        OSError: the data folder cannot be written.
    """
    if settings.kind == "folder":
        return FolderStore(data / "objects", secret=load_secret(data / "secret"))
    if settings.kind == "s3":
        from storage.s3 import S3Store  # 0.3 s of imports that the default does not need

        return S3Store(settings.s3)
    raise ValueError(f"object_store.kind must be folder or s3, not {settings.kind!r}")
