"""The page of `tessera verify --report` in a real browser: no complaint, and its controls work."""
import json
import re
import shutil
import subprocess

import pytest
from conftest import run_tessera

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")

# What a person would do; what came of it goes into the title.
VISIT = """<script>
const column = () => [...document.querySelectorAll("#worst tbody tr")].map(r => +r.cells[1].textContent);
const button = document.querySelectorAll("#worst th button")[1], seen = {};
button.click(); seen.rising = column();
button.click(); seen.falling = column();
const map = document.querySelector("#experts .map");
map.focus(); seen.first = map.querySelector("output").textContent;
for (const key of ["ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp"])
  map.dispatchEvent(new KeyboardEvent("keydown", {key, cancelable: true}));
seen.moved = map.querySelector("output").textContent;
document.title = JSON.stringify(seen);
</script></body>"""


def open_page(page, *options):
    done = subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1300,2400", *options, page.as_uri()],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert ":CONSOLE" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def page(workshop, tmp_path_factory):
    plain = workshop.synth("v3", "bf16")
    path = tmp_path_factory.mktemp("report") / "report.html"
    run_tessera("verify", plain, workshop.cast(plain, "--to", "fp8"), "--report", path)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_a_complaint(page, scheme):
    picture = page.with_name(f"{scheme}.png")
    open_page(page, f"--screenshot={picture}",
              f"--blink-settings=preferredColorScheme={int(scheme == 'light')}")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 50_000


def test_tables_sort_and_arrow_keys_choose_cells(page):
    visited = page.with_name("visited.html")
    visited.write_text(page.read_text().replace("</body>", VISIT))
    title = re.search(r"<title>(.*?)</title>", open_page(visited, "--dump-dom"), re.S)[1]
    seen = json.loads(title)
    assert seen["rising"] == sorted(seen["rising"]) and len(set(seen["rising"])) > 10
    assert seen["falling"] == sorted(seen["rising"], reverse=True)
    assert re.match(r"layer 1, expert 0: \d+\.\d\d dB", seen["first"]), seen["first"]
    assert re.match(r"layer 1, expert 1: \d+\.\d\d dB", seen["moved"]), seen["moved"]
