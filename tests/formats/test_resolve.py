"""Any path that a person may have in hand leads to the checkpoint that is meant, or to an offer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.errors import (
    CkptviewerError,
    DamagedFileError,
    MissingLibraryError,
    NotACheckpointError,
    PathNotFoundError,
    TruncatedFileError,
    UnreadableFileError,
)
from ckptviewer.checkpoint.findings import Severity
from ckptviewer.formats import registry
from ckptviewer.formats.nearby import enumerate_names
from ckptviewer.formats.registry import Confidence, Format, Match
from ckptviewer.formats.resolve import Resolved, local_path, open_checkpoint, resolve

DATA = ".data-00000-of-00001"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n"

Place = Callable[[str], Path]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of a tensor bundle of TensorFlow's."""
    import tensorflow as tf

    prefix = tmp_path_factory.mktemp("bundle") / "b"
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=["w", "global_step"],
        shape_and_slices=["", ""],
        tensors=[tf.constant([1.0, 2.0]), tf.constant(7, tf.int64)],
    )
    return prefix


@pytest.fixture
def place(tmp_path: Path, bundle: Path) -> Place:
    """Puts a bundle under a prefix in `tmp_path`; gives the path of its index."""

    def put(prefix: str) -> Path:
        target = f"{tmp_path}/{prefix}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(f"{bundle}.index", target + ".index")
        shutil.copy(f"{bundle}{DATA}", target + DATA)
        return Path(target + ".index")

    return put


def state(path: Path, latest: str, *others: str) -> None:
    lines = [f'model_checkpoint_path: "{latest}"']
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in (*others, latest)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def codes(resolved: Resolved) -> list[str]:
    return [finding.code for finding in resolved.findings]


def message(resolved: Resolved, code: str) -> str:
    (finding,) = [finding for finding in resolved.findings if finding.code == code]
    assert "\n" not in finding.message
    assert finding.message.endswith(".")
    return finding.message


class TestEveryForm:
    """The forms of a path that mean one bundle, whatever its name."""

    PREFIXES = (
        "model.ckpt-10000",
        "variables/variables",
        "my_ckpt",
        "weights.05-0.32.ckpt",
        "with space",
        "Modèle-模型-😀",
        "line\nbreak",
        "back\\slash",
        "[brackets]*?",
        "model.ckpt.data",
        "a.index",
        "{epoch:02d}",
        "checkpoint",
        "~tilde",
        "trailing ",
        "0",
        "sub/",
    )

    @pytest.mark.parametrize("suffix", ["", ".index", DATA, ".meta", "."])
    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_prefix_index_shard_graph(
        self, tmp_path: Path, place: Place, prefix: str, suffix: str
    ) -> None:
        index = place(prefix)
        Path(f"{tmp_path}/{prefix}.meta").write_bytes(b"\x0a\x00")
        asked = f"{tmp_path}/{prefix}{suffix}"
        resolved = resolve(asked)
        assert resolved.path == index
        assert resolved.format.name == "tf-bundle"
        assert resolved.asked == asked
        assert resolved.reason
        assert resolved.findings == ()
        with open_checkpoint(asked) as checkpoint:
            assert [variable.key for variable in checkpoint.variables] == ["global_step", "w"]
            assert checkpoint.read(checkpoint["w"]).tolist() == [1.0, 2.0]

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_as_path_bytes_url_and_relative(
        self, tmp_path: Path, place: Place, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index = place(prefix)
        monkeypatch.chdir(tmp_path)
        relative = resolve(f"{prefix}.index").path
        assert (tmp_path / relative) == index
        assert resolve(os.fsencode(index)).path == index
        assert resolve(index).path == index
        assert resolve(index.as_uri()).path == index
        assert resolve(index.as_uri().replace("file://", "file://localhost")).path == index
        assert resolve(index.as_uri().replace("file://", "file:")).path == index

    def test_home(self, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        index = place("run/m-1")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert resolve("~/run/m-1").path == index
        assert resolve("~/run").path == index

    def test_a_shard_or_graph_that_is_gone(self, tmp_path: Path, place: Place) -> None:
        index = place("m-1")
        (tmp_path / f"m-1{DATA}").unlink()
        for suffix in (DATA, ".data-00003-of-00004", ".data-?????-of-00001", ".data", ".meta"):
            assert resolve(tmp_path / f"m-1{suffix}").path == index
        checkpoint = open_checkpoint(tmp_path / f"m-1{DATA}")
        assert any(finding.severity is Severity.ERROR for finding in checkpoint.findings)

    def test_a_path_copied_with_blanks_or_quotation_marks(
        self, tmp_path: Path, place: Place
    ) -> None:
        index = place("m-1")
        for asked in (f" {index}\n", f"'{index}'", f'"{tmp_path}/m-1"', f"{tmp_path}/m-1 "):
            resolved = resolve(asked)
            assert resolved.path == index
            assert resolved.asked == asked

    def test_content_decides_and_not_the_extension(self, tmp_path: Path, place: Place) -> None:
        index = place("m-1")
        os.rename(index, tmp_path / "m-1.safetensors")
        assert resolve(tmp_path / "m-1.safetensors").format.name == "tf-bundle"

    def test_a_name_that_is_not_utf8(self, tmp_path: Path, bundle: Path) -> None:
        prefix = os.fsencode(tmp_path) + b"/caf\xe9-1"
        try:
            shutil.copy(f"{bundle}.index", prefix + b".index")
        except OSError:
            pytest.skip("this file system takes names in UTF-8 only")
        assert os.fsencode(resolve(prefix).path) == prefix + b".index"
        with pytest.raises(PathNotFoundError) as caught:
            resolve(prefix + b"9")
        assert str(caught.value).isprintable()
        assert "Did you mean caf\\udce9-1?" in caught.value.remedy


class TestDirectories:
    def test_the_one_that_its_state_names(self, tmp_path: Path, place: Place) -> None:
        place("m-10")
        named = place("m-9")
        state(tmp_path / "checkpoint", "m-9")
        resolved = resolve(tmp_path)
        assert resolved.path == named
        assert message(resolved, "several-checkpoints") == (
            "The directory has 2 checkpoints: m-9 was opened, which the file `checkpoint` names "
            "as the latest; also there: m-10."
        )
        assert resolved.findings[0].severity is Severity.INFO
        assert resolved.findings[0].remedy
        assert resolve(tmp_path / "checkpoint").path == named
        assert resolve(f"{tmp_path}/").path == named
        assert resolve(f"{tmp_path}//").path == named

    def test_findings_reach_the_checkpoint(self, tmp_path: Path, place: Place) -> None:
        place("m-1")
        place("m-2")
        checkpoint = open_checkpoint(tmp_path)
        assert "several-checkpoints" in [finding.code for finding in checkpoint.findings]

    def test_one_checkpoint_needs_no_words(self, tmp_path: Path, place: Place) -> None:
        index = place("m-1")
        assert resolve(tmp_path).path == index
        assert resolve(tmp_path).findings == ()

    def test_the_highest_number_where_there_is_no_state(self, tmp_path: Path, place: Place) -> None:
        for step in (9, 10, 100, 20):
            place(f"m.ckpt-{step}")
        resolved = resolve(tmp_path)
        assert resolved.path == tmp_path / "m.ckpt-100.index"
        assert message(resolved, "several-checkpoints") == (
            "The directory has 4 checkpoints: m.ckpt-100 was opened, the highest by number; "
            "also there: m.ckpt-9, m.ckpt-10, m.ckpt-20."
        )

    def test_the_newest_where_names_differ(self, tmp_path: Path, place: Place) -> None:
        for age, name in enumerate(("best", "m-10", "last")):
            os.utime(place(name), (1e9 - age, 1e9 - age))
        resolved = resolve(tmp_path)
        assert resolved.path == tmp_path / "best.index"
        assert "best was opened, the newest" in message(resolved, "several-checkpoints")

    @pytest.mark.parametrize("recorded", ["/gone/run/m-9", "C:\\gone\\m-9", "gone/m-9"])
    def test_a_stale_state_is_mended_and_told(
        self, tmp_path: Path, place: Place, recorded: str
    ) -> None:
        place("m-10")
        named = place("m-9")
        state(tmp_path / "checkpoint", recorded.replace("\\", "\\\\"))
        for asked in (tmp_path, tmp_path / "checkpoint"):
            resolved = resolve(asked)
            assert resolved.path == named
            assert "in its own directory" in message(resolved, "stale-checkpoint-state")

    @pytest.mark.parametrize(
        ("text", "code", "what"),
        [
            ('model_checkpoint_path: "m-11"', "stale-checkpoint-state", "names m-11 as the latest"),
            ("model_checkpoint_path: 'm-9", "damaged-checkpoint-state", "line 1: a text is not"),
            ("", "stale-checkpoint-state", "names none"),
            ("\n", "stale-checkpoint-state", "names none"),
        ],
    )
    def test_a_state_that_leads_nowhere(
        self, tmp_path: Path, place: Place, text: str, code: str, what: str
    ) -> None:
        place("m-9")
        latest = place("m-10")
        (tmp_path / "checkpoint").write_text(text)
        for asked in (tmp_path, tmp_path / "checkpoint"):
            resolved = resolve(asked)
            assert resolved.path == latest
            assert what in message(resolved, code)
            assert resolved.findings[0].severity is Severity.WARNING
            assert "m-9" in message(resolved, "several-checkpoints")

    def test_a_state_that_names_something_else(self, tmp_path: Path, place: Place) -> None:
        (tmp_path / "m-11").write_bytes(b"\x89PNG\r\n\x1a\n")
        state(tmp_path / "checkpoint", "m-11")
        with pytest.raises(PathNotFoundError, match="names m-11 as the latest, which is not a"):
            resolve(tmp_path / "checkpoint")
        latest = place("m-10")
        for asked in (tmp_path, tmp_path / "checkpoint"):
            resolved = resolve(asked)
            assert resolved.path == latest
            assert "m-11" in message(resolved, "stale-checkpoint-state")

    def test_a_state_by_another_name(self, tmp_path: Path, place: Place) -> None:
        best = place("m-3")
        place("m-4")
        state(tmp_path / "best_checkpoint.txt", "m-3")
        resolved = resolve(tmp_path / "best_checkpoint.txt")
        assert resolved.path == best
        assert "`best_checkpoint.txt`" in resolved.reason

    def test_a_state_that_names_another_directory(self, tmp_path: Path, place: Place) -> None:
        index = place("elsewhere/m-1")
        (tmp_path / "logs").mkdir()
        state(tmp_path / "logs" / "checkpoint", str(tmp_path / "elsewhere" / "m-1"))
        assert resolve(tmp_path / "logs").path == index
        assert resolve(tmp_path / "logs").findings == ()

    def test_a_file_named_checkpoint_that_is_none(self, tmp_path: Path, place: Place) -> None:
        place("m-1")
        (tmp_path / "checkpoint").write_bytes(b"\x89PNG\r\n\x1a\n")
        assert resolve(tmp_path).path == tmp_path / "m-1.index"
        with pytest.raises(NotACheckpointError, match="PNG image"):
            resolve(tmp_path / "checkpoint")

    def test_the_empty_basename(self, tmp_path: Path, place: Place) -> None:
        index = place("dir/")
        beside = place("dir")
        assert index.name == ".index"
        assert resolve(f"{tmp_path}/dir/").path == index
        assert resolve(f"{tmp_path}/dir/.index").path == index
        assert resolve(f"{tmp_path}/dir/{DATA}").path == index
        resolved = resolve(f"{tmp_path}/dir")
        assert resolved.path == index
        assert "beside it lies the checkpoint dir.index" in message(resolved, "also-a-prefix")
        assert resolve(f"{tmp_path}/dir.index").path == beside
        with open_checkpoint(index) as checkpoint:
            assert checkpoint.read(checkpoint["w"]).tolist() == [1.0, 2.0]

    def test_the_empty_basename_with_a_counter(self, tmp_path: Path, place: Place) -> None:
        index = place("-1")
        state(tmp_path / "checkpoint", "-1")
        assert resolve(f"{tmp_path}/").path == index

    def test_a_state_that_names_the_empty_basename(self, tmp_path: Path, place: Place) -> None:
        index = place("dir/")
        place("dir/other")
        state(tmp_path / "dir" / "checkpoint", f"{tmp_path}/dir/")
        resolved = resolve(f"{tmp_path}/dir/checkpoint")
        assert resolved.path == index
        resolved = resolve(f"{tmp_path}/dir")
        assert resolved.path == index
        assert ".index was opened" in message(resolved, "several-checkpoints")

    def test_a_directory_without_checkpoint_beside_a_prefix(
        self, tmp_path: Path, place: Place
    ) -> None:
        index = place("m")
        (tmp_path / "m").mkdir()
        assert resolve(tmp_path / "m").path == index

    def test_a_damaged_one_is_passed_over(self, tmp_path: Path, place: Place) -> None:
        place("m-1")
        latest = place("m-2")
        state(tmp_path / "checkpoint", "m-2")
        os.truncate(latest, 100)
        resolved = resolve(tmp_path)
        assert resolved.path == tmp_path / "m-1.index"
        assert message(resolved, "damaged-checkpoint").startswith("m-2.index was passed over:")
        with pytest.raises(TruncatedFileError):
            open_checkpoint(latest)

    def test_the_only_one_is_damaged(self, tmp_path: Path, place: Place) -> None:
        os.truncate(place("m-2"), 100)
        with pytest.raises(TruncatedFileError) as caught:
            open_checkpoint(tmp_path)
        assert "m-2.index" in caught.value.where
        assert caught.value.remedy

    def test_versions_of_serving(self, tmp_path: Path, place: Place) -> None:
        place("model/9/variables/variables")
        (tmp_path / "model" / "11").mkdir()
        latest = place("model/10/variables/variables")
        resolved = resolve(tmp_path / "model")
        assert resolved.path == latest
        assert message(resolved, "several-versions") == (
            "The directory has 3 versions: 10 was opened, the highest that has a checkpoint; "
            "also there: 9, 11."
        )

    def test_files_of_the_finder_are_no_checkpoints(self, tmp_path: Path, place: Place) -> None:
        index = place("m-1")
        (tmp_path / "._m-1.index").write_bytes(b"\0\5\x16\7")
        assert resolve(tmp_path).path == index
        assert resolve(tmp_path).findings == ()

    def test_many_files_are_listed_once(
        self, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        latest = place("m-3001")
        for step in range(3000):
            (tmp_path / f"m-{step}.index").touch()
            (tmp_path / f"m-{step}{DATA}").touch()
        real, listed = os.scandir, []

        def counting(path: str) -> Iterator[os.DirEntry[str]]:
            listed.append(path)
            return real(path)

        monkeypatch.setattr(os, "scandir", counting)
        for asked in (tmp_path, tmp_path / "m", tmp_path / "m-{epoch}"):
            listed.clear()
            resolved = resolve(asked)
            assert resolved.path == latest
            assert len(listed) == 1
            assert "and 2\u2009995 more" in resolved.findings[0].message
        listed.clear()
        with pytest.raises(PathNotFoundError, match=r"Did you mean m-3001\?"):
            resolve(tmp_path / "n-3001")
        assert len(listed) == 1


class TestSavedModel:
    @pytest.fixture
    def model(self, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
        use(monkeypatch, FakeFormat("saved-model"))
        place("model/variables/variables")
        (tmp_path / "model" / "saved_model.pb").write_bytes(b"\x08\x01\x12\x02\x0a\x00")
        (tmp_path / "model" / "assets").mkdir()
        return tmp_path / "model"

    FORMS = ("", "saved_model.pb", "variables", "variables/")
    BUNDLE_FORMS = (
        "variables/variables",
        "variables/variables.index",
        f"variables/variables{DATA}",
    )

    @pytest.mark.parametrize("form", [*FORMS, *BUNDLE_FORMS])
    def test_where_its_own_format_declines_the_bundle_in_it(self, model: Path, form: str) -> None:
        assert resolve(f"{model}/{form}").path == model / "variables" / "variables.index"

    def test_the_text_form(self, model: Path) -> None:
        os.rename(model / "saved_model.pb", model / "saved_model.pbtxt")
        for form in (*self.FORMS[:1], "saved_model.pbtxt", *self.FORMS[2:]):
            assert resolve(f"{model}/{form}").path == model / "variables" / "variables.index"

    @pytest.mark.parametrize("form", FORMS)
    def test_its_own_format_comes_first(
        self, model: Path, form: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(monkeypatch, FakeFormat("saved-model", accepts=lambda path: path == model))
        resolved = resolve(f"{model}/{form}")
        assert resolved.format.name == "saved-model"
        assert resolved.path == model

    @pytest.mark.parametrize("form", BUNDLE_FORMS)
    def test_who_asks_for_the_bundle_gets_the_bundle(
        self, model: Path, form: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(monkeypatch, FakeFormat("saved-model", accepts=lambda path: path == model))
        assert resolve(f"{model}/{form}").format.name == "tf-bundle"

    def test_without_variables(self, model: Path) -> None:
        shutil.rmtree(model / "variables")
        with pytest.raises(NotACheckpointError, match="SavedModel without values") as caught:
            resolve(model)
        assert "variables" in caught.value.remedy
        with pytest.raises(NotACheckpointError, match="the graph of a SavedModel") as caught:
            resolve(model / "saved_model.pb")
        assert "variables" in caught.value.remedy


class TestCounters:
    def test_the_highest_counter(self, tmp_path: Path, place: Place) -> None:
        for name in ("my_ckpt-9", "my_ckpt-10", "my_ckpt_2-99", "my_ckpt-x"):
            place(name)
        resolved = resolve(tmp_path / "my_ckpt")
        assert resolved.path == tmp_path / "my_ckpt-10.index"
        assert message(resolved, "counter-added") == (
            "my_ckpt was saved with a counter: my_ckpt-10 was opened; also there: my_ckpt-9."
        )

    @pytest.mark.parametrize("suffix", [".index", ".meta", DATA, "."])
    def test_with_a_suffix(self, tmp_path: Path, place: Place, suffix: str) -> None:
        index = place("my_ckpt-1")
        assert resolve(tmp_path / f"my_ckpt{suffix}").path == index

    def test_beside_a_graph_that_was_written_once(self, tmp_path: Path, place: Place) -> None:
        index = place("model-100")
        (tmp_path / "model.meta").write_bytes(b"\x0a\x00")
        assert resolve(tmp_path / "model.meta").path == index

    def test_the_name_itself_comes_first(self, tmp_path: Path, place: Place) -> None:
        index = place("my_ckpt")
        place("my_ckpt-1")
        assert resolve(tmp_path / "my_ckpt").path == index

    def test_as_tensorflow_saves(self, tmp_path: Path) -> None:
        import tensorflow as tf

        checkpoint = tf.train.Checkpoint(v=tf.Variable([3.0]))
        saved = [checkpoint.save(str(tmp_path / "my_ckpt")) for _ in range(3)]
        resolved = resolve(tmp_path / "my_ckpt")
        assert str(resolved.path) == saved[-1] + ".index"
        assert resolve(tmp_path).path == resolved.path
        checkpoint.write(f"{tmp_path}/written/")
        opened = open_checkpoint(f"{tmp_path}/written/")
        key = "v/.ATTRIBUTES/VARIABLE_VALUE"
        assert opened.read(opened[key]).tolist() == [3.0]


class TestTemplates:
    @pytest.mark.parametrize(
        ("template", "names", "expected"),
        [
            ("cp-{epoch}.ckpt", ["cp-9.ckpt", "cp-10.ckpt", "cp-x.ckpt"], "cp-10.ckpt"),
            ("cp-{epoch:04d}.ckpt", ["cp-0001.ckpt", "cp-0010.ckpt"], "cp-0010.ckpt"),
            ("w.{epoch:02d}-{val_loss:.2f}", ["w.01-0.10", "w.02-0.50", "w.2x"], "w.02-0.50"),
            ("run-{run}/cp-{epoch}", ["run-1/cp-9", "run-2/cp-3"], "run-2/cp-3"),
            ("{name}", ["a", "b"], "b"),
            ("cp-{epoch}.ckpt.index", ["cp-3.ckpt"], "cp-3.ckpt"),
            (f"cp-{{epoch}}.ckpt{DATA}", ["cp-3.ckpt"], "cp-3.ckpt"),
            ("cp-{epoch}.", ["cp-3"], "cp-3"),
            ("cp-{logs[val]!r:>8}", ["cp-[1]"], "cp-[1]"),
        ],
    )
    def test_the_highest_that_it_stands_for(
        self, tmp_path: Path, place: Place, template: str, names: list[str], expected: str
    ) -> None:
        for name in names:
            place(name)
        resolved = resolve(tmp_path / template)
        assert str(resolved.path) == f"{tmp_path}/{expected}.index"
        told = message(resolved, "placeholder-filled")
        assert f"{os.path.basename(expected)} was opened" in told

    def test_the_literal_name_comes_first(self, tmp_path: Path, place: Place) -> None:
        index = place("cp-{epoch}")
        place("cp-7")
        assert resolve(tmp_path / "cp-{epoch}").path == index
        assert resolve(tmp_path / "cp-{epoch}.index").path == index

    def test_nothing_matches(self, tmp_path: Path, place: Place) -> None:
        place("cp-x")
        with pytest.raises(PathNotFoundError, match="no such file") as caught:
            resolve(tmp_path / "cp-{epoch}")
        assert "cp-x" in caught.value.remedy

    @pytest.mark.parametrize("asked", ["{a}/" * 3000 + "b", "{a}/" + "b/" * 3000])
    def test_long_templates_are_no_bomb(self, tmp_path: Path, asked: str) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        with pytest.raises(PathNotFoundError):
            resolve(f"{tmp_path}/{asked}")


class TestOtherFormats:
    """With stand-ins for formats, as what counts here is who is asked for what."""

    def test_v1_by_its_shards(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for shard in range(2):
            (tmp_path / f"export-0000{shard}-of-00002").write_bytes(b"v1")
        (tmp_path / "export.meta").write_bytes(b"\x0a\x00")
        first = tmp_path / "export-00000-of-00002"
        use(monkeypatch, FakeFormat("tf-v1", accepts=lambda path: path == first))
        for name in (
            "export-?????-of-?????",
            "export-?????-of-00002",
            "export-*-of-*",
            "export-00000-of-00002",
            "export.meta",
            "export",
            "",
        ):
            assert resolve(f"{tmp_path}/{name}").path == first
        state(tmp_path / "checkpoint", "export-?????-of-00002")
        assert resolve(tmp_path).path == first
        assert resolve(tmp_path / "checkpoint").path == first

    def test_v1_in_one_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "model.ckpt-5"
        file.write_bytes(b"v1")
        Path(f"{file}.meta").write_bytes(b"\x0a\x00")
        use(monkeypatch, FakeFormat("tf-v1", accepts=lambda path: path == file))
        for name in ("model.ckpt-5", "model.ckpt-5.meta", "model.ckpt", ""):
            assert resolve(f"{tmp_path}/{name}").path == file
        state(tmp_path / "checkpoint", "model.ckpt-5")
        assert resolve(tmp_path).path == file

    def test_a_directory_of_weight_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = ("e-1.weights.h5", "e-2.weights.h5", "e-10.weights.h5")
        for name in names:
            (tmp_path / name).write_bytes(b"h5")
        (tmp_path / "e-11.weights.h5").write_bytes(b"not one")
        use(
            monkeypatch,
            FakeFormat("keras-weights-h5", accepts=lambda path: path.name in names),
        )
        resolved = resolve(tmp_path)
        assert resolved.path == tmp_path / "e-10.weights.h5"
        assert message(resolved, "several-checkpoints") == (
            "The directory has 3 checkpoints: e-10.weights.h5 was opened, the highest by number; "
            "also there: e-1.weights.h5, e-2.weights.h5."
        )

    def test_a_weight_file_named_like_a_part_of_a_bundle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for suffix in (".index", ".meta", DATA, ".data"):
            file = tmp_path / f"x{suffix}"
            file.write_bytes(b"weights")
            use(
                monkeypatch, FakeFormat("safetensors", accepts=lambda path, file=file: path == file)
            )
            assert resolve(file).format.name == "safetensors"
            file.unlink()

    def test_a_missing_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "m.h5"
        file.write_bytes(b"h5")
        use(monkeypatch, FakeFormat("keras-h5", accepts=lambda path: path == file, needs="pyfive"))
        assert resolve(file).missing_library == "pyfive"
        with pytest.raises(MissingLibraryError, match="pyfive") as caught:
            open_checkpoint(file)
        assert caught.value.where == str(file)
        assert "pip install pyfive" in caught.value.remedy


class TestErrors:
    """Each says what, where, and what to do."""

    def test_did_you_mean(self, tmp_path: Path, place: Place) -> None:
        for step in (1000, 2000, 3000, 4000, 5000, 6000, 7000):
            place(f"model.ckpt-{step}")
        asked = tmp_path / "modle.ckpt-1000"
        with pytest.raises(PathNotFoundError) as caught:
            resolve(asked)
        assert caught.value.what == "there is no such file, directory or checkpoint"
        assert caught.value.where == str(asked)
        assert caught.value.remedy == (
            "Did you mean model.ckpt-1000? That directory has: model.ckpt-1000, model.ckpt-2000, "
            "model.ckpt-3000, model.ckpt-4000, model.ckpt-5000 and 2 more."
        )

    def test_a_wrong_directory_on_the_way(self, tmp_path: Path, place: Place) -> None:
        place("experiments/run1/m-1")
        with pytest.raises(PathNotFoundError) as caught:
            resolve(tmp_path / "experimants" / "run1" / "m-1")
        assert caught.value.remedy == (
            f"There is no directory {tmp_path}/experimants; did you mean {tmp_path}/experiments?"
        )
        with pytest.raises(PathNotFoundError) as caught:
            resolve(tmp_path / "zzz" / "m-1")
        assert caught.value.remedy == f"There is no directory {tmp_path}/zzz."
        with pytest.raises(PathNotFoundError) as caught:
            resolve(tmp_path / "experiments" / "run1" / "m-1.index" / "x")
        assert "m-1.index is a file, not a directory" in caught.value.remedy

    def test_no_checkpoint_but_in_subdirectories(self, tmp_path: Path, place: Place) -> None:
        place("train/m-1")
        place("eval/m-1")
        (tmp_path / "logs").mkdir()
        with pytest.raises(NotACheckpointError) as caught:
            resolve(tmp_path)
        assert caught.value.what == "it is a directory without checkpoints"
        assert caught.value.where == str(tmp_path)
        assert caught.value.remedy == "Its subdirectories with checkpoints: eval, train."
        with pytest.raises(PathNotFoundError) as missing:
            resolve(tmp_path / "m-1")
        assert missing.value.remedy == (
            "That directory has no checkpoint. Its subdirectories with checkpoints: eval, train."
        )

    def test_a_path_into_a_saved_model(self, tmp_path: Path, place: Place) -> None:
        place("17/variables/variables")
        (tmp_path / "17" / "saved_model.pb").write_bytes(b"")
        with pytest.raises(PathNotFoundError) as caught:
            resolve(tmp_path / "17" / "m-1")
        assert caught.value.remedy == "That directory is a SavedModel itself: open that."

    def test_an_empty_directory(self, tmp_path: Path) -> None:
        with pytest.raises(NotACheckpointError, match="an empty directory") as caught:
            resolve(tmp_path)
        assert caught.value.remedy

    def test_a_shard_without_its_index(self, tmp_path: Path, place: Place) -> None:
        place("m-2")
        place("m-1").unlink()
        with pytest.raises(PathNotFoundError, match=r"its index m-1\.index is missing") as caught:
            resolve(tmp_path / f"m-1{DATA}")
        assert caught.value.where == str(tmp_path / f"m-1{DATA}")
        assert caught.value.remedy.startswith("Copy the index from where")
        assert "m-2" in caught.value.remedy

    @pytest.mark.parametrize("suffix", ["", ".index", ".data-00001-of-00002", "."])
    def test_a_prefix_without_its_index(self, tmp_path: Path, place: Place, suffix: str) -> None:
        place("m-1").unlink()
        with pytest.raises(PathNotFoundError, match=r"its index m-1\.index is missing") as caught:
            resolve(tmp_path / f"m-1{suffix}")
        assert caught.value.where == str(tmp_path / f"m-1{DATA}")

    def test_a_directory_of_shards(self, tmp_path: Path, place: Place) -> None:
        place("m-1").unlink()
        with pytest.raises(NotACheckpointError, match="whose index is missing") as caught:
            resolve(tmp_path)
        assert "Copy the `.index` files" in caught.value.remedy

    def test_a_graph_alone(self, tmp_path: Path, place: Place) -> None:
        place("other-1")
        (tmp_path / "m-1.meta").write_bytes(b"\x0a\x00")
        with pytest.raises(PathNotFoundError, match=r"m-1\.index, is not beside it") as caught:
            resolve(tmp_path / "m-1.meta")
        assert caught.value.where == str(tmp_path / "m-1.meta")
        assert "other-1" in caught.value.remedy
        (tmp_path / "m-1.meta").write_bytes(LFS)
        with pytest.raises(NotACheckpointError, match="Git LFS pointer"):
            resolve(tmp_path / "m-1.meta")

    def test_a_state_and_nothing_else(self, tmp_path: Path) -> None:
        state(tmp_path / "checkpoint", "m-1")
        with pytest.raises(PathNotFoundError, match="names m-1 as the latest, and it is") as caught:
            resolve(tmp_path / "checkpoint")
        assert caught.value.where == str(tmp_path / "checkpoint")
        assert caught.value.remedy == "That directory has no checkpoint."
        with pytest.raises(NotACheckpointError, match="a directory without checkpoints"):
            resolve(tmp_path)

    @pytest.mark.parametrize("suffix", ["", ".index", DATA, ".meta"])
    def test_an_index_that_is_a_pointer(self, tmp_path: Path, place: Place, suffix: str) -> None:
        index = place("m-1")
        index.write_bytes(LFS)
        Path(f"{tmp_path}/m-1.meta").write_bytes(b"\x0a\x00")
        with pytest.raises(NotACheckpointError, match="Git LFS pointer") as caught:
            resolve(tmp_path / f"m-1{suffix}")
        assert caught.value.where == str(index)
        assert caught.value.remedy == "Fetch the file with `git lfs pull`."
        with pytest.raises(NotACheckpointError, match="Git LFS pointer"):
            resolve(tmp_path)

    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"", "an empty file"),
            (b"<html>not found</html>", "a web page"),
            (bytes(500), "a file of nothing but zeros"),
        ],
    )
    def test_an_index_that_is_something_else(self, tmp_path: Path, data: bytes, what: str) -> None:
        file = tmp_path / "m-1.index"
        file.write_bytes(data)
        with pytest.raises(NotACheckpointError, match=what) as caught:
            resolve(file)
        assert caught.value.where == str(file)
        assert caught.value.remedy

    def test_an_index_with_a_flipped_bit_is_damaged_and_not_foreign(self, place: Place) -> None:
        index = place("m-1")
        data = bytearray(index.read_bytes())
        data[3] ^= 1
        index.write_bytes(data)
        assert resolve(index).format.name == "tf-bundle"
        with pytest.raises(DamagedFileError):
            open_checkpoint(index)

    def test_unknown_bytes(self, tmp_path: Path) -> None:
        file = tmp_path / "x.bin"
        file.write_bytes(bytes(range(1, 256)))
        with pytest.raises(NotACheckpointError, match="not a checkpoint of any known") as caught:
            resolve(file)
        assert caught.value.where == str(file)
        assert "`.index`" in caught.value.remedy

    @pytest.mark.parametrize("asked", ["gs://bucket/m-1", "https://host/m.index", "s3://b/m"])
    def test_elsewhere(self, asked: str) -> None:
        with pytest.raises(PathNotFoundError, match="it lies elsewhere") as caught:
            resolve(asked)
        assert caught.value.where == asked
        assert "Copy all files" in caught.value.remedy

    @pytest.mark.parametrize("asked", ["", "a\0b", "a\0.index", "file:///a%00b", "\ud800.index"])
    def test_no_path_at_all(self, asked: str) -> None:
        with pytest.raises(PathNotFoundError) as caught:
            resolve(asked)
        assert "`.index`" in caught.value.remedy
        assert str(caught.value).isprintable()

    def test_a_link_that_leads_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "m-1.index").symlink_to("gone.index")
        with pytest.raises(PathNotFoundError, match=r"a link to gone\.index, which is not there"):
            resolve(tmp_path / "m-1.index")

    def test_a_directory_that_may_not_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(UnreadableFileError, match="Permission denied") as caught:
            resolve(tmp_path)
        assert caught.value.where == str(tmp_path)
        assert caught.value.remedy == "Check its permissions."
        with pytest.raises(PathNotFoundError, match="Permission denied"):
            resolve(tmp_path / "m-1")

    def test_errors_are_one_line(self, tmp_path: Path, place: Place) -> None:
        place("line\nbreak-1")
        with pytest.raises(PathNotFoundError) as caught:
            resolve(tmp_path / "line\nbraek-1")
        assert str(caught.value).isprintable()
        assert "Did you mean line\\nbreak-1?" in caught.value.remedy

    @given(st.text())
    @example("{")
    @example("}{")
    @example("{}")
    @example("~")
    @example("/")
    @example(".")
    @example("file:")
    @example("file://")
    @example("x" * 300)
    @example("?" * 300 + "-?-of-?")
    @settings(
        deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_any_text(self, tmp_path: Path, asked: str) -> None:
        outcome: CkptviewerError | Resolved
        try:
            outcome = resolve(f"{tmp_path}/{asked}")
        except CkptviewerError as error:
            outcome = error
        if isinstance(outcome, CkptviewerError):
            assert outcome.what
            assert outcome.where
            assert outcome.remedy
            assert str(outcome).isprintable()


class TestFastPath:
    def test_an_index_is_probed_once_and_nothing_else_is_looked_at(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index = place("m-1")
        place("m-2")
        bundle_format = next(known for known in registry.formats() if known.name == "tf-bundle")
        probed: list[Path] = []

        class Counting(FakeFormat):
            def probe(self, path: Path) -> Match:
                probed.append(path)
                return bundle_format.probe(path)

        use(monkeypatch, Counting("tf-bundle"), real=False)

        def forbidden(*_: object) -> None:
            raise AssertionError("no directory is listed")

        monkeypatch.setattr(os, "scandir", forbidden)
        monkeypatch.setattr(os, "listdir", forbidden)
        assert resolve(index).path == index
        assert probed == [index]

    def test_nothing_of_the_search_is_imported(self, place: Place) -> None:
        import subprocess
        import sys

        program = (
            "import sys; from ckptviewer.formats.resolve import resolve; resolve(sys.argv[1]); "
            "print(sorted(set(sys.modules) & {'ckptviewer.formats.nearby', 'difflib', "
            "'ckptviewer.formats.foreign', 'ckptviewer.formats.checkpoint_state', "
            "'ckptviewer.formats.directory_search', 'numpy', 'google.protobuf'}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(place("m-1"))],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "[]"


class TestCorpus:
    def test_every_file_of_every_bundle(self, corpus: Path) -> None:
        indexes = sorted(corpus.rglob("*.index"))
        assert len(indexes) >= 9
        for index in indexes:
            for file in index.parent.glob(f"{index.stem}.*"):
                assert resolve(file).path == index
            assert resolve(str(index)[: -len(".index")]).path == index
            assert resolve(index.parent).path in (index, index.parent.parent)

    def test_every_saved_model(self, corpus: Path) -> None:
        for graph in sorted(corpus.rglob("saved_model.pb")):
            resolved = resolve(graph)
            assert resolve(graph.parent).path == resolved.path
            with open_checkpoint(graph) as checkpoint:
                assert checkpoint.variables
        versions = corpus / "srv_sm_v2_half_plus_two"
        assert resolve(versions).path == resolve(versions / "00000123").path

    def test_what_is_no_checkpoint(self, corpus: Path) -> None:
        with pytest.raises(NotACheckpointError, match="a text file"):
            resolve(corpus / "README.md")
        with pytest.raises(NotACheckpointError, match="subdirectories with checkpoints") as caught:
            resolve(corpus)
        assert "basicpitch_sm" in caught.value.remedy


def test_local_paths_are_left_as_they_are() -> None:
    for path in ("a b", "a%20b", "./x", "C:\\x", "/x", "x:y"):
        assert local_path(path) == path
    assert local_path("file:///a%20b%E2%82%AC") == "/a b€"
    assert local_path("FILE:/a") == "/a"


def test_names_are_enumerated_in_natural_order() -> None:
    assert enumerate_names(["b-10", "b-9"]) == "b-9, b-10"
    assert enumerate_names(map(str, range(7)), limit=2) == "0, 1 and 5 more"


class FakeFormat(Format):
    """Accepts the paths that it is told to accept."""

    def __init__(
        self,
        name: str,
        *,
        accepts: Callable[[Path], bool] = lambda _: False,
        needs: str = "",
    ) -> None:
        self.name = name
        self.title = f"stand-in for {name}"
        self.accepts = accepts
        self.needs = needs

    def probe(self, path: Path) -> Match:
        confidence = Confidence.CERTAIN if self.accepts(path) else Confidence.NO
        return Match(confidence=confidence, reason="told so", path=path, missing_library=self.needs)

    def open(self, path: Path) -> Checkpoint:
        raise AssertionError("a stand-in is never opened")


def use(monkeypatch: pytest.MonkeyPatch, fake: Format, *, real: bool = True) -> None:
    """Let the formats be the tensor bundle's own (if `real`) and `fake`."""
    bundle_format = next(known for known in registry.formats() if known.name == "tf-bundle")
    known = [bundle_format, fake] if real else [fake]
    monkeypatch.setattr(registry, "formats", lambda: iter(known))
