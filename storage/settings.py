"""Settings of the catalog and the object store: `[database]` and `[object_store]` of config.toml."""

import msgspec


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = ""
    """SQLAlchemy async URL; empty: SQLite in the data folder."""


class S3Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    endpoint: str = ""
    """`http(s)://host:port` as the server reaches it."""
    public_endpoint: str = ""
    """The same store as browsers reach it (presigned URLs are signed for this host); empty: `endpoint`."""
    region: str = "us-east-1"
    bucket: str = "stemroom"
    prefix: str = ""
    access_key: str = ""
    secret_key: str = ""
    timeout_s: float = 30.0
    """For one request; retries are ours."""


class ObjectStoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str = "folder"
    """`folder` or `s3`."""
    url_life_s: int = 300
    """Life of a presigned URL, 30..3600."""
    s3: S3Settings = S3Settings()
