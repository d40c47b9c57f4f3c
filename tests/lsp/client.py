"""A language client for the tests: it starts ``el lsp`` and speaks with it over its standard input and output."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

PATIENCE = 60.0


class Client:
    """Every message that is not the answer to a request is kept in ``heard``."""

    def __init__(self, folder: Path, *options: str) -> None:
        root = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(
            [sys.executable, *options, "-m", "energylang", "lsp", "--stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.errors = b""
        self.number = 0
        threading.Thread(target=self._listen, daemon=True).start()
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while True:
            length = 0
            while (line := stream.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not length:
                return
            message = json.loads(stream.read(length))
            (self.answers if "id" in message and "method" not in message else self.heard).put(message)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self.process.stdin.flush()

    def tell(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The whole answer to a request: with a ``result`` or an ``error``."""
        self.number += 1
        self._send({"id": self.number, "method": method, "params": params})
        answer = self.answers.get(timeout=PATIENCE)
        assert answer["id"] == self.number
        return answer

    def start(self, folder: Path, **options: Any) -> dict[str, Any]:
        params = {"processId": os.getpid(), "rootUri": folder.as_uri(), "capabilities": {}, **options}
        found: dict[str, Any] = self.ask("initialize", params)["result"]
        self.tell("initialized")
        return found

    def open(self, uri: str, text: str) -> None:
        document = {"uri": uri, "languageId": "energy", "version": 1, "text": text}
        self.tell("textDocument/didOpen", textDocument=document)

    def change(self, uri: str, version: int, text: str) -> None:
        self.tell(
            "textDocument/didChange",
            textDocument={"uri": uri, "version": version},
            contentChanges=[{"text": text}],
        )

    def diagnostics(self, uri: str, version: int | None = None) -> list[dict[str, Any]]:
        """The next diagnostics of a document (of a version of it)."""
        while True:
            message = self.heard.get(timeout=PATIENCE)
            params = message.get("params", {})
            if message["method"] != "textDocument/publishDiagnostics" or params["uri"] != uri:
                continue
            if version is None or params.get("version") == version:
                found: list[dict[str, Any]] = params["diagnostics"]
                return found

    def at(self, method: str, uri: str, line: int, character: int, **more: Any) -> Any:
        """The result of a request about a place."""
        params = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}, **more}
        answer = self.ask(f"textDocument/{method}", params)
        assert "error" not in answer, answer
        return answer["result"]

    def about(self, method: str, uri: str, **more: Any) -> Any:
        """The result of a request about a document."""
        answer = self.ask(f"textDocument/{method}", {"textDocument": {"uri": uri}, **more})
        assert "error" not in answer, answer
        return answer["result"]

    def stop(self) -> int:
        """Say good-bye; the exit code."""
        self.ask("shutdown")
        self._send({"method": "exit"})
        code = self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def applied(text: str, edits: list[dict[str, Any]]) -> str:
    """A text after the protocol's edits of it (columns in UTF-16)."""
    lines = text.split("\n")

    def offset(place: dict[str, int]) -> int:
        before = sum(len(line) + 1 for line in lines[: place["line"]])
        line = lines[place["line"]] if place["line"] < len(lines) else ""
        units = line.encode("utf-16-le")[: 2 * place["character"]]
        return min(before + len(units.decode("utf-16-le")), len(text))

    places = [
        (offset(edit["range"]["start"]), offset(edit["range"]["end"]), edit["newText"]) for edit in edits
    ]
    for start, end, new in sorted(places, reverse=True):
        text = text[:start] + new + text[end:]
    return text
