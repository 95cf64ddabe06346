# Generated from the schema beside it.
# ruff: noqa
# fmt: off
# mypy: disable-error-code="misc, type-arg"
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Collection(_message.Message):
    __slots__ = ["bytes_list", "node_list"]
    class Messages(_message.Message):
        __slots__ = ["value"]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        value: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, value: _Optional[_Iterable[bytes]] = ...) -> None: ...
    class Names(_message.Message):
        __slots__ = ["value"]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        value: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, value: _Optional[_Iterable[str]] = ...) -> None: ...
    BYTES_LIST_FIELD_NUMBER: _ClassVar[int]
    NODE_LIST_FIELD_NUMBER: _ClassVar[int]
    bytes_list: Collection.Messages
    node_list: Collection.Names
    def __init__(self, node_list: _Optional[_Union[Collection.Names, _Mapping]] = ..., bytes_list: _Optional[_Union[Collection.Messages, _Mapping]] = ...) -> None: ...

class CollectionEntry(_message.Message):
    __slots__ = ["key", "value"]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: Collection
    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Collection, _Mapping]] = ...) -> None: ...

class MetaInfo(_message.Message):
    __slots__ = ["tags", "tensorflow_version"]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    TENSORFLOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedScalarFieldContainer[str]
    tensorflow_version: str
    def __init__(self, tags: _Optional[_Iterable[str]] = ..., tensorflow_version: _Optional[str] = ...) -> None: ...

class SaveSlice(_message.Message):
    __slots__ = ["full_name"]
    FULL_NAME_FIELD_NUMBER: _ClassVar[int]
    full_name: str
    def __init__(self, full_name: _Optional[str] = ...) -> None: ...

class VariableDef(_message.Message):
    __slots__ = ["save_slice_info_def", "variable_name"]
    SAVE_SLICE_INFO_DEF_FIELD_NUMBER: _ClassVar[int]
    VARIABLE_NAME_FIELD_NUMBER: _ClassVar[int]
    save_slice_info_def: SaveSlice
    variable_name: str
    def __init__(self, variable_name: _Optional[str] = ..., save_slice_info_def: _Optional[_Union[SaveSlice, _Mapping]] = ...) -> None: ...
