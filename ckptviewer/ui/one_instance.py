"""The window's side of `hand_over`: what other processes hand over comes in here, as a signal."""

from __future__ import annotations

import os
import socket
import sys

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from ckptviewer.ui.hand_over import (
    ACCEPTED,
    MOST_BYTES,
    REFUSED,
    BadRequestError,
    Claim,
    Request,
    decode,
    is_same_user,
)

MOST_CONNECTIONS = 16
PATIENCE_MS = 3000


class OneInstance(QObject):
    """Listens at a claimed place until it is closed.

    requested: somebody of the same user wants to see something (a `hand_over.Request`).
    """

    requested = Signal(Request)

    def __init__(self, claim: Claim, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._claim = claim
        self._connections: dict[QLocalSocket, bytearray] = {}
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._accept)
        descriptor = claim.descriptor()
        if descriptor is None:
            self.is_listening = self._server.listen(claim.path)
        else:
            self.is_listening = self._server.listen(descriptor)

    def close(self) -> None:
        """Stop listening, and let the next process have the place."""
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        self._claim.give_back()

    def _accept(self) -> None:
        while (connection := self._server.nextPendingConnection()) is not None:
            if len(self._connections) >= MOST_CONNECTIONS or not _is_ours(connection):
                connection.abort()
                connection.deleteLater()
                continue
            self._connections[connection] = bytearray()
            connection.disconnected.connect(self._forget)
            connection.readyRead.connect(self._read)
            QTimer.singleShot(PATIENCE_MS, connection, connection.abort)
            if connection.bytesAvailable():
                self._take(connection)

    def _read(self) -> None:
        connection = self.sender()
        if isinstance(connection, QLocalSocket):
            self._take(connection)

    def _take(self, connection: QLocalSocket) -> None:
        received = self._connections.get(connection)
        if received is None:
            return
        received += connection.read(MOST_BYTES + 1 - len(received)).data()
        line, newline, rest = received.partition(b"\n")
        if not newline and len(received) <= MOST_BYTES:
            return
        try:
            if not newline or rest:
                raise BadRequestError("more than a request, or no end of it")
            request = decode(bytes(line))
        except BadRequestError:
            self._answer(connection, REFUSED)
            return
        self._answer(connection, ACCEPTED)
        self.requested.emit(request)

    def _answer(self, connection: QLocalSocket, answer: bytes) -> None:
        self._connections.pop(connection, None)  # whatever else comes on it is not heard
        connection.write(answer)
        connection.flush()
        connection.disconnectFromServer()

    def _forget(self) -> None:
        connection = self.sender()
        if isinstance(connection, QLocalSocket):
            self._connections.pop(connection, None)
            connection.deleteLater()


def _is_ours(connection: QLocalSocket) -> bool:
    if sys.platform == "win32":
        return True  # the pipe itself lets nobody else in
    with socket.socket(fileno=os.dup(int(connection.socketDescriptor()))) as same:
        return is_same_user(same)
