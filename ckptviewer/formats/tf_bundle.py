"""TensorFlow's V2 checkpoints (tensor bundles): an index, and data files beside it."""

from __future__ import annotations

import os
from pathlib import Path

from ckptviewer.checkpoint.errors import CkptviewerError, PathNotFoundError
from ckptviewer.formats.bundle_checkpoint import FORMAT_NAME, BundleCheckpoint
from ckptviewer.formats.registry import Confidence, Format, Match
from ckptviewer.formats.sstable import Table, is_table
from ckptviewer.storage.byte_source import ByteSource, LocalFile, at_hand

_FEW_BYTES = 16 << 10


class TensorBundleFormat(Format):
    """V2 tensor bundles, as `tf.train.Saver` and `tf.train.Checkpoint` write them."""

    name = FORMAT_NAME
    title = "TensorFlow checkpoint, V2"

    def probe(self, path: Path) -> Match:
        """As Format.probe; Match.path is the index file, which names the bundle without doubt."""
        for suffix in ("", ".index"):
            candidate = Path(f"{path}{suffix}") if suffix else path
            try:
                source = LocalFile(candidate)
            except (PathNotFoundError, OSError):
                continue
            try:
                confidence, reason = _judge(at_hand(source, _FEW_BYTES))
            except CkptviewerError as error:
                confidence, reason = Confidence.MAYBE, error.what
            finally:
                source.release()
            if confidence:
                return Match(confidence=confidence, reason=reason, path=candidate)
        return Match(confidence=Confidence.NO, reason="there is no bundle's index", path=path)

    def open(self, path: Path) -> BundleCheckpoint:
        """As Format.open; `path` is the index file or the prefix."""
        from ckptviewer.formats.bundle_opening import open_bundle

        text = os.fspath(path)
        if not text.endswith(".index") or not os.path.isfile(text):
            text += ".index"
        return open_bundle(text)


def _judge(source: ByteSource) -> tuple[Confidence, str]:
    if not is_table(source):
        if source.name.endswith(".index"):
            return Confidence.MAYBE, "its name is that of an index, its end is not a table's"
        return Confidence.NO, "it is not a table"
    key, value = Table(source).first() or (b"-", b"")
    # A bundle's header begins with its number of shards (08), a V1 file's with a message (0a).
    if key == b"" and value[:1] != b"\x0a":
        return Confidence.CERTAIN, "a table whose first record is a bundle's header"
    return Confidence.NO, "a table, but not a bundle's"
