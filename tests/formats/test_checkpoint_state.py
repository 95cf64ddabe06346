"""The file named `checkpoint`: read and written as TensorFlow does, and safe against any bytes."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    DamagedFileError,
    PathNotFoundError,
    UnreadableFileError,
)
from ckptviewer.formats.checkpoint_state import (
    LARGEST_BYTES,
    CheckpointState,
    locate_latest,
    looks_like_checkpoint_state,
    parse_checkpoint_state,
    read_checkpoint_state,
    render_checkpoint_state,
)

NAMES = [
    "model.ckpt-1",
    "/absolute/path/model.ckpt-1",
    "with space and 'quotes' \"both\"",
    "back\\slash",
    "Modèle-é-模型-😀",
    "line\nbreak\tand\rcontrol\x01\x7f",
    "{epoch:02d}",
    "# no comment",
    "-1",
]


def oracle(text: str) -> Any:
    """What protobuf and TensorFlow's own schema make of `text`; None where they refuse it."""
    from google.protobuf import text_format
    from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState as Message

    try:
        return text_format.Parse(text, Message())
    except text_format.ParseError:
        return None


def assert_same(state: CheckpointState, message: Any) -> None:
    assert state.model_checkpoint_path == message.model_checkpoint_path
    assert list(state.all_model_checkpoint_paths) == list(message.all_model_checkpoint_paths)
    ours = [*state.all_model_checkpoint_timestamps, state.last_preserved_timestamp or 0.0]
    theirs = [*message.all_model_checkpoint_timestamps, message.last_preserved_timestamp]
    assert repr(ours) == repr(theirs)


class TestAgainstTensorFlow:
    @pytest.mark.parametrize("name", NAMES)
    def test_reads_what_tensorflow_wrote_and_writes_the_same(
        self, tmp_path: Path, name: str
    ) -> None:
        from tensorflow.python.checkpoint import checkpoint_management

        checkpoint_management.update_checkpoint_state_internal(
            str(tmp_path),
            name,
            all_model_checkpoint_paths=["other-0", name],
            all_model_checkpoint_timestamps=[1700000000.123456, 1e20],
            last_preserved_timestamp=1699999999.5,
        )
        written = tmp_path / "checkpoint"
        state = read_checkpoint_state(written)
        assert state == CheckpointState(
            model_checkpoint_path=name,
            all_model_checkpoint_paths=("other-0", name),
            all_model_checkpoint_timestamps=(1700000000.123456, 1e20),
            last_preserved_timestamp=1699999999.5,
        )
        assert render_checkpoint_state(state).encode() == written.read_bytes()

    def test_reads_what_a_checkpoint_manager_keeps(self, tmp_path: Path) -> None:
        import tensorflow as tf

        checkpoint = tf.train.Checkpoint(v=tf.Variable(1.0))
        manager = tf.train.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=2)
        for _ in range(3):
            manager.save()
        state = read_checkpoint_state(tmp_path / "checkpoint")
        assert state.model_checkpoint_path == "ckpt-3"
        assert state.all_model_checkpoint_paths == ("ckpt-2", "ckpt-3")
        assert len(state.all_model_checkpoint_timestamps) == 2
        assert state.last_preserved_timestamp is not None
        written = (tmp_path / "checkpoint").read_text()
        assert render_checkpoint_state(state) == written
        assert locate_latest(state, tmp_path) == (tmp_path / "ckpt-3", False)

    def test_what_we_write_tensorflow_reads(self, tmp_path: Path) -> None:
        import tensorflow as tf

        state = CheckpointState(
            model_checkpoint_path=NAMES[4], all_model_checkpoint_paths=tuple(NAMES)
        )
        (tmp_path / "checkpoint").write_text(render_checkpoint_state(state), encoding="utf-8")
        theirs = tf.train.get_checkpoint_state(str(tmp_path))
        assert theirs is not None
        assert theirs.model_checkpoint_path == str(tmp_path / NAMES[4])

    def test_the_corpus(self, corpus: Path) -> None:
        files = sorted(corpus.rglob("checkpoint"))
        assert len(files) == 3
        for file in files:
            state = read_checkpoint_state(file)
            assert_same(state, oracle(file.read_text()))
            located, stale = locate_latest(state, file.parent)
            assert located is not None
            assert not stale

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "# only a comment",
            'model_checkpoint_path: "a" "b"  # joined',
            "model_checkpoint_path: 'single \\'quoted\\' \\x41\\101\\u00e9\\U0001F600'",
            "all_model_checkpoint_paths: ['a', \"b\"]; last_preserved_timestamp: 1,",
            "all_model_checkpoint_paths: []",
            "all_model_checkpoint_timestamps:[1,2.5f,-3,inf,-inf,nan,Infinity,1e3,.5,5.,1E+2,2e-3]",
            'model_checkpoint_path:\n\n  "far away"\r\n',
            'model_checkpoint_path: "\\a\\b\\f\\v"',
            'model_checkpoint_path: "tab\there"',
        ],
    )
    def test_the_text_format_with_all_its_ways(self, text: str) -> None:
        message = oracle(text)
        assert message is not None
        assert_same(parse_checkpoint_state(text.encode()), message)

    @given(
        st.lists(
            st.sampled_from(
                [
                    "model_checkpoint_path",
                    "all_model_checkpoint_paths",
                    "all_model_checkpoint_timestamps",
                    "last_preserved_timestamp",
                    "unknown",
                    *":[],;",
                    *('"a"', "'b'", '"\\303\\251"', '"\\\\"', '"', "'"),
                    *("1", "-2.5", "1e5", "inf", "nan", "3f", "07", "0x1", "--1", "- 1", "1.2.3"),
                    *("# c\n", "\n", " ", "{", "}", "é", "<", ">", "\\"),
                ]
            ),
            max_size=12,
        ).map(" ".join)
    )
    @settings(deadline=None)
    def test_what_protobuf_accepts_is_read_alike(self, text: str) -> None:
        message = oracle(text)
        try:
            state = parse_checkpoint_state(text.encode())
        except DamagedFileError:
            assert message is None
        else:
            if message is not None:
                assert_same(state, message)


class TestAnyBytes:
    @given(st.binary() | st.text().map(str.encode))
    @example(b'model_checkpoint_path: "\\')
    @example(b"model_checkpoint_path: [")
    @example(b'model_checkpoint_path: "\\U00110000"')
    @example(b"all_model_checkpoint_timestamps: " + b"9" * 5000)
    @settings(deadline=None)
    def test_only_our_errors_escape(self, data: bytes) -> None:
        refused = None
        try:
            state = parse_checkpoint_state(data)
        except CkptviewerError as error:
            refused = error
        if refused:
            assert refused.what.startswith("line ")
            assert refused.where
            assert refused.remedy
        else:
            assert parse_checkpoint_state(
                render_checkpoint_state(state).encode("utf-8", "surrogateescape")
            ).all_model_checkpoint_paths == (state.all_model_checkpoint_paths)

    @given(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
        st.lists(st.floats(allow_nan=False), max_size=3),
        st.none() | st.floats(allow_nan=False),
    )
    @settings(deadline=None)
    def test_what_is_rendered_is_read_back(
        self, path: str, paths: list[str], times: list[float], preserved: float | None
    ) -> None:
        state = CheckpointState(
            model_checkpoint_path=path,
            all_model_checkpoint_paths=tuple(paths),
            all_model_checkpoint_timestamps=tuple(times),
            last_preserved_timestamp=preserved,
        )
        text = render_checkpoint_state(state)
        assert parse_checkpoint_state(text.encode()) == state
        assert_same(state, oracle(text))

    def test_a_name_that_is_not_utf8_survives(self) -> None:
        name = os.fsdecode(b"caf\xe9-1")
        state = CheckpointState(model_checkpoint_path=name)
        text = render_checkpoint_state(state)
        assert text == 'model_checkpoint_path: "caf\\351-1"\n'
        assert parse_checkpoint_state(text.encode()) == state

    @pytest.mark.parametrize(
        ("text", "line", "what"),
        [
            ('model_checkpoint_path "a"', 1, "a colon is expected behind model_checkpoint_path"),
            ('\n\n"a"', 3, "a field's name is expected here"),
            ('model_checkpoint_path: "a\nb"', 1, "a text is not closed"),
            ('# c\nmodel_checkpoint_path: "a" }', 2, "it is not text of this kind"),
            ("model_checkpoint_path:\n", 2, "a text or a number is expected here"),
            ("last_preserved_timestamp: 0x12", 1, "'0x12' is not a number"),
            ('all_model_checkpoint_paths: ["a" 1]', 1, "a list is not closed"),
            ('model_checkpoint_path: "\\777"', 1, "an escape in a text stands for no byte"),
            ('model_checkpoint_path: "\\ud800"', 1, "an escape in a text stands for no character"),
            ("model_checkpoint_path: { }", 1, "it is not text of this kind"),
        ],
    )
    def test_an_error_names_the_line(self, tmp_path: Path, text: str, line: int, what: str) -> None:
        file = tmp_path / "checkpoint"
        file.write_text(text)
        with pytest.raises(DamagedFileError) as caught:
            read_checkpoint_state(file)
        assert caught.value.what == f"line {line}: {what}"
        assert caught.value.where == str(file)
        assert "`.index`" in caught.value.remedy

    def test_an_unknown_escape_stays_as_it_is(self) -> None:
        state = parse_checkpoint_state(rb'model_checkpoint_path: "a\?\q\\"')
        assert state.model_checkpoint_path == r"a?\q" + "\\"

    def test_a_byte_order_mark_and_unknown_fields_do_no_harm(self) -> None:
        data = b'\xef\xbb\xbfmodel_checkpoint_path: "a"\nnewer_field: 7\nnewer_text: "x"'
        assert parse_checkpoint_state(data).model_checkpoint_path == "a"

    def test_100_000_checkpoints(self) -> None:
        state = CheckpointState(all_model_checkpoint_paths=tuple(f"m-{i}" for i in range(100_000)))
        assert parse_checkpoint_state(render_checkpoint_state(state).encode()) == state

    def test_a_file_too_large_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "checkpoint"
        with open(file, "wb") as sparse:
            sparse.truncate(LARGEST_BYTES + 1)
        with pytest.raises(DamagedFileError, match="larger than 16 MiB") as caught:
            read_checkpoint_state(file)
        assert caught.value.remedy

    def test_no_file_and_no_readable_file(self, tmp_path: Path) -> None:
        with pytest.raises(PathNotFoundError):
            read_checkpoint_state(tmp_path / "checkpoint")
        with pytest.raises(UnreadableFileError) as caught:
            read_checkpoint_state(tmp_path)
        assert caught.value.where == str(tmp_path)
        assert caught.value.remedy

    def test_recognised_by_content(self) -> None:
        assert looks_like_checkpoint_state(b'# c\nmodel_checkpoint_path: "a"')
        assert not looks_like_checkpoint_state(b"\0model_checkpoint_path")
        assert not looks_like_checkpoint_state(b"epoch: 3")


class TestLocating:
    @staticmethod
    def locate(recorded: str, directory: Path) -> tuple[Path | None, bool]:
        return locate_latest(CheckpointState(model_checkpoint_path=recorded), directory)

    @pytest.fixture
    def here(self, tmp_path: Path) -> Path:
        here = tmp_path / "here"
        (here / "sub").mkdir(parents=True)
        for name in ("m-1.index", "sub/m-2.index", ".index", "v1-3", "v1s-00000-of-00002"):
            (here / name).touch()
        return here

    def test_relative(self, here: Path) -> None:
        assert self.locate("m-1", here) == (here / "m-1", False)
        assert self.locate("sub/m-2", here) == (here / "sub" / "m-2", False)
        assert self.locate("v1-3", here) == (here / "v1-3", False)
        assert self.locate("v1s-?????-of-00002", here) == (here / "v1s-?????-of-00002", False)

    def test_absolute_and_right(self, here: Path) -> None:
        assert self.locate(str(here / "m-1"), here) == (here / "m-1", False)
        assert self.locate(str(here / "sub" / "m-2"), here) == (here / "sub" / "m-2", False)

    @pytest.mark.parametrize(
        "recorded", ["/gone/m-1", "gone/m-1", "C:\\gone\\m-1", "../elsewhere/m-1"]
    )
    def test_stale_is_mended_by_its_last_component(self, here: Path, recorded: str) -> None:
        assert self.locate(recorded, here) == (here / "m-1", True)

    def test_of_a_copied_run_the_copy_is_meant(self, here: Path, tmp_path: Path) -> None:
        original = tmp_path / "original"
        original.mkdir()
        (original / "m-1.index").touch()
        assert self.locate(str(original / "m-1"), here) == (here / "m-1", True)

    def test_the_same_directory_by_another_path_is_not_stale(
        self, here: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "link").symlink_to(here)
        assert self.locate(str(tmp_path / "link" / "m-1"), here) == (here / "m-1", False)

    def test_the_empty_basename(self, here: Path) -> None:
        assert self.locate(f"{here}/", here) == (here / ".index", False)

    @pytest.mark.parametrize("recorded", ["m-9", "/gone/m-9", "m-1\0", "x" * 5000])
    def test_gone(self, here: Path, recorded: str) -> None:
        located, _ = self.locate(recorded, here)
        assert located is None

    @given(recorded=st.text(), timestamp=st.floats() | st.none())
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_text_is_located_or_not(
        self, here: Path, recorded: str, timestamp: float | None
    ) -> None:
        state = CheckpointState(model_checkpoint_path=recorded, last_preserved_timestamp=timestamp)
        located, stale = locate_latest(state, here)
        assert located is None or located.is_relative_to(here) or os.path.isabs(recorded)
        assert isinstance(stale, bool)
        assert (
            timestamp is None
            or math.isnan(timestamp)
            or f"{timestamp!r}" in (render_checkpoint_state(state))
        )
