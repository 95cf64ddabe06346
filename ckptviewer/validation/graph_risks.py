"""Operations in a TensorFlow graph that reach beyond it, found by their names.

Source of the structure: tensorflow/core/protobuf/meta_graph.proto, tensorflow/core/framework
graph.proto, node_def.proto, function.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

from ckptviewer.checkpoint.errors import DamagedFileError
from ckptviewer.checkpoint.progress import CancelToken
from ckptviewer.formats.saved_model_text import looks_like_text
from ckptviewer.formats.wire import Span, spans
from ckptviewer.storage.byte_source import ByteSource, LocalFile
from ckptviewer.validation.graph_text import operations_in_text
from ckptviewer.validation.protocol import ModelKind
from ckptviewer.validation.risks import Level, Risk, gathered

_META_GRAPHS = 2  # of a SavedModel
_GRAPH = 2  # of a MetaGraphDef
_NODE, _LIBRARY = 1, 2  # of a GraphDef
_FUNCTION, _FUNCTION_NODE = 1, 3  # of a library, and of a function in it
_NODE_NAME, _NODE_OP = 1, 2
_LONGEST_NAME = 1 << 12

_PYTHON = "Python functions of the process are called by {count}"
_READS = "Files are read by {count}"
_WRITES = "Files are written by {count}"
_NETWORK = "The network is used by {count}"
_CHECKPOINTS = "Checkpoint files are read or written by {count}, as in every saved model"
_TABLES = "Tables are filled from asset files by {count}"
_FOREIGN = "Code of another engine runs in {count}"


def _table(code: str, level: Level, message: str, names: str) -> dict[str, tuple[str, Level, str]]:
    return dict.fromkeys(names.split(), (code, level, f"{message}."))


RISKY = {
    **_table("calls-python", Level.CODE, _PYTHON, "PyFunc PyFuncStateless EagerPyFunc"),
    **_table(
        "reads-files",
        Level.FILES,
        _READS,
        "ReadFile MatchingFiles WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 "
        "TFRecordReader TFRecordReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2 "
        "LMDBReader IdentityReader TextLineDataset TFRecordDataset TFRecordDatasetV2 "
        "FixedLengthRecordDataset FixedLengthRecordDatasetV2 MatchingFilesDataset LMDBDataset "
        "SqlDataset CSVDataset CSVDatasetV2 LoadDataset ImmutableConst LoadAndRemapMatrix "
        "GenerateVocabRemapping DecodeProtoV2 EncodeProto RiscRead",
    ),
    **_table(
        "writes-files",
        Level.FILES,
        _WRITES,
        "WriteFile SaveDataset SaveDatasetV2 SnapshotDataset SnapshotDatasetV2 CacheDataset "
        "CacheDatasetV2 CreateSummaryFileWriter CreateSummaryDbWriter WriteSummary "
        "WriteRawProtoSummary ImportEvent FileSystemSetConfiguration",
    ),
    **_table(
        "uses-network",
        Level.FILES,
        _NETWORK,
        "DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 "
        "RegisterDataset RegisterDatasetV2 RpcServer RpcClient RpcCall BigQueryReader "
        "DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary",
    ),
    **_table(
        "runs-foreign-code",
        Level.FILES,
        _FOREIGN,
        "TRTEngineOp XlaLaunch XlaLaunchV2 TfLiteOp RemoteFusedGraphExecute TPUExecute",
    ),
    **_table(
        "checkpoint-files",
        Level.USUAL,
        _CHECKPOINTS,
        "Save SaveSlices SaveV2 Restore RestoreSlice RestoreV2 MergeV2Checkpoints",
    ),
    **_table(
        "asset-tables",
        Level.USUAL,
        _TABLES,
        "InitializeTableFromTextFile InitializeTableFromTextFileV2 InitializeTableFromDataset",
    ),
}
"""Operation -> code, level and message. Names of custom operations are not among them."""


def graph_risks(path: str, kind: ModelKind, cancel: CancelToken) -> list[Risk]:
    """What the graph in a SavedModel or `.meta` file would do beyond computing.

    Raises DamagedFileError, UnreadableFileError, Cancelled.
    """
    found: dict[tuple[str, Level, str], list[str]] = {}
    source = LocalFile(path)
    try:
        for operation, name in _operations(source, kind, cancel):
            found.setdefault(RISKY[operation], []).append(
                f"{operation} ({name})" if name else operation
            )
    finally:
        source.release()
    return gathered(found)


def _operations(
    source: ByteSource, kind: ModelKind, cancel: CancelToken
) -> Iterator[tuple[str, str]]:
    """The risky operations, each with its node's name.

    What begins as text may be binary all the same, and then TensorFlow reads that: it is looked at
    both ways.
    """
    start = source.read(0, min(source.size, 4096))
    is_text = source.name.endswith(".pbtxt") or looks_like_text(start) or _is_meta_text(start)
    if is_text:
        for operation in operations_in_text(source, cancel):
            if operation in RISKY:
                yield operation, ""
    try:
        yield from _in_binary(source, kind, cancel)
    except DamagedFileError:
        if not is_text:
            raise


def _in_binary(
    source: ByteSource, kind: ModelKind, cancel: CancelToken
) -> Iterator[tuple[str, str]]:
    graphs = [Span(_META_GRAPHS, 0, source.size)]
    if kind is ModelKind.SAVED_MODEL:
        graphs = [each for each in spans(source, 0, source.size) if each.number == _META_GRAPHS]
    for meta in graphs:
        for graph in spans(source, meta.start, meta.stop):
            if graph.number == _GRAPH:
                for node in _nodes(source, graph):
                    cancel.raise_if_cancelled()
                    yield from _risky(source, node)


def _nodes(source: ByteSource, graph: Span) -> Iterator[Span]:
    """All nodes of a graph, and of the functions in its library."""
    for part in spans(source, graph.start, graph.stop):
        if part.number == _NODE:
            yield part
        elif part.number == _LIBRARY:
            for function in spans(source, part.start, part.stop):
                if function.number == _FUNCTION:
                    for node in spans(source, function.start, function.stop):
                        if node.number == _FUNCTION_NODE:
                            yield node


def _risky(source: ByteSource, node: Span) -> Iterator[tuple[str, str]]:
    """The node's operation, where it is risky: of several the last counts, as to protobuf."""
    name = operation = ""
    for part in spans(source, node.start, node.stop):
        if part.number in (_NODE_NAME, _NODE_OP):
            text = source.read(part.start, min(part.stop - part.start, _LONGEST_NAME))
            if part.number == _NODE_NAME:
                name = text.decode("utf-8", "replace")
            else:
                operation = text.decode("utf-8", "replace")
    if operation in RISKY:
        yield operation, name


def _is_meta_text(start: bytes) -> bool:
    """Whether a `.meta` file with this start was written as text."""
    words = (b"meta_info_def", b"graph_def", b"saver_def", b"collection_def")
    return start.lstrip().startswith(words)
