"""The mails that docs/NOTIFY.md shows: two real local runs, a good one and one that fails, told to a real mail server.

    python -m benchmarks.mails          writes docs/images/mail-daily.png and mail-failure.png

Needs a Chromium on the PATH, which shows the HTML as it arrived, with the pictures that came within the mail.
"""

import base64
import io
import os
import shutil
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

from PIL import Image, ImageChops

from tests.support.mail import mail_server, parts

HOME = Path(".dawnlist/mails")
IMAGES = Path("docs/images")
SHOP = f"sqlite:///{HOME}/shop.db"
WIDTH, TALLEST = 760, 5000
COLOURS = 64
SETTINGS = """
limits: {{max_rejected: {max_rejected}}}
gate: {{margin: 0.03}} # 500 users say no more than this
notify: {{kubeflow_url: "https://kubeflow.example/pipeline", reports_url: "https://reports.example/shop"}}
"""
DAYS = {"2025-02-28": 0.5, "2025-03-01": 0.5, "2025-03-02": 0.0001}
"""Day -> the share of rows that may be rejected: on the last one, fewer than there always are."""


def main() -> None:
    """Simulate a shop, run two days and one that fails, and show what was mailed."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    dawnlist("simulate", "--users", "6000", "--items", "1500", "--days", "60", "--out", SHOP)
    settings = HOME / "settings.yaml"
    with mail_server() as server:
        for day, max_rejected in DAYS.items():
            settings.write_text(SETTINGS.format(max_rejected=max_rejected))
            dawnlist("run", "--local", "--source", SHOP, "--as-of", f"{day}T00:00:00Z", "--home", str(HOME),
                     "--namespace", "shop", "--settings", str(settings), urls=server.url)  # fmt: skip
        for mail in server.mails:
            print(f"{mail['Subject']}: {len(mail.as_bytes()):,} bytes")
        _, daily, failure = server.mails
    IMAGES.mkdir(exist_ok=True)
    show(daily, IMAGES / "mail-daily.png")
    show(failure, IMAGES / "mail-failure.png")


def dawnlist(*words: str, urls: str = "") -> None:
    """Run a command; one of the runs is meant to fail."""
    print(f"$ dawnlist {' '.join(words)}", flush=True)
    command = str(Path(sys.executable).parent / "dawnlist")
    told = {**os.environ, "DAWNLIST_NOTIFY_URLS": urls}
    subprocess.run([command, *words], check=False, stdout=subprocess.DEVNULL, env=told)


def show(mail: EmailMessage, target: Path) -> None:
    """A picture of a mail's HTML as a client shows it, without the empty ground below it."""
    _, html, pictures = parts(mail)
    for name, data in pictures.items():
        html = html.replace(
            f"cid:{name}", f"data:image/png;base64,{base64.b64encode(data).decode()}"
        )
    html = html.replace(str(Path.cwd()), "/app")  # as in the image, whoever's machine this is
    page, shot = (HOME / "mail.html").resolve(), (HOME / "mail.png").resolve()
    page.write_text(html)
    chromium = (
        shutil.which("chromium")
        or shutil.which("google-chrome")
        or sys.exit("no Chromium on the PATH")
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    subprocess.run([chromium, *options, f"--window-size={WIDTH},{TALLEST}", f"--screenshot={shot}", page.as_uri()],
                   check=True, capture_output=True, timeout=120)  # fmt: skip
    picture = Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")
    ground = Image.new("RGB", picture.size, picture.getpixel((0, TALLEST - 1)))
    bottom = (ImageChops.difference(picture, ground).getbbox() or (0, 0, WIDTH, TALLEST))[3]
    picture.crop((0, 0, WIDTH, bottom + 16)).quantize(COLOURS).save(target, optimize=True)
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
