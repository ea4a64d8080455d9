"""The server as a reader starts it: one process, one port, the book and JupyterLab behind one token."""

from __future__ import annotations

import http.cookiejar
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from napkinmath.errors import InputError
from workbook import cli, serve

TOKEN = "a-token"
START = """
import pathlib, sys
from workbook import serve
serve.site_folder = lambda: pathlib.Path(sys.argv[2])
serve.serve(int(sys.argv[1]))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((serve.HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int

    def get(self, path: str, reader: urllib.request.OpenerDirector | None = None) -> tuple[int, str]:
        reader = reader or urllib.request.build_opener()
        try:
            with reader.open(f"http://{serve.HOST}:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    site = folder / "html"
    (site / "labs").mkdir(parents=True)
    (site / "index.html").write_text("<title>The book</title>")
    (site / "labs" / "one.html").write_text("<title>A lab</title>")
    (folder / "secret.txt").write_text("not in the site")
    port = free_port()
    environment = os.environ | {
        "JUPYTER_TOKEN": TOKEN,
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(port), str(site)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if "Ctrl-C" in line:
            break
    else:
        pytest.fail("the server did not start")
    yield Server(process, port)
    if process.poll() is None:
        process.kill()
    process.wait()


@pytest.fixture
def reader(server: Server) -> urllib.request.OpenerDirector:
    """A browser that opened the printed address once: it has the cookie from then on."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    assert server.get(f"/book/index.html?token={TOKEN}", opener) == (200, "<title>The book</title>")
    return opener


def test_the_token_opens_book_and_jupyterlab_alike(server: Server, reader: urllib.request.OpenerDirector) -> None:
    assert server.get("/book/labs/one.html", reader)[1] == "<title>A lab</title>"
    assert server.get("/book/", reader)[1] == "<title>The book</title>"
    assert server.get("/lab/tree/README.md", reader)[0] == 200
    assert json.loads(server.get("/workbook/serve.json", reader)[1]) == {"lab_url": "/lab/tree/"}


@pytest.mark.parametrize("path", ["/book/index.html", "/workbook/serve.json", "/lab", "/api/contents"])
def test_nothing_opens_without_the_token(server: Server, path: str) -> None:
    _, body = server.get(path)
    assert "The book" not in body
    assert "lab_url" not in body
    assert "README.md" not in body


def test_only_the_site_is_served_as_the_book(server: Server, reader: urllib.request.OpenerDirector) -> None:
    status, body = server.get("/book/%2e%2e/secret.txt", reader)
    assert status in (403, 404)
    assert "not in the site" not in body


def test_it_listens_on_loopback_alone(server: Server) -> None:
    import psutil

    listening = [c.laddr for c in psutil.Process(server.process.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening} == {serve.HOST}
    assert server.port in {address.port for address in listening}


def test_a_taken_port_is_one_line_that_names_port_and_variable(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=f"^port {server.port} is taken.*PORT={server.port + 1}$"):
        serve.check_port(server.port)
    assert cli.main(["serve", "--port", str(server.port)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_port_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="70000"):
        serve.check_port(70000)


def test_without_a_site_it_says_how_to_build_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "site_folder", lambda: tmp_path)
    with pytest.raises(InputError, match="make book"):
        serve.serve(free_port())


def test_one_interrupt_ends_everything(server: Server) -> None:
    """Runs last: the server of this module ends here."""
    server.process.send_signal(signal.SIGINT)
    for _ in range(200):
        if server.process.poll() is not None:
            break
        time.sleep(0.1)
    assert server.process.poll() == 0
    serve.check_port(server.port)
