"""Serve the site and JupyterLab together, on one port of the loopback interface, behind Jupyter's own token.

A Jupyter Server extension serves ``_build/html`` at ``/book/``, and tells the pages at ``/workbook/serve.json`` where JupyterLab is, so
that a lab's page can open its notebook. One process, one port, one Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import json
import socket
from typing import Any

from napkinmath.errors import InputError

from . import ROOT
from .build import site_folder
from .notebooks import lab_files

HOST = "127.0.0.1"


def check_port(port: int) -> None:
    """Raise unless ``port`` is free on the loopback interface.

    Raises:
        InputError: the port is taken, out of range, or not for this user.
    """
    if not 0 < port < 65536:
        raise InputError(f"port {port} is out of range: choose one from 1024 to 65535, such as: make serve PORT=8888")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise InputError(f"port {port} {why}: choose another, such as: make serve PORT={port + 1 if port >= 1024 else 8888}") from None


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Jupyter Server's hook: this module is the extension."""
    return [{"module": "workbook.serve"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Jupyter Server's hook: add the pages and the note that tells them where JupyterLab is."""
    from jupyter_server.base.handlers import AuthenticatedFileHandler, JupyterHandler
    from tornado.web import RedirectHandler, authenticated

    base = server.web_app.settings["base_url"].rstrip("/")

    class BookHandler(AuthenticatedFileHandler):
        """A page of the book. Its scripts run, unlike those of a file that a user opens from the file browser."""

        @property
        def content_security_policy(self) -> str:
            return "frame-ancestors 'self'; object-src 'none'"

        def check_xsrf_cookie(self) -> None:
            """Allow a page to be opened from the address bar: the site is read-only, and its token is still asked for."""

    class ServeHandler(JupyterHandler):
        """Where JupyterLab is, for the pages' script."""

        @authenticated
        def get(self) -> None:
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps({"lab_url": f"{base}/lab/tree/"}))

    site = {"path": str(site_folder()), "default_filename": "index.html"}
    server.web_app.add_handlers(
        ".*$",
        [
            (f"{base}/book", RedirectHandler, {"url": f"{base}/book/index.html"}),
            (f"{base}/book/(.*)", BookHandler, site),
            (f"{base}/workbook/serve.json", ServeHandler),
        ],
    )


def server_config(port: int, open_browser: bool) -> dict[str, Any]:
    """Jupyter Server's configuration: loopback only, its token kept, this port or none, the book as the first page."""
    return {
        "ServerApp": {
            "ip": HOST,
            "port": port,
            "port_retries": 0,
            "root_dir": str(ROOT),
            "default_url": "/book/index.html",
            "open_browser": open_browser,
            "allow_root": True,  # containers: the server is bound to the loopback interface either way
            "log_level": "ERROR",
            "answer_yes": True,  # Ctrl-C ends it without asking
            "jpserver_extensions": {"jupyterlab": True, "workbook.serve": True},
        }
    }


def trust_labs() -> None:
    """Sign the book's own notebooks, so that JupyterLab shows the SVG charts that are recorded in them."""
    import nbformat
    from nbformat.sign import NotebookNotary

    notary = NotebookNotary()
    for path in lab_files(ROOT / "labs"):
        notary.sign(nbformat.read(path, as_version=4))


def serve(port: int, open_browser: bool = False) -> None:
    """Serve until Ctrl-C.

    Raises:
        InputError: the port is taken, or the site is not built.
    """
    from jupyter_server.serverapp import ServerApp
    from traitlets.config import Config

    check_port(port)
    if not (site_folder() / "index.html").exists():
        raise InputError(f"there is no site at {site_folder()}: run 'make book' first")
    trust_labs()
    app = ServerApp.instance(config=Config(server_config(port, open_browser)))
    app.initialize(argv=[])
    app.io_loop.add_callback(_announce, port, app.identity_provider.token)
    app.start()


def _announce(port: int, token: str) -> None:
    query = f"?token={token}" if token else ""
    print(f"The book:    http://{HOST}:{port}/book/index.html{query}")
    print(f"JupyterLab:  http://{HOST}:{port}/lab{query}")
    print("Ctrl-C ends both.", flush=True)


def register(commands: Any) -> None:
    parser = commands.add_parser("serve", help="serve the site and JupyterLab on one port of this machine")
    parser.add_argument("--port", type=int, default=8888)
    parser.add_argument("--open", action="store_true", help="open the book in a browser")
    parser.set_defaults(run=_main)


def _main(args: argparse.Namespace) -> int:
    serve(args.port, args.open)
    return 0
