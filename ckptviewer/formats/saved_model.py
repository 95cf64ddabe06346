"""SavedModels, of TensorFlow 1 and 2: a graph, and a tensor bundle with the variables' values.

Source of the layout: tensorflow/cc/saved_model/constants.h.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ckptviewer.checkpoint.checkpoint import CHUNK_BYTES, Checkpoint, Region
from ckptviewer.checkpoint.errors import COPY_SAVED_MODEL, CkptviewerError, PathNotFoundError
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.text import plural
from ckptviewer.checkpoint.variable import Variable
from ckptviewer.formats.registry import Confidence, Format, Match
from ckptviewer.formats.saved_model_meta import (
    ModelGraph,
    looks_like_saved_model,
    merged,
    read_fingerprint,
    read_model_graphs,
)
from ckptviewer.storage.byte_source import LocalFile

if TYPE_CHECKING:
    import numpy as np

MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
_SHOWN_ASSETS = 20


class SavedModelFormat(Format):
    """Directories of `tf.saved_model.save`, and TensorFlow Serving's directories of versions."""

    name = "saved-model"
    title = "TensorFlow SavedModel"

    def probe(self, path: Path) -> Match:
        """As Format.probe; `path` is the directory, or its `saved_model.pb`.

        Match.path is the directory; the file itself where it has another name.
        """
        try:
            file = _model_file(path)
            if file is None:
                reason = "there is no saved_model.pb"
                return Match(confidence=Confidence.NO, reason=reason, path=path)
            confidence, reason = _judge(file)
        except (CkptviewerError, ValueError) as error:
            return Match(confidence=Confidence.NO, reason=str(error), path=path)
        return Match(
            confidence=confidence,
            reason=reason,
            path=path if path.is_dir() else file.parent if file.name in MODEL_FILES else path,
        )

    def open(self, path: Path) -> SavedModelCheckpoint:
        """As Format.open; of a directory of versions the highest is opened."""
        file = _model_file(path)
        if file is None:
            raise PathNotFoundError(
                "there is no saved_model.pb in it",
                where=os.fspath(path),
                remedy="Open the directory that holds saved_model.pb.",
            )
        findings = []
        if path.is_dir() and file.parent != path:
            findings = _told_versions(path, file.parent.name)
        return _open(file, findings)


def versions_in(directory: Path) -> list[str]:
    """The names of the versions in one of Serving's directories, the highest first."""
    try:
        names = [name for name in os.listdir(directory) if name.isascii() and name.isdigit()]
    except OSError:
        return []
    names.sort(key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name), reverse=True)
    return [name for name in names if _own_model_file(directory / name) is not None]


def _own_model_file(directory: Path) -> Path | None:
    return next((f for name in MODEL_FILES if (f := directory / name).is_file()), None)


def _model_file(path: Path) -> Path | None:
    """The file that `path` means: itself, the one in it, or the one of its highest version."""
    try:
        if path.is_file():
            return path
        own = _own_model_file(path)
        if own is None and path.is_dir():
            versions = versions_in(path)
            own = _own_model_file(path / versions[0]) if versions else None
    except (OSError, ValueError):
        return None
    return own


def _judge(file: Path) -> tuple[Confidence, str]:
    source = LocalFile(file)
    try:
        start = source.read(0, min(source.size, 4096))
    finally:
        source.release()
    if looks_like_saved_model(start):
        return Confidence.CERTAIN, f"{file.name} begins as a SavedModel does"
    if file.name in MODEL_FILES:
        return Confidence.MAYBE, "its name is that of a SavedModel, its start is not"
    return Confidence.NO, "it does not begin as a SavedModel does"


def _open(file: Path, findings: list[Finding]) -> SavedModelCheckpoint:
    from ckptviewer.formats.tf_bundle import TensorBundleFormat

    directory = file.parent
    index = directory / "variables" / "variables.index"
    problem: CkptviewerError | None = None
    graphs: list[ModelGraph] = []
    try:
        graphs = _graphs_in(file)
    except CkptviewerError as error:
        problem = error
    model = merged(graphs)
    values: Checkpoint | None = None
    try:
        values = TensorBundleFormat().open(index)
    except PathNotFoundError:
        if problem is not None:
            raise problem from None
        findings.append(_no_values(directory, model))
    except CkptviewerError as error:
        if problem is not None:
            raise problem from error
        findings.append(_error("damaged-index", f"The variables cannot be listed: {error}"))
    if problem is not None:
        findings.append(
            _error(
                "damaged-saved-model",
                f"{file.name} cannot be read: {problem.what}; signatures and the variables' "
                "names are not known.",
            )
        )
    facts = _facts(graphs, directory, findings)
    variables: Sequence[Variable] = ()
    if values is not None:
        facts |= {label: text for label, text in values.facts.items() if label != "Kind"}
        findings += values.findings
        variables = _described(values, model)
    return SavedModelCheckpoint(
        file if file.name not in MODEL_FILES else directory,
        values,
        variables=variables,
        written_by=f"TensorFlow {model.tensorflow_version}" if model.tensorflow_version else None,
        findings=findings,
        facts=facts,
    )


def _graphs_in(file: Path) -> list[ModelGraph]:
    source = LocalFile(file)
    try:
        return read_model_graphs(source)
    finally:
        source.release()


def _described(values: Checkpoint, model: ModelGraph) -> Sequence[Variable]:
    """The variables of the bundle, with what the model knows better than the bundle."""
    if model.objects is not None:
        saved = [model.objects.variable(variable.key) for variable in values.variables]
        used = Counter(each.name for each in saved if each is not None)
        described = []
        for variable, known in zip(values.variables, saved, strict=True):
            if known is not None:
                variable = variable._replace(trainable=known.trainable)
                # What the model calls by one name, the bundle tells apart by where it stands.
                if known.name and used[known.name] == 1:
                    variable = variable._replace(name=known.name)
            described.append(variable)
        return described
    if model.all_variables is None and model.trainable is None:
        return values.variables
    from ckptviewer.checkpoint.roles import describe_by_name

    entries = [(each.key, each.dtype, each.shape) for each in values.variables]
    told = describe_by_name(
        entries,
        trainable=model.trainable,
        all_variables=model.all_variables,
        moving_averages=model.moving_averages,
    )
    return [
        each._replace(**about._asdict()) for each, about in zip(values.variables, told, strict=True)
    ]


def _facts(
    graphs: Sequence[ModelGraph], directory: Path, findings: list[Finding]
) -> dict[str, str]:
    """What to show of the model; adds findings for what is missing."""
    facts: dict[str, str] = {}
    if graphs:
        made_by_2 = any(graph.objects for graph in graphs)
        facts["Kind"] = f"SavedModel of TensorFlow {2 if made_by_2 else 1}"
        tags = [", ".join(graph.tags) or "none" for graph in graphs]
        facts["Tags"] = tags[0] if len(graphs) == 1 else "; ".join(tags)
        if len(graphs) > 1:
            facts["Meta graphs"] = str(len(graphs))
    for graph, tag in zip(graphs, (", ".join(graph.tags) for graph in graphs), strict=True):
        for name, text in graph.signatures.items():
            of = f" ({tag or 'no tags'})" if len(graphs) > 1 else ""
            facts[f"Signature {name}{of}"] = text
    assets = list(dict.fromkeys(asset for graph in graphs for asset in graph.assets))
    if assets:
        facts["Assets"] = _enumerated(assets)
        findings += _missing_assets(directory, assets)
    facts |= _fingerprint(directory, findings)
    return facts


def _enumerated(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_ASSETS
    return ", ".join(names[:_SHOWN_ASSETS]) + (f" and {more} more" if more > 0 else "")


def _missing_assets(directory: Path, assets: Sequence[str]) -> list[Finding]:
    try:
        there = set(os.listdir(directory / "assets"))
    except OSError:
        there = set()
    # A name with a separator is not looked for: nothing outside the model is our business.
    missing = [name for name in assets if os.path.basename(name) == name and name not in there]
    if not missing:
        return []
    return [
        Finding(
            code="missing-asset",
            severity=Severity.WARNING,
            message=f"Files are missing in assets/: {_enumerated(missing)}.",
            remedy="Copy them from where the model was saved; it cannot be loaded without.",
        )
    ]


def _fingerprint(directory: Path, findings: list[Finding]) -> Mapping[str, str]:
    file = directory / "fingerprint.pb"
    if not file.is_file():
        return {}
    try:
        source = LocalFile(file)
        try:
            found = read_fingerprint(source)
        finally:
            source.release()
    except CkptviewerError as error:
        findings.append(
            Finding(
                code="damaged-fingerprint",
                severity=Severity.WARNING,
                message=f"fingerprint.pb cannot be read: {error.what}.",
                remedy=COPY_SAVED_MODEL,
            )
        )
        return {}
    return {"Fingerprint": ", ".join(f"{label} {text}" for label, text in found.items())}


def _no_values(directory: Path, model: ModelGraph) -> Finding:
    """What to say of a model without `variables/variables.index`."""
    known = model.objects.variable_count if model.objects else len(model.all_variables or ())
    if known:
        return _error(
            "missing-variables",
            f"The model has {plural(known, 'variable')}, and "
            f"{os.path.join(directory.name, 'variables', 'variables.index')} is missing.",
        )
    return Finding(
        code="no-variables",
        severity=Severity.INFO,
        message="The model has no variables: what it knows are constants in its graph.",
    )


def _told_versions(directory: Path, taken: str) -> list[Finding]:
    others = [name for name in versions_in(directory) if name != taken]
    if not others:
        return []
    return [
        Finding(
            code="several-versions",
            severity=Severity.INFO,
            message=f"The directory has {len(others) + 1} versions: {taken} was opened, the "
            f"highest; also there: {_enumerated(others)}.",
            remedy="To see another one, open its directory.",
        )
    ]


def _error(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.ERROR, message=message, remedy=COPY_SAVED_MODEL)


class SavedModelCheckpoint(Checkpoint):
    """An open SavedModel.

    values: the tensor bundle that holds its variables; None where it has none.
    """

    def __init__(
        self,
        path: Path,
        values: Checkpoint | None,
        *,
        variables: Sequence[Variable],
        written_by: str | None,
        findings: Sequence[Finding],
        facts: Mapping[str, str],
    ) -> None:
        super().__init__(
            path=os.fspath(path),
            format_name=SavedModelFormat.name,
            variables=variables,
            written_by=written_by,
            findings=findings,
            facts=facts,
        )
        self.values = values

    def read(self, variable: Variable, region: Region | None = None) -> np.ndarray:
        return self._values_of(variable).read(variable, region)

    def chunks(self, variable: Variable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        return self._values_of(variable).chunks(variable, chunk_bytes)

    def unverified_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> tuple[Iterator[np.ndarray], Callable[[int], None]] | None:
        return self._values_of(variable).unverified_chunks(variable, chunk_bytes)

    def checksum(self, variable: Variable) -> int | None:
        """As the bundle's: the masked crc32c in its index."""
        return self._values_of(variable).checksum(variable)

    def in_order(self, variable: Variable) -> bool:
        return self._values_of(variable).in_order(variable)

    def stored_chunks(
        self, variable: Variable, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[memoryview] | None:
        return self._values_of(variable).stored_chunks(variable, chunk_bytes)

    def details(self, variable: Variable) -> dict[str, str]:
        return self._values_of(variable).details(variable)

    def release(self) -> None:
        if self.values is not None:
            self.values.release()

    def close(self) -> None:
        if self.values is not None:
            self.values.close()

    def _values_of(self, variable: Variable) -> Checkpoint:
        self[variable.key]  # raises for what is not in it
        assert self.values is not None  # it has a variable
        return self.values
