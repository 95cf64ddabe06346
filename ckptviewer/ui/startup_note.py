"""Telling an X desktop that a start is over, where it ends without a window of its own.

A desktop that starts a program shows so at the pointer until a window comes with the start's id.
A process that hands its paths over makes none, so it says by itself that all is done: by the
"remove" message of freedesktop.org's startup notification protocol, version 0.1.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_CLIENT_MESSAGE = 33
_PROPERTY_CHANGE = 1 << 22
_BYTES_A_MESSAGE = 20
_INPUT_ONLY = 2


class _Screens(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("rem", ctypes.c_int), ("index", ctypes.c_int))


class _Atom(ctypes.Structure):
    _fields_ = (
        ("response_type", ctypes.c_uint8), ("pad", ctypes.c_uint8), ("sequence", ctypes.c_uint16),
        ("length", ctypes.c_uint32), ("atom", ctypes.c_uint32),
    )  # fmt: skip


def tell_start_is_over() -> bool:
    """End the desktop's waiting for this start; whether there was an X desktop that waits."""
    start_id = os.environ.get("DESKTOP_STARTUP_ID", "")
    if not start_id or not os.environ.get("DISPLAY") or not sys.platform.startswith("linux"):
        return False
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return False
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    try:
        if xcb.xcb_connection_has_error(connection):
            return False
        _send(xcb, connection, message(start_id))
    finally:
        xcb.xcb_disconnect(connection)
    return True


def message(start_id: str) -> bytes:
    """The text that says that a start is over, with the zero at its end."""
    quoted = start_id.replace("\\", "\\\\").replace('"', '\\"')
    return f'remove: ID="{quoted}"'.encode("utf-8", "surrogateescape") + b"\0"


def events(text: bytes, window: int, begin: int, more: int) -> list[bytes]:
    """The text as the events of X that carry it; `begin`, `more`: types of the first and others."""
    pieces = [text[at : at + _BYTES_A_MESSAGE] for at in range(0, len(text), _BYTES_A_MESSAGE)]
    return [
        struct.pack("=BBHII20s", _CLIENT_MESSAGE, 8, 0, window, more if number else begin, piece)
        for number, piece in enumerate(pieces)
    ]


def _send(xcb: ctypes.CDLL, connection: ctypes.c_void_p, text: bytes) -> None:
    xcb.xcb_get_setup.restype = ctypes.c_void_p
    xcb.xcb_setup_roots_iterator.restype = _Screens
    screens = xcb.xcb_setup_roots_iterator(ctypes.c_void_p(xcb.xcb_get_setup(connection)))
    root = ctypes.c_uint32.from_address(screens.data).value
    xcb.xcb_generate_id.restype = ctypes.c_uint32
    window = xcb.xcb_generate_id(connection)
    place = [ctypes.c_int16(0)] * 2 + [ctypes.c_uint16(1)] * 2
    xcb.xcb_create_window(
        connection, ctypes.c_uint8(0), window, root, *place, ctypes.c_uint16(0),
        ctypes.c_uint16(_INPUT_ONLY), 0, 0, None,
    )  # fmt: skip
    begin, more = (
        _atom(xcb, connection, name) for name in (b"_NET_STARTUP_INFO_BEGIN", b"_NET_STARTUP_INFO")
    )
    for event in events(text, window, begin, more):
        xcb.xcb_send_event(connection, ctypes.c_uint8(0), root, _PROPERTY_CHANGE, event)
    xcb.xcb_flush(connection)
    _atom(xcb, connection, b"_NET_STARTUP_INFO")  # an answer: all that came before was taken


def _atom(xcb: ctypes.CDLL, connection: ctypes.c_void_p, name: bytes) -> int:
    class Cookie(ctypes.Structure):
        _fields_ = (("sequence", ctypes.c_uint),)

    xcb.xcb_intern_atom.restype = Cookie
    xcb.xcb_intern_atom_reply.restype = ctypes.POINTER(_Atom)
    cookie = xcb.xcb_intern_atom(connection, ctypes.c_uint8(0), ctypes.c_uint16(len(name)), name)
    reply = xcb.xcb_intern_atom_reply(connection, cookie, None)
    if not reply:
        return 0
    atom = int(reply.contents.atom)
    ctypes.CDLL(None).free(reply)
    return atom
