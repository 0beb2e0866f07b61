"""Pictures of the demo shop before and after a click, for docs/images. `make demo` has to have run.

.venv/bin/python benchmarks/demo_shop_pictures.py
"""

import contextlib
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # the tests' browser

from demo import background

from tests.support.chromium import chromium, wait_until

IMAGES = Path("docs/images")
WIDTH, HEIGHT = 1280, 800


def main() -> None:
    """Open the shop, take a picture, click the second title, and take another picture."""
    with contextlib.ExitStack() as stack:
        serve = background("serve", "/v2/models/dawnlist/ready", "--log-answers")
        predictor = stack.enter_context(serve)
        collector = stack.enter_context(background("collect", "/readyz"))
        words = ("--predictor", predictor, "--collector", collector)
        shop = stack.enter_context(background("demo-shop", "/", *words, takes_home=False))
        browser = stack.enter_context(chromium(Path(tempfile.mkdtemp())))
        tab = browser.open_tab(f"{shop}/")
        shelf = "[...document.querySelectorAll('#shelf li')].map(e => e.dataset.item).join()"
        wait_until(lambda: tab.evaluate(shelf))
        before = tab.evaluate(shelf)
        tab.take_screenshot(IMAGES / "demo-shop-before.png", WIDTH, HEIGHT)
        tab.evaluate("document.querySelectorAll('#shelf li')[1].querySelector('button').click(); 0")
        wait_until(lambda: tab.evaluate(shelf) not in ("", before))
        tab.take_screenshot(IMAGES / "demo-shop-after.png", WIDTH, HEIGHT)
        print(f"before: {before}\nafter:  {tab.evaluate(shelf)}")


if __name__ == "__main__":
    main()
