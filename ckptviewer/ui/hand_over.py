"""Handing paths to the window that runs already: asked before Qt, or much else, is loaded.

The first process of a user on a display claims a socket in a directory that is the user's alone;
those that come later hand their paths over there and end. The claim is a lock that the system
gives back when its holder dies, however that comes about, so what a crash leaves is no obstacle.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from ckptviewer.checkpoint.errors import CkptviewerError

VERSION = 1
MOST_BYTES = 1 << 20
MOST_PATHS = 512
LONGEST_PATH = 32_768
LONGEST_TOKEN = 512
ANSWER_SECONDS = 3.0
"""A window that is still being made answers once it can; one that hangs is not waited for."""
ACCEPTED = b"ckptviewer 1 accepted\n"
REFUSED = b"ckptviewer 1 refused\n"
_LEAVING_SECONDS = 1.0
_TOKENS = ("XDG_ACTIVATION_TOKEN", "DESKTOP_STARTUP_ID")
_LONGEST_SOCKET_PATH = 103  # macOS takes no longer ones
_MACOS_LOCAL_PEERCRED = 1


class BadRequestError(CkptviewerError, ValueError):
    """What came in is no request of this version of the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody wants to see.

    paths: absolute. compare: the first two side by side. token: from the desktop, by which a
    window may come to the front (XDG_ACTIVATION_TOKEN, DESKTOP_STARTUP_ID); "" if it gave none.
    """

    paths: tuple[str, ...]
    compare: bool = False
    token: str = ""


def encode(request: Request) -> bytes:
    """A request as one line. Raises BadRequestError where it is too large to be handed over."""
    fields = {"paths": request.paths, "compare": request.compare, "token": request.token}
    line = json.dumps({"ckptviewer": VERSION, **fields}).encode("ascii") + b"\n"
    decode(line)
    return line


def decode(line: bytes) -> Request:
    """The request in a line. Raises BadRequestError for all that is not one, whatever it is."""
    if len(line) > MOST_BYTES:
        raise BadRequestError(f"a request of more than {MOST_BYTES} bytes")
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRequestError("a request that is no JSON") from None
    if not isinstance(told, dict) or told.get("ckptviewer") != VERSION:
        raise BadRequestError(f"a request of another version than {VERSION}")
    paths, compare, token = told.get("paths"), told.get("compare"), told.get("token")
    if not isinstance(paths, list) or len(paths) > MOST_PATHS:
        raise BadRequestError(f"a request without a list of at most {MOST_PATHS} paths")
    if not all(isinstance(path, str) and _is_proper(path) for path in paths):
        raise BadRequestError("a request for a path that is not absolute, or too long")
    if not isinstance(compare, bool):
        raise BadRequestError("a request that does not say whether to compare")
    if not isinstance(token, str) or not _is_token(token):
        raise BadRequestError("a request with a token that is none")
    return Request(paths=tuple(paths), compare=compare, token=token)


def _is_proper(path: str) -> bool:
    return len(path) <= LONGEST_PATH and os.path.isabs(path) and "\0" not in path


def _is_token(text: str) -> bool:
    return len(text) <= LONGEST_TOKEN and text.isascii() and (not text or text.isprintable())


def desktop_token() -> str:
    """The desktop's token for this start; Qt takes it away where it makes a window itself."""
    found = [os.environ.get(name, "") for name in _TOKENS]
    return next((token for token in found if token and _is_token(token)), "")


class Claim:
    """The place where requests for this user's windows come in. `give_back` it at the end."""

    def __init__(self, path: str, lock: int, listening: socket.socket | None) -> None:
        """listening: bound and listening already, so that nobody is turned away meanwhile."""
        self.path = path
        self._lock = lock
        self._listening = listening

    def descriptor(self) -> int | None:
        """The listening socket, which is the caller's from now on; None where there is none."""
        listening, self._listening = self._listening, None
        return listening.detach() if listening is not None else None

    def give_back(self) -> None:
        """Let others have the place; safe to call twice."""
        if self._lock < 0:
            return
        if self._listening is not None:
            self._listening.close()
        for path in (self.path, _lock_path(self.path)):
            with suppress(OSError):
                os.unlink(path)
        os.close(self._lock)
        self._lock = -1


def meet(request: Request, place: str | None) -> Claim | bool:
    """Hand the request over, or become the one that others hand theirs over to.

    True where it was handed over, a Claim where nobody had claimed the place, False where neither
    can be: then the window is best opened without company. Takes at most a few seconds.
    """
    if place is None:
        return False
    try:
        line = encode(request)
    except BadRequestError:
        return False
    deadline = time.monotonic() + _LEAVING_SECONDS
    while True:
        try:
            mine = claim(place)
        except OSError:
            return False
        if mine is not None:
            return mine
        if (answer := _ask(place, line)) is not None:
            return answer
        # Whoever holds the place is on the way out, or has not come to listen yet.
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def claim(place: str) -> Claim | None:
    """The place, if nobody has it; None if somebody has. Raises OSError."""
    if sys.platform == "win32":
        # A pipe's name is given back with its process; Qt makes it.
        return None if os.path.exists(place) else Claim(place, -1, None)
    import fcntl

    lock = os.open(_lock_path(place), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    listening = None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_still(lock, _lock_path(place)):  # its holder took it away with him
            os.close(lock)
            return None
        with suppress(FileNotFoundError):
            os.unlink(place)  # left by one that crashed
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(place)
        os.chmod(place, 0o600)
        listening.listen(16)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        os.close(lock)
        if listening is not None:
            listening.close()
        raise
    return Claim(place, lock, listening)


def _lock_path(place: str) -> str:
    return f"{place}.lock"


def _is_still(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except OSError:
        return False


def _ask(place: str, line: bytes) -> bool | None:
    """Whether a request was accepted; None where nobody listens, or leaves without a word."""
    if sys.platform == "win32":
        return _ask_pipe(place, line)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(ANSWER_SECONDS)
        try:
            asking.connect(place)
            if not is_same_user(asking):
                return False
            asking.sendall(line)
            answer = b""
            while len(answer) < len(ACCEPTED):
                piece = asking.recv(len(ACCEPTED) - len(answer))
                if not piece:
                    return False if answer else None
                answer += piece
        except TimeoutError:
            return False
        except OSError:
            return None
    return answer == ACCEPTED


def _ask_pipe(place: str, line: bytes) -> bool | None:
    try:
        with open(place, "r+b", buffering=0) as pipe:
            pipe.write(line)
            return pipe.read(len(ACCEPTED)) == ACCEPTED
    except OSError:
        return None


def is_same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end is the same user's, where the system tells.

    Where it does not, the directory that only this user may enter has to do.
    """
    if sys.platform == "linux":
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, 17, 12))
        return bool(uid == os.getuid())
    if sys.platform == "darwin":
        told = connection.getsockopt(0, _MACOS_LOCAL_PEERCRED, 76)
        return bool(struct.unpack_from("=I", told, 4)[0] == os.getuid())
    return True


def meeting_place(environment: Mapping[str, str] = os.environ) -> str | None:
    """The path of the socket where this user's windows on this display meet.

    None where there is none: no display, or no directory that is safely the user's own. Windows
    with settings of their own (CKPTVIEWER_SETTINGS) keep apart, and so do displays.
    """
    display = environment.get("WAYLAND_DISPLAY") or environment.get("DISPLAY", "")
    if sys.platform == "linux" and not display:
        return None
    from hashlib import blake2b

    told = f"{display}\0{environment.get('CKPTVIEWER_SETTINGS', '')}"
    name = blake2b(told.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    if sys.platform == "win32":
        return rf"\\.\pipe\ckptviewer-{environment.get('USERNAME', '')}-{name}"
    for directory in _directories(environment):
        path = os.path.join(directory, f"{name}.socket")
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH and _is_private(directory):
            return path
    return None


def _directories(environment: Mapping[str, str]) -> list[str]:
    # Not by `tempfile`: its import takes longer than all the rest of this file's work.
    temporary = environment.get("TMPDIR") or "/tmp"
    found = [os.path.join(temporary, f"ckptviewer-{os.getuid()}")]
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        found.insert(0, os.path.join(runtime, "ckptviewer"))
    return found


def _is_private(directory: str) -> bool:
    """Whether the directory, made if need be, is the user's, and nobody else's in any way."""
    try:
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        found = os.lstat(directory)
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not stat.S_IMODE(found.st_mode) & 0o077
    )
