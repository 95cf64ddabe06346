"""The documentation is true: its commands run, its links lead somewhere, its options exist."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from ckptviewer.__main__ import main
from ckptviewer.checkpoint.selection import parse_filter
from ckptviewer.cli import SUBCOMMANDS
from ckptviewer.formats import registry
from ckptviewer.resources import resource
from ckptviewer.ui.start import parse as parse_open

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "resources" / "docs"
PICTURES = ROOT / "resources" / "pictures"
PAGES = sorted(DOCS.glob("*.md"))
FRONT = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
OTHERS = [ROOT / "packaging" / "README.md", ROOT / "tests" / "fuzz" / "README.md"]
RUN_ON_THE_DEMO = [page for page in PAGES if page.name != "compare.md"]
"""`compare.md` speaks of other checkpoints: tests/cli/test_compare_documented.py runs it."""

LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
OPTION = re.compile(r"(?<![\w/-])--[a-z][a-z-]+")
OF_OTHER_PROGRAMS = {
    "--dir-diff", "--no-prompt", "--tool", "--quiet",  # git
    "--registry", "--icns", "--ico", "--build", "--out",  # packaging, scripts of resources
    "--inputs", "--seconds", "--corpus", "--seeds", "--findings-directory", "--minimise",  # fuzzing
    "--no-install-recommends", "--check",  # apt, ruff
}  # fmt: skip


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(page: Path) -> set[str]:
    """The names by which headings of a page are linked to."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(text: str) -> Iterator[str]:
    """Each command line that begins with `ckptviewer`, wherever the text has it."""
    blocks = "\n".join(body for _, body in FENCE.findall(text))
    indented = "\n".join(re.findall(r"^    (.*)$", FENCE.sub("", text), re.MULTILINE))
    inline = "\n".join(re.findall(r"`(ckptviewer [^`]+)`", FENCE.sub("", text)))
    for line in f"{blocks}\n{indented}\n{inline}".replace("\\\n", " ").splitlines():
        found = re.match(r"\s*(?:if )?(?:\.venv/bin/)?(ckptviewer( .*)?)$", line)
        if found:
            yield found[1]


def arguments_of(command: str) -> list[str]:
    """The arguments of a command line, as far as they are ckptviewer's own."""
    words = shlex.split(command, comments=True)[1:]
    ends = [place for place, word in enumerate(words) if word in (">", "|", "<", "&&")]
    return words[: min(ends, default=len(words))]


def subparser(name: str) -> argparse.ArgumentParser:
    """The parser of one subcommand."""
    subparsers = argparse.ArgumentParser(prog="ckptviewer").add_subparsers()
    import_module(f"ckptviewer.cli.{name}").add_parser(subparsers)
    parser: argparse.ArgumentParser = subparsers.choices[name]
    return parser


def options_of(name: str) -> set[str]:
    """The long options of one subcommand."""
    actions = subparser(name)._actions
    return {text for action in actions for text in action.option_strings if text[:2] == "--"}


# Links.


@pytest.mark.parametrize("page", [*FRONT, *PAGES, *OTHERS], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for match in LINK.finditer(FENCE.sub("", text_of(page))):
        target = match[1] or match[2]
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_link_to_what_is_installed_with_them(page: Path) -> None:
    for match in LINK.finditer(FENCE.sub("", text_of(page))):
        if not match[1].startswith(("https://", "#")):
            assert (page.parent / match[1].partition("#")[0]).resolve().parent == DOCS, match[1]


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=name_of)
def test_no_heading_stands_twice(page: Path) -> None:
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    assert len(titles) == len(set(titles))


def test_every_page_is_reached_from_the_first_one() -> None:
    linked = {match[1].partition("#")[0] for match in LINK.finditer(text_of(DOCS / "README.md"))}
    assert {page.name for page in PAGES} - {"README.md"} == linked


def test_pictures_are_those_that_the_script_draws() -> None:
    script = (ROOT / "resources" / "make_pictures.py").read_text(encoding="utf-8")
    scenes = set(re.findall(r'^    "([\w-]+)": \(show_', script, re.MULTILINE))
    assert {picture.stem for picture in PICTURES.glob("*.png")} == scenes
    shown = set(re.findall(r"resources/pictures/([\w-]+)\.png", text_of(ROOT / "README.md")))
    assert shown == scenes
    for picture in PICTURES.glob("*.png"):
        assert size_of_picture(picture) == (1280, 800)


def size_of_picture(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


@pytest.mark.parametrize("name", ["comparison"])
def test_pictures_can_be_drawn_anew(name: str, tmp_path: Path) -> None:
    script = ROOT / "resources" / "make_pictures.py"
    done = subprocess.run(
        [sys.executable, script, "--out", tmp_path, name],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert size_of_picture(tmp_path / f"{name}.png") == (1280, 800)
    assert not (tmp_path / "digits").exists()


# Options and subcommands.


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=name_of)
def test_commands_are_understood(page: Path) -> None:
    for command in commands(text_of(page)):
        arguments = arguments_of(command)
        words = set(arguments)
        if len(words) < 2 or words & {"SUBCOMMAND", "DIR", "PATH", "SRC", "M"} or "[" in command:
            continue  # names a subcommand, or says how a command is made, and is none
        with contextlib.redirect_stderr(None):
            try:
                if arguments and arguments[0] in SUBCOMMANDS:
                    subparser(arguments[0]).parse_args(arguments[1:])
                elif arguments[:1] not in (["--help"], ["--version"]):
                    parse_open(arguments)
            except SystemExit:
                pytest.fail(f"{command!r} is not understood")


def test_every_option_that_is_named_exists() -> None:
    known = set().union(*(options_of(name) for name in SUBCOMMANDS), OF_OTHER_PROGRAMS)
    known |= {"--version", "--demo", "--screenshot", "--compare", "--new-window", "--theme"}
    known |= {"--size", "--select"}
    for page in (*FRONT, *PAGES):
        assert set(OPTION.findall(text_of(page))) <= known, page.name


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_option_is_told_of(name: str) -> None:
    pages = "\n".join(text_of(page) for page in PAGES)
    told = {option for option in options_of(name) if f"{option}" in pages}
    assert options_of(name) - {"--help"} == told - {"--help"}
    assert f"`{name}" in text_of(ROOT / "README.md")
    assert f"ckptviewer {name}" in pages


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_fits_a_terminal_and_says_what_the_exit_status_means(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = subparser(name).format_help()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert re.search(r"exit\s+status:\s+0 ", text, re.IGNORECASE)
    whole = re.sub(r"\\\n *", "", text)  # where an example goes on in the next line
    examples = re.findall(r"^  (ckptviewer .*)$", whole, re.MULTILINE)
    assert examples
    for example in examples:
        assert subparser(name).parse_args(arguments_of(example)[1:])


def test_help_of_the_window_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_open(["--help"])
    text = capsys.readouterr().out
    examples = re.findall(r"^  (ckptviewer .*)$", text, re.MULTILINE)
    assert "Exit status: 0" in text
    assert len(examples) > 3
    for example in examples:
        assert parse_open(arguments_of(example))


def test_help_says_where_the_pages_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    where = re.search(r"^Documentation: (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert where is not None
    assert Path(where[1]) == resource("docs") == DOCS


# What is told of the program.


@pytest.mark.parametrize("page", [DOCS / "formats.md", ROOT / "README.md"], ids=name_of)
def test_formats_are_those_that_are_read_and_written(page: Path) -> None:
    read = {format_.name for format_ in registry.formats()}
    (choices,) = (a.choices for a in subparser("export")._actions if a.dest == "format")
    rows = re.findall(r"^\| `([\w-]+)` \|.*\|([^|]*)\|$", text_of(page), re.MULTILINE)
    told = {name: last.strip() for name, last in rows if name in read}
    assert set(told) == read
    assert {name for name, last in told.items() if last.startswith("yes")} == set(choices or ())


def test_words_of_the_filter_are_understood() -> None:
    rows = re.findall(r"^\| (`.*) \| [^|]* \|$", text_of(DOCS / "find.md"), re.MULTILINE)
    words = [word for row in rows for word in re.findall(r"`([^`]+)`", row)]
    assert len(words) > 15
    marks = set()
    for word in words:
        filter_ = parse_filter(word)
        assert bool(filter_.tests) is bool(re.match(r"[a-z]+[:<>]", word)), word
        marks.update(filter_.words if "`nan`" in next(row for row in rows if word in row) else ())
    health = (ROOT / "ckptviewer" / "analysis" / "health.py").read_text(encoding="utf-8")
    assert marks == set(re.findall(r'Mark\(\s*code="([\w-]+)"', health))


def test_files_that_the_architecture_names_exist() -> None:
    text = text_of(DOCS / "architecture.md")
    package = ROOT / "ckptviewer"
    names = re.findall(r"`([\w/*]+\.py)`", text)
    assert len(names) > 60
    for name in names:
        assert [*package.rglob(name), *(ROOT / "resources").glob(name)], name
    for directory in re.findall(r"`([\w/]+/)`", text):
        assert [*package.glob(directory), *ROOT.glob(directory), *package.glob(f"*/{directory}")]
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    assert packages <= set(re.findall(r"`(\w+)/`", text))


def test_environment_variables_are_those_that_are_looked_at() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("ckptviewer/**/*.py"))
    known = set(re.findall(r"CKPTVIEWER_[A-Z]+", sources))
    pages = "".join(text_of(page) for page in (*FRONT, *PAGES))
    assert set(re.findall(r"CKPTVIEWER_[A-Z]+", pages)) - {"CKPTVIEWER_CORPUS"} == known


def test_files_that_contributing_names_exist() -> None:
    for name in re.findall(r"`([\w/]+/[\w.]+\.py)`", text_of(ROOT / "CONTRIBUTING.md")):
        assert (ROOT / name).exists() or (ROOT / "ckptviewer" / name).exists(), name


# The commands themselves.


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the demo, as the pages ask for, which is the current directory."""
    place = tmp_path / "digits"
    shutil.copytree(resource("demo"), place)
    monkeypatch.chdir(place)
    return place


@pytest.mark.skipif(os.name == "nt", reason="commands of a Unix shell")
@pytest.mark.parametrize("page", RUN_ON_THE_DEMO, ids=name_of)
def test_commands_do_what_the_page_says(
    page: Path, demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, block in FENCE.findall(text_of(page)):
        if kind != "sh":
            continue
        for command in block.replace("\\\n", " ").splitlines():
            if "--yes" in command or "--screenshot" in command:
                continue  # needs TensorFlow; a window: tests/cli/test_validate, tests/ui
            wanted = re.search(r"# exits with (\d)", command)
            assert run(command) == (int(wanted[1]) if wanted else 0), capsys.readouterr().err
            assert "Traceback" not in capsys.readouterr().err


def run(command: str) -> int:
    """Run one command of a page: ours in this process, the shell's by the shell."""
    if not command.startswith("ckptviewer "):
        return subprocess.run(["sh", "-c", command], check=False, timeout=60).returncode
    words = shlex.split(command, comments=True)[1:]
    if ">" not in words:
        return main(words)
    place = words.index(">")
    with open(words[place + 1], "w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        return main(words[:place])


# The documents that scripts rely on.


def keys_in(document: object) -> set[str]:
    """All keys of objects in a JSON document, at whatever depth."""
    if isinstance(document, dict):
        return set(document) | set().union(*(keys_in(value) for value in document.values()))
    if isinstance(document, list):
        return set().union(*(keys_in(value) for value in document))
    return set()


@pytest.mark.parametrize(
    ("page", "begins", "commands"),
    [
        ("open.md", '{"path", "format"', ["list digits.ckpt-600"]),
        ("statistics.md", '{"variables"', ["stats digits.ckpt-600"]),
        ("compare.md", '{"identical"', ["compare digits.ckpt-40 digits.ckpt-600"]),
        ("runs.md", '{"path", "latest"', ["run ."]),
        (
            "export.md",
            '{"source"',
            [
                "export digits.ckpt-600 a.ckpt --rename model=net --cast float16 --receipt a.json",
                "export digits.ckpt-600 b.ckpt --preset inference --use-ema",
            ],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_documents_are_as_the_pages_say(
    page: str, begins: str, commands: list[str], demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = re.split(r"\n\n|```", text_of(DOCS / page).partition(begins)[2])[0]
    told = set(re.findall(r'"(\w+)"', begins + block)) - {"checksum", "values"}
    found: set[str] = set()
    for command in commands:
        main([*command.split(), "--json"])
        found |= keys_in(json.loads(capsys.readouterr().out))
    of_findings = {"code", "severity", "variable", "message", "remedy"}
    of_none_in_the_demo = {"same_as"}
    assert told <= found | of_findings | of_none_in_the_demo
    if page in ("open.md", "runs.md"):
        assert found - told <= of_findings
