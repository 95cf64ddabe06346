"""Checkpoints in several safetensors files, and the map that says which tensor is in which.

Source of the format: huggingface_hub's and transformers' sharded checkpoints. The map is
`model.safetensors.index.json` with `weight_map`, name of tensor to name of file, and the files are
`model-00001-of-00002.safetensors` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.errors import CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.findings import Finding
from ckptviewer.checkpoint.roles import describe_by_name
from ckptviewer.checkpoint.text import natural_sorted, plural
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.keras_config import bounded_json
from ckptviewer.formats.safetensors import SafetensorsCheckpoint, SafetensorsFormat, open_file
from ckptviewer.formats.shards import foreign_shard, lost_shard, twice
from ckptviewer.storage.byte_source import LocalFile

if TYPE_CHECKING:
    import numpy as np

MAP_SUFFIX = ".safetensors.index.json"
_SHARD_NAME = re.compile(r"(.+)-\d{5}-of-\d{5}\.safetensors", re.DOTALL)
_MAX_SHARDS = 1000
_HEAD_BYTES = 4096
_COPY = "Copy it from where the tensors were saved."


def is_map(source: LocalFile) -> bool:
    """Whether the file is a map of tensors to safetensors files. Raises as reading does."""
    head = source.read(0, min(_HEAD_BYTES, source.size)).lstrip()
    known = b'"weight_map"' in head or source.name.endswith(MAP_SUFFIX)
    return head.startswith(b"{") and known and b".safetensors" in head and b"\0" not in head


def map_of_shard(path: Path) -> Path:
    """The map beside `path` that its name belongs to, where there is one; else `path`."""
    match = _SHARD_NAME.fullmatch(path.name)
    if match is None:
        return path
    beside = path.with_name(match[1] + MAP_SUFFIX)
    try:
        source = LocalFile(beside)
        try:
            return beside if is_map(source) and path.name in _read_map(source, beside) else path
        finally:
            source.release()
    except (CkptviewerError, ValueError):
        return path


def open_map(source: LocalFile, path: Path) -> ShardedSafetensors:
    """All tensors of the files that the map at `path` names; lost files become findings.

    Raises DamagedFileError where it is no map, or none of its files can be read.
    """
    groups = _read_map(source, path)
    findings: list[Finding] = []
    shards: dict[str, SafetensorsCheckpoint] = {}
    lost: CkptviewerError | None = None
    for name, expected in sorted(groups.items()):
        try:
            shards[name] = _open_shard(path.with_name(name))
        except CkptviewerError as error:
            lost = error
            lost_ones = plural(len(expected), "variable")
            findings.append(lost_shard(name, lost_ones, expected, error, _COPY))
            continue
        findings += shards[name].findings
        missing = [key for key in expected if key not in shards[name].by_key]
        if missing:
            findings.append(foreign_shard(name, missing, _COPY))
    if lost is not None and not shards:
        raise DamagedFileError(
            f"none of the {plural(len(groups), 'file')} that it names can be read; "
            f"of the last: {lost.what}",
            where=str(path),
            remedy=_COPY,
        ) from lost
    mapped = {key: name for name, keys in groups.items() for key in keys}
    owners: dict[str, str] = {}
    for name, shard in shards.items():
        for variable in shard.variables:
            owner = owners.setdefault(variable.key, name)
            if owner != name:
                owners[variable.key] = name if mapped.get(variable.key) == name else owner
                which = f"that of {owners[variable.key]}"
                findings.append(twice(variable.key, owner, name, which))
    return ShardedSafetensors(path, shards, owners, findings, len(groups))


class ShardedSafetensors(Checkpoint):
    """Several safetensors files that are one checkpoint."""

    def __init__(
        self,
        path: Path,
        shards: Mapping[str, SafetensorsCheckpoint],
        owners: Mapping[str, str],
        findings: Sequence[Finding],
        count: int,
    ) -> None:
        """
        shards: those that could be opened, by name. owners: name of the shard by the tensor's key.
        count: of files that the map names.
        """
        self._shards = shards
        self._owners = owners
        super().__init__(
            path=str(path),
            format_name=SafetensorsFormat.name,
            variables=_variables(shards, owners),
            findings=findings,
            facts={"Shards": plural(count, "file")} | _facts(shards),
        )

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        return self._shard(variable).read(variable, region)

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        yield from self._shard(variable).chunks(variable, chunk_bytes)

    def details(self, variable: Variable) -> dict[str, str]:
        shard = self._shard(variable)
        return {"File": self._owners[variable.key]} | shard.details(variable)

    def release(self) -> None:
        for shard in self._shards.values():
            shard.release()

    def _shard(self, variable: Variable) -> SafetensorsCheckpoint:
        return self._shards[self._owners[self[variable.key].key]]


def _variables(
    shards: Mapping[str, SafetensorsCheckpoint], owners: Mapping[str, str]
) -> list[Variable]:
    """All variables in natural order; slots may have their owners in other files."""
    number = {name: index for index, name in enumerate(shards)}
    keys = natural_sorted(list(owners), key=str)
    found = [shards[owners[key]].by_key[key] for key in keys]
    described = describe_by_name([(each.key, each.dtype, each.shape) for each in found])
    return [
        each._replace(shard=number[owners[each.key]], **about._asdict())
        for each, about in zip(found, described, strict=True)
    ]


def _facts(shards: Mapping[str, SafetensorsCheckpoint]) -> dict[str, str]:
    """What the files' metadata say, those of the first file that says it."""
    facts: dict[str, str] = {}
    for shard in shards.values():
        for label, text in shard.facts.items():
            if label.startswith("Metadata"):
                facts.setdefault(label, text)
    return facts


def _open_shard(path: Path) -> SafetensorsCheckpoint:
    source = LocalFile(path)
    try:
        return open_file(source)
    finally:
        source.release()


def _read_map(source: LocalFile, path: Path) -> dict[str, list[str]]:
    """Keys of tensors by the name of the file that has them. Raises DamagedFileError."""
    config: Any = bounded_json(source.read(0, source.size), str(path))
    weight_map = config.get("weight_map") if isinstance(config, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise DamagedFileError("it has no map of tensors to files", where=str(path), remedy=_COPY)
    stem = path.name.removesuffix(MAP_SUFFIX)
    groups: dict[str, list[str]] = {}
    for key, name in weight_map.items():
        match = _SHARD_NAME.fullmatch(name) if isinstance(name, str) else None
        if match is None or match[1] != stem:
            raise DamagedFileError(
                f"it names a file {str(name)[:100]!r}, which is no shard beside it",
                where=str(path),
                remedy=f"Shards are called {stem}-00001-of-00002.safetensors and the like; "
                "other names are not followed.",
            )
        groups.setdefault(name, []).append(key)
    if len(groups) > _MAX_SHARDS:
        raise DamagedFileError(f"it names {len(groups):,} files", where=str(path))
    return groups
