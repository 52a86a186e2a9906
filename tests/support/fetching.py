"""Archives that tests write, and a server that gives them away."""

import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from defectbench.config.fetch import FetchSettings
from defectbench.data.fetch import FetchError, fetch

FILES = {"images/a.jpg": b"first", "images/deep/b.jpg": b"second", "train.csv": b""}


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            member = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            content = b"" if member is data else data
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def zip_link(name, target):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped({info: target})


class Server:
    """Answers with ``files``; a file of ``short`` ends before its announced length, one of ``stuck`` never ends."""

    def __init__(self):
        self.files, self.short, self.stuck, self.asked = {}, set(), set(), []
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        self.asked.append(request.path)
        data = self.files.get(request.path)
        request.send_response(200 if data is not None else 404)
        request.send_header("Content-Length", str(len(data or b"")))
        request.end_headers()
        cut = request.path in self.short | self.stuck
        request.wfile.write((data or b"")[: len(data or b"") // 2 if cut else None])
        request.wfile.flush()
        if request.path in self.stuck:
            self.over.wait(30)

    def source(self, name, data):
        self.files[f"/{name}"] = data
        return FetchSettings(url=f"{self.address}/{name}", sha256=hashlib.sha256(data).hexdigest())

    @property
    def address(self):
        return f"http://127.0.0.1:{self.http.server_port}"


def contents(folder):
    """Path inside ``folder`` -> bytes, of all files."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def message(source, root):
    """The message to the user when ``source`` cannot be fetched."""
    with pytest.raises(FetchError) as error:
        fetch(source, root)
    return str(error.value)
