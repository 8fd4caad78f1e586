"""Chromium, which decodes JPEG XL with jxl-rs: a decoder in Rust that shares no code with libjxl.

It is behind a switch. A page asks for the codestream and hands it to WebGL, which takes samples as they were decoded,
without a colour space; what it then has comes back as floats, 1.0 for the largest value.
"""

from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

import numpy as np
import pytest
from peers import LOOPBACK, do_without, require, running

SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # it cannot have one as root; the only page is ours
    "--no-first-run",
    "--disable-background-networking",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--enable-features=JXLImageFormat",
)

PAGE = b"""<!doctype html><title>JPEG XL</title><script type="module">
async function decode() {
  const image = new Image();
  image.src = "image";
  await image.decode();
  const gl = new OffscreenCanvas(image.width, image.height).getContext("webgl2");
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, gl.RGBA, gl.FLOAT, image);
  gl.getExtension("EXT_color_buffer_float");
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const samples = new Float32Array(4 * image.width * image.height);
  gl.readPixels(0, 0, image.width, image.height, gl.RGBA, gl.FLOAT, samples);
  if (gl.getError()) throw new Error("WebGL takes no such image");
  return samples;
}
const done = (path, body) => fetch(path, {method: "POST", body});
const known = await ImageDecoder.isTypeSupported("image/jxl");
if (known) decode().then(samples => done("samples", samples), error => done("trouble", `${error}`));
else done("unknown", navigator.userAgent);
</script>"""


class Answer(NamedTuple):
    """What a page has to say."""

    path: str
    body: bytes


@contextmanager
def _serving(image):
    """The page and the image, at an address; and where its answer goes."""
    answers = deque()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body, kind = (image, "image/jxl") if self.path == "/image" else (PAGE, "text/html")
            self._answer(200 if self.path in ("/", "/image") else 404, body, kind)

        def do_POST(self):
            answers.append(Answer(self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(200, b"", "text/plain")

        def _answer(self, status, body, kind):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Nobody wants to know."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}/", answers
        finally:
            server.shutdown()
            thread.join()


def decode_jxl(codestream, rows, columns, folder):
    """Samples of a JPEG XL image, from 0.0 to 1.0, in the shape (rows, columns, 3).

    Chromium keeps 8 bits exactly. Of more it makes half-precision floats: see :func:`lost`.
    """
    chromium = require("chromium")
    with _serving(codestream) as (address, answers):
        command = [chromium, *SWITCHES, f"--user-data-dir={folder / 'profile'}", address]
        with running(command, folder / "chromium.log", lambda: answers):
            [answer] = answers
    if answer.path == "/unknown":
        do_without(f"this Chromium has no JPEG XL: {answer.body.decode()}")
    if answer.path == "/trouble":
        pytest.fail(f"chromium: {answer.body.decode()}")
    return np.frombuffer(answer.body, "<f4").reshape(rows, columns, 4)[..., :3]


def lost(shares):
    """By how much half-precision floats may be off: half a unit in the last of eleven significant bits.

    They are made of single-precision ones, so that what is in the middle between two may become either. What is below
    2**-14 Chromium halves.
    """
    return np.where(shares < 2.0**-14, shares / 2, np.spacing(np.float16(shares)) / 2) * (1 + 2.0**-10)
