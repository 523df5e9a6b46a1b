"""Where things are kept: the catalog (SQL database) and the object store (a folder or S3)."""

from storage.stores import open_store as open_store
