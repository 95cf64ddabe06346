# Generated from the schema beside it.
# ruff: noqa
# fmt: off
# mypy: disable-error-code="misc, type-arg"
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
DT_BFLOAT16: DataType
DT_BFLOAT16_REF: DataType
DT_BOOL: DataType
DT_BOOL_REF: DataType
DT_COMPLEX128: DataType
DT_COMPLEX128_REF: DataType
DT_COMPLEX64: DataType
DT_COMPLEX64_REF: DataType
DT_DOUBLE: DataType
DT_DOUBLE_REF: DataType
DT_FLOAT: DataType
DT_FLOAT4_E2M1FN: DataType
DT_FLOAT4_E2M1FN_REF: DataType
DT_FLOAT8_E4M3B11FNUZ: DataType
DT_FLOAT8_E4M3B11FNUZ_REF: DataType
DT_FLOAT8_E4M3FN: DataType
DT_FLOAT8_E4M3FNUZ: DataType
DT_FLOAT8_E4M3FNUZ_REF: DataType
DT_FLOAT8_E4M3FN_REF: DataType
DT_FLOAT8_E5M2: DataType
DT_FLOAT8_E5M2FNUZ: DataType
DT_FLOAT8_E5M2FNUZ_REF: DataType
DT_FLOAT8_E5M2_REF: DataType
DT_FLOAT_REF: DataType
DT_HALF: DataType
DT_HALF_REF: DataType
DT_INT16: DataType
DT_INT16_REF: DataType
DT_INT2: DataType
DT_INT2_REF: DataType
DT_INT32: DataType
DT_INT32_REF: DataType
DT_INT4: DataType
DT_INT4_REF: DataType
DT_INT64: DataType
DT_INT64_REF: DataType
DT_INT8: DataType
DT_INT8_REF: DataType
DT_INVALID: DataType
DT_QINT16: DataType
DT_QINT16_REF: DataType
DT_QINT32: DataType
DT_QINT32_REF: DataType
DT_QINT8: DataType
DT_QINT8_REF: DataType
DT_QUINT16: DataType
DT_QUINT16_REF: DataType
DT_QUINT8: DataType
DT_QUINT8_REF: DataType
DT_RESOURCE: DataType
DT_RESOURCE_REF: DataType
DT_STRING: DataType
DT_STRING_REF: DataType
DT_UINT16: DataType
DT_UINT16_REF: DataType
DT_UINT2: DataType
DT_UINT2_REF: DataType
DT_UINT32: DataType
DT_UINT32_REF: DataType
DT_UINT4: DataType
DT_UINT4_REF: DataType
DT_UINT64: DataType
DT_UINT64_REF: DataType
DT_UINT8: DataType
DT_UINT8_REF: DataType
DT_VARIANT: DataType
DT_VARIANT_REF: DataType

class AssetFile(_message.Message):
    __slots__ = ["filename"]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    filename: str
    def __init__(self, filename: _Optional[str] = ...) -> None: ...

class Collection(_message.Message):
    __slots__ = ["bytes_list", "node_list"]
    class BytesList(_message.Message):
        __slots__ = ["value"]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        value: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, value: _Optional[_Iterable[bytes]] = ...) -> None: ...
    class NodeList(_message.Message):
        __slots__ = ["value"]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        value: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, value: _Optional[_Iterable[str]] = ...) -> None: ...
    BYTES_LIST_FIELD_NUMBER: _ClassVar[int]
    NODE_LIST_FIELD_NUMBER: _ClassVar[int]
    bytes_list: Collection.BytesList
    node_list: Collection.NodeList
    def __init__(self, node_list: _Optional[_Union[Collection.NodeList, _Mapping]] = ..., bytes_list: _Optional[_Union[Collection.BytesList, _Mapping]] = ...) -> None: ...

class CollectionEntry(_message.Message):
    __slots__ = ["key", "value"]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: Collection
    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Collection, _Mapping]] = ...) -> None: ...

class MetaGraph(_message.Message):
    __slots__ = ["asset_file_def", "collection_def", "meta_info_def", "object_graph_def", "signature_def"]
    class CollectionDefEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Collection
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Collection, _Mapping]] = ...) -> None: ...
    class SignatureDefEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Signature
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Signature, _Mapping]] = ...) -> None: ...
    ASSET_FILE_DEF_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_DEF_FIELD_NUMBER: _ClassVar[int]
    META_INFO_DEF_FIELD_NUMBER: _ClassVar[int]
    OBJECT_GRAPH_DEF_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_DEF_FIELD_NUMBER: _ClassVar[int]
    asset_file_def: _containers.RepeatedCompositeFieldContainer[AssetFile]
    collection_def: _containers.MessageMap[str, Collection]
    meta_info_def: MetaInfo
    object_graph_def: SavedObjectGraph
    signature_def: _containers.MessageMap[str, Signature]
    def __init__(self, meta_info_def: _Optional[_Union[MetaInfo, _Mapping]] = ..., collection_def: _Optional[_Mapping[str, Collection]] = ..., signature_def: _Optional[_Mapping[str, Signature]] = ..., asset_file_def: _Optional[_Iterable[_Union[AssetFile, _Mapping]]] = ..., object_graph_def: _Optional[_Union[SavedObjectGraph, _Mapping]] = ...) -> None: ...

class MetaInfo(_message.Message):
    __slots__ = ["tags", "tensorflow_version"]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    TENSORFLOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedScalarFieldContainer[str]
    tensorflow_version: str
    def __init__(self, tags: _Optional[_Iterable[str]] = ..., tensorflow_version: _Optional[str] = ...) -> None: ...

class SavedModel(_message.Message):
    __slots__ = ["meta_graphs", "saved_model_schema_version"]
    META_GRAPHS_FIELD_NUMBER: _ClassVar[int]
    SAVED_MODEL_SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    meta_graphs: _containers.RepeatedCompositeFieldContainer[MetaGraph]
    saved_model_schema_version: int
    def __init__(self, saved_model_schema_version: _Optional[int] = ..., meta_graphs: _Optional[_Iterable[_Union[MetaGraph, _Mapping]]] = ...) -> None: ...

class SavedObjectGraph(_message.Message):
    __slots__ = ["nodes"]
    class Reference(_message.Message):
        __slots__ = ["local_name", "node_id"]
        LOCAL_NAME_FIELD_NUMBER: _ClassVar[int]
        NODE_ID_FIELD_NUMBER: _ClassVar[int]
        local_name: str
        node_id: int
        def __init__(self, node_id: _Optional[int] = ..., local_name: _Optional[str] = ...) -> None: ...
    class SavedObject(_message.Message):
        __slots__ = ["children", "slot_variables", "variable"]
        CHILDREN_FIELD_NUMBER: _ClassVar[int]
        SLOT_VARIABLES_FIELD_NUMBER: _ClassVar[int]
        VARIABLE_FIELD_NUMBER: _ClassVar[int]
        children: _containers.RepeatedCompositeFieldContainer[SavedObjectGraph.Reference]
        slot_variables: _containers.RepeatedCompositeFieldContainer[SavedObjectGraph.SlotVariable]
        variable: SavedObjectGraph.SavedVariable
        def __init__(self, children: _Optional[_Iterable[_Union[SavedObjectGraph.Reference, _Mapping]]] = ..., slot_variables: _Optional[_Iterable[_Union[SavedObjectGraph.SlotVariable, _Mapping]]] = ..., variable: _Optional[_Union[SavedObjectGraph.SavedVariable, _Mapping]] = ...) -> None: ...
    class SavedVariable(_message.Message):
        __slots__ = ["name", "trainable"]
        NAME_FIELD_NUMBER: _ClassVar[int]
        TRAINABLE_FIELD_NUMBER: _ClassVar[int]
        name: str
        trainable: bool
        def __init__(self, trainable: bool = ..., name: _Optional[str] = ...) -> None: ...
    class SlotVariable(_message.Message):
        __slots__ = ["original_variable_node_id", "slot_name", "slot_variable_node_id"]
        ORIGINAL_VARIABLE_NODE_ID_FIELD_NUMBER: _ClassVar[int]
        SLOT_NAME_FIELD_NUMBER: _ClassVar[int]
        SLOT_VARIABLE_NODE_ID_FIELD_NUMBER: _ClassVar[int]
        original_variable_node_id: int
        slot_name: str
        slot_variable_node_id: int
        def __init__(self, original_variable_node_id: _Optional[int] = ..., slot_name: _Optional[str] = ..., slot_variable_node_id: _Optional[int] = ...) -> None: ...
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[SavedObjectGraph.SavedObject]
    def __init__(self, nodes: _Optional[_Iterable[_Union[SavedObjectGraph.SavedObject, _Mapping]]] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ["inputs", "method_name", "outputs"]
    class InputsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: TensorInfo
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[TensorInfo, _Mapping]] = ...) -> None: ...
    class OutputsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: TensorInfo
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[TensorInfo, _Mapping]] = ...) -> None: ...
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    METHOD_NAME_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.MessageMap[str, TensorInfo]
    method_name: str
    outputs: _containers.MessageMap[str, TensorInfo]
    def __init__(self, inputs: _Optional[_Mapping[str, TensorInfo]] = ..., outputs: _Optional[_Mapping[str, TensorInfo]] = ..., method_name: _Optional[str] = ...) -> None: ...

class SignatureEntry(_message.Message):
    __slots__ = ["key", "value"]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: Signature
    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Signature, _Mapping]] = ...) -> None: ...

class TensorInfo(_message.Message):
    __slots__ = ["dtype", "name", "tensor_shape"]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENSOR_SHAPE_FIELD_NUMBER: _ClassVar[int]
    dtype: DataType
    name: str
    tensor_shape: TensorShape
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[_Union[DataType, str]] = ..., tensor_shape: _Optional[_Union[TensorShape, _Mapping]] = ...) -> None: ...

class TensorShape(_message.Message):
    __slots__ = ["dim", "unknown_rank"]
    class Dim(_message.Message):
        __slots__ = ["size"]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        size: int
        def __init__(self, size: _Optional[int] = ...) -> None: ...
    DIM_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_RANK_FIELD_NUMBER: _ClassVar[int]
    dim: _containers.RepeatedCompositeFieldContainer[TensorShape.Dim]
    unknown_rank: bool
    def __init__(self, dim: _Optional[_Iterable[_Union[TensorShape.Dim, _Mapping]]] = ..., unknown_rank: bool = ...) -> None: ...

class Variable(_message.Message):
    __slots__ = ["save_slice_info_def", "variable_name"]
    class SaveSlice(_message.Message):
        __slots__ = ["full_name"]
        FULL_NAME_FIELD_NUMBER: _ClassVar[int]
        full_name: str
        def __init__(self, full_name: _Optional[str] = ...) -> None: ...
    SAVE_SLICE_INFO_DEF_FIELD_NUMBER: _ClassVar[int]
    VARIABLE_NAME_FIELD_NUMBER: _ClassVar[int]
    save_slice_info_def: Variable.SaveSlice
    variable_name: str
    def __init__(self, variable_name: _Optional[str] = ..., save_slice_info_def: _Optional[_Union[Variable.SaveSlice, _Mapping]] = ...) -> None: ...

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
