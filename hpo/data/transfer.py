"""One file over HTTP into an open file, taken up again where it was cut."""

from __future__ import annotations

import errno
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from hpo.errors import DataError, OutputError

PAUSES = (1.0, 2.0, 4.0, 8.0)
_TIMEOUT_S = 30.0
_CHUNK = 1 << 18
_WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)


class _InterruptedTransferError(Exception):
    """The transfer broke off and may go on at another attempt."""


class Transfer:
    """The transfer of `url` into `file`, unbuffered, which may hold its beginning already.

    path: of the file, for messages. progress: called with bytes had and bytes in all (None if unknown).
    pauses: seconds before each attempt that follows one that got no further. Proxies are those of the environment.
    """

    def __init__(
        self,
        url: str,
        file: FileIO,
        path: Path,
        progress: Callable[[int, int | None], None] | None = None,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        if not url.lower().startswith(("http://", "https://")):
            raise DataError(f"{url} is no web address; give one that begins with http:// or https://")
        self._url, self._file, self._path = url, file, path
        self._progress = progress
        self._pauses = pauses
        self._total: int | None = None
        self._has_been_answered = False
        self.had = file.seek(0, os.SEEK_END)
        """Bytes in the file."""

    def run(self) -> None:
        """Transfer what is missing.

        Raises DataError if the server cannot be reached, refuses, or breaks off too often; OutputError if the file
        cannot be written.
        """
        furthest, tries = self.had, 0
        while True:
            try:
                return self._attempt()
            except _InterruptedTransferError as fault:
                if self.had > furthest:
                    furthest, tries = self.had, 0
                if tries == len(self._pauses):
                    message = f"{self._url} broke off {tries + 1} times, last at {self.had:,} bytes ({fault})"
                    raise DataError(f"{message}; run the same command again to go on from there") from None
                time.sleep(self._pauses[tries])
                tries += 1

    def restart(self) -> None:
        """Forget what was transferred."""
        if self.had:
            self._file.truncate(0)
        self.had = 0

    def _attempt(self) -> None:
        response = self._open()
        if response is None:
            return
        with response:
            self._prepare(response)
            while chunk := self._read(response):
                self._write(chunk)
                if self._progress:
                    self._progress(self.had, self._total)
        if self._total is not None and self.had < self._total:
            raise _InterruptedTransferError(f"cut at {self.had:,} of {self._total:,} bytes")

    def _open(self) -> http.client.HTTPResponse | None:
        """The server's answer to a request for what is missing, or None if nothing is."""
        headers = {"User-Agent": "hpo", "Accept-Encoding": "identity"}
        if self.had:
            headers["Range"] = f"bytes={self.had}-"
        request = urllib.request.Request(self._url, headers=headers)
        try:
            response = urllib.request.build_opener().open(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            with error:
                self._check_refusal(error)
            return None
        except urllib.error.URLError as error:
            raise self._unreached(error.reason) from None
        except (OSError, http.client.HTTPException) as error:
            raise _InterruptedTransferError(_plain(error)) from None
        self._has_been_answered = True
        assert isinstance(response, http.client.HTTPResponse)
        return response

    def _check_refusal(self, error: urllib.error.HTTPError) -> None:
        """Return if all bytes are there already, else raise what the answer means."""
        self._has_been_answered = True
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and self.had:
            if _size_of_whole(error.headers.get("Content-Range")) == self.had:
                return
            self.restart()
            raise _InterruptedTransferError("the server's file is shorter than what was had")
        if error.code in _WORTH_ANOTHER_TRY:
            raise _InterruptedTransferError(f"HTTP {error.code} {error.reason}")
        raise DataError(f"{self._url} answers HTTP {error.code} {error.reason}; try another --url")

    def _unreached(self, reason: object) -> Exception:
        if self._has_been_answered:
            return _InterruptedTransferError(_plain(reason))
        return DataError(f"{self._url} cannot be reached: {_plain(reason)}; check the network and proxy settings")

    def _prepare(self, response: http.client.HTTPResponse) -> None:
        """Bring the file to where the answer goes on, and make sure that the rest has room."""
        known = self._total
        if response.status == http.client.PARTIAL_CONTENT:
            answered = response.headers.get("Content-Range", "")
            self._total = _size_of_whole(answered)
            if not answered.startswith(f"bytes {self.had}-") or known not in (None, self._total):
                self.restart()
                raise _InterruptedTransferError("the server's file has changed")
        else:
            self.restart()
            length = response.headers.get("Content-Length", "")
            self._total = int(length) if length.isdigit() else None
        if self._total is not None and self._total - self.had > _free_bytes(self._file):
            raise self._no_room()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _InterruptedTransferError(_plain(error)) from None

    def _write(self, chunk: bytes) -> None:
        try:
            self._file.seek(self.had)
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._no_room() from None
            raise OutputError(f"{self._path} cannot be written: {error.strerror}; give another --data-dir") from None
        self.had += len(chunk)

    def _no_room(self) -> OutputError:
        needed = "more" if self._total is None else f"{self._total - self.had:,} more bytes"
        return OutputError(f"no room for {self._path}: it needs {needed}; make room or give another --data-dir")


def _size_of_whole(content_range: str | None) -> int | None:
    match = re.search(r"/(\d+)$", content_range or "")
    return int(match[1]) if match else None


def _free_bytes(file: FileIO) -> int:
    room = os.fstatvfs(file.fileno())
    return room.f_bavail * room.f_frsize


def _plain(reason: object) -> str:
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
