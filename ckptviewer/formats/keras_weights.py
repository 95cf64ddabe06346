"""Keras 3's files of weights: `.weights.h5`, and `.weights.json` with shards beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import CkptviewerError, DamagedFileError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import plural
from ckptviewer.formats.hdf5 import Contents, Hdf5File
from ckptviewer.formats.hdf5_checkpoint import Hdf5Checkpoint, Stored, variables_of
from ckptviewer.formats.keras_config import Layer, Optimizer, bounded_json
from ckptviewer.formats.keras_content import Content, content_of, looks_like_json_map
from ckptviewer.formats.keras_optimizers import INFERRED
from ckptviewer.formats.keras_paths import VARS, KerasPaths, natural_entries
from ckptviewer.formats.registry import Confidence, Format, Match
from ckptviewer.formats.shards import foreign_shard, lost_shard, twice
from ckptviewer.storage.byte_source import LocalFile

_SHARD_NAME = re.compile(r"(.+)_\d{5}\.weights\.h5")
_MAX_SHARDS = 10_000
_COPY = "Copy it from where the weights were saved."


class KerasWeightsFormat(Format):
    """Weights of Keras 3, by the layers' paths."""

    name = "keras-weights-h5"
    title = "Keras weights"

    def probe(self, path: Path) -> Match:
        confidence, reason = content_of(path, Content.WEIGHTS)
        if confidence is Confidence.NO:
            confidence, reason_of_map = looks_like_json_map(path)
            if confidence is not Confidence.NO:
                reason = reason_of_map
        else:
            path = _map_of_shard(path)
        return Match(confidence=confidence, reason=reason, path=path)

    def open(self, path: Path) -> Checkpoint:
        source = LocalFile(path)
        try:
            if source.read(0, min(1, source.size)) == b"{":
                return _open_map(path, bounded_json(source.read(0, source.size), str(path)))
            file = Hdf5File(source)
            return open_weights([file], [file.walk()], path=str(path), format_name=self.name)
        finally:
            source.release()


def _map_of_shard(path: Path) -> Path:
    """The map that lists `path` as its shard, where there is one beside it; else `path`."""
    match = _SHARD_NAME.fullmatch(path.name)
    if match is None:
        return path
    beside = path.with_name(f"{match[1]}.weights.json")
    try:
        found = looks_like_json_map(beside)[0] is not Confidence.NO
    except CkptviewerError:
        return path
    return beside if found else path


def open_weights(
    files: Sequence[Hdf5File],
    contents: Sequence[Contents],
    *,
    path: str,
    format_name: str,
    written_by: str | None = None,
    findings: Sequence[Finding] = (),
    facts: Mapping[str, str] | None = None,
    model: Layer | None = None,
    optimizer: Optimizer | None = None,
) -> Checkpoint:
    """The checkpoint that these HDF5 files of Keras 3's layout make; `contents` by file."""
    noted = list(findings)
    stored: dict[str, Stored] = {}
    names: dict[str, str] = {}
    for shard, (file, content) in enumerate(zip(files, contents, strict=True)):
        noted += content.findings
        with file.metadata.counting():
            found = _layer_names(file, content)
        for group, name in found.items():
            names[group] = name or names.get(group, "")  # later shards leave it out
        for key, dataset in content.datasets.items():
            if key in stored:
                one = os.path.basename(file.source.name)
                other = os.path.basename(files[stored[key].shard].source.name)
                noted.append(twice(key, one, other, "the latter's"))
            else:
                stored[key] = Stored(shard, dataset)
    entries = natural_entries(
        [(key, each.dataset.type.dtype, each.dataset.shape) for key, each in stored.items()]
    )
    described = KerasPaths(names, model, optimizer).describe(entries)
    variables = variables_of(files, stored, described, noted)
    about = dict(facts or {})
    if names.get(VARS):
        about.setdefault("Model", names[VARS])
    if names.get(f"optimizer/{VARS}"):
        about.setdefault("Optimizer", names[f"optimizer/{VARS}"])
    if any(variable.slot_of for variable in variables):
        about["Owners of slots"] = INFERRED
    about["Layers with weights"] = str(
        len({v.key.rpartition(f"{VARS}/")[0] for v in variables if v.in_model})
    )
    return Hdf5Checkpoint(
        files,
        stored,
        path=path,
        format_name=format_name,
        variables=variables,
        written_by=written_by,
        findings=noted,
        facts=about,
    )


def _layer_names(file: Hdf5File, content: Contents) -> dict[str, str]:
    """The `name` attribute of each `vars` group, "" where it has none."""
    names = {}
    for path, address in content.groups.items():
        if path == VARS or path.endswith(f"/{VARS}"):
            try:
                name = file.attributes(address).get("name")
            except DamagedFileError:
                name = None  # the values do not hang on it
            names[path] = name if isinstance(name, str) else ""
    return names


# Shards. Source: keras/src/saving/saving_lib.py, ShardedH5IOStore.


def _open_map(path: Path, config: Any) -> Checkpoint:
    weight_map = config.get("weight_map") if isinstance(config, dict) else None
    if not isinstance(weight_map, dict):
        raise DamagedFileError("it has no map of weights to shards", where=str(path))
    groups: dict[str, list[str]] = {}
    for group, names in weight_map.items():
        for name in names if isinstance(names, list) else [names]:
            groups.setdefault(_checked_name(name, path), []).append(group.strip("/"))
    if len(groups) > _MAX_SHARDS:
        raise DamagedFileError(f"it names {len(groups):,} shards", where=str(path))
    files: list[Hdf5File] = []
    contents: list[Contents] = []
    findings: list[Finding] = []
    for name, expected in sorted(groups.items()):
        try:
            file = Hdf5File(LocalFile(path.with_name(name)))
            found = file.walk()
            file.source.release()
        except CkptviewerError as error:
            layers = f"variables of {plural(len(expected), 'layer')}"
            findings.append(lost_shard(name, layers, sorted(expected), error, _COPY))
            continue
        files.append(file)
        contents.append(found)
        missing = [group for group in expected if group not in found.groups]
        if missing:
            findings.append(foreign_shard(name, missing, _COPY))
    if not findings:
        findings += _check_total(config, contents)
    facts = {"Shards": plural(len(groups), "file")}
    return open_weights(
        files,
        contents,
        path=str(path),
        format_name=KerasWeightsFormat.name,
        findings=findings,
        facts=facts,
    )


def _checked_name(name: Any, path: Path) -> str:
    """The name of a shard: a plain one, that leads nowhere else. Raises DamagedFileError."""
    if (
        isinstance(name, str)
        and re.fullmatch(r"[^/\\\0:]{1,255}", name)
        and name not in (".", "..")
    ):
        return name
    raise DamagedFileError(
        f"it names a shard {str(name)[:100]!r}, which is no plain file name",
        where=str(path),
        remedy="Shards lie beside the map; a name that leads elsewhere is not followed.",
    )


def _check_total(config: dict[str, Any], contents: Sequence[Contents]) -> list[Finding]:
    metadata = config.get("metadata")
    stated = metadata.get("total_size") if isinstance(metadata, dict) else None
    found = sum(each.dense_bytes for content in contents for each in content.datasets.values())
    if not isinstance(stated, (int, float)) or stated == found:
        return []
    return [
        Finding(
            code="foreign-shard",
            severity=Severity.ERROR,
            message=f"The shards hold {found:,} bytes of values, and the map states {stated:,.0f}; "
            "a shard may belong to another save.",
            remedy=_COPY,
        )
    ]
