"""Settings of journals and the recorder process: the `[recorder]` table of config.toml."""

from typing import Literal

import msgspec

from storage.settings import DatabaseSettings, ObjectStoreSettings


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keep_journal_days: float = 7.0
    """How long a journal stays after its file was verified in the object store."""
    gap_wait_s: float = 3.0
    """Longest wait behind a missing packet, by journal time."""
    write_interval_s: float = 0.1
    """How often the node's writer thread writes what the taps collected."""
    queue_bytes: int = 64 * 1024 * 1024
    """Cap of what waits for the writer thread on one node; beyond it packets are dropped, counted and alarmed."""
    index_bytes: int = 256 * 1024
    """Space reserved for cues in the head of each file: 20 bytes for each second of sound (3.6 hours), or key frame."""
    reserve_bytes: int = 2 * 1024 * 1024 * 1024
    """With less free on the spool's disk no new recording begins; with a quarter of it left running ones end."""
    reserve_share: float = 0.05
    """As `reserve_bytes`, as a share of the disk; the larger of both counts."""
    spool_bytes: int = 0
    """Cap of journals and files that are being made; 0: none. From nine tenths of it on no new recording begins."""


class RecorderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the recorder process is told, as one line of JSON on its standard input."""

    data: str
    """The data folder."""
    recorder: RecorderSettings = RecorderSettings()
    database: DatabaseSettings = DatabaseSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
