"""The page of `tessera verify --report` in a real browser: no complaint, and its controls work."""
import json
import re
import shutil
import subprocess

import pytest
from conftest import REPOSITORY, run_tessera

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")

# Kept, for a person to look at.
PICTURES = REPOSITORY / "build/report"

# A window that is not in front yet gives no focus, and tells no element of it.
FOCUS = """<script>
const focusOn = element => {
  element.focus();
  if (!document.hasFocus()) element.dispatchEvent(new FocusEvent("focus"));
};
"""

# What a person would do; what came of it goes into the title.
VISIT = FOCUS + """
const column = () => [...document.querySelectorAll("#worst tbody tr")].map(r => +r.cells[1].textContent);
const button = document.querySelectorAll("#worst th button")[1], seen = {};
button.click(); seen.rising = column();
button.click(); seen.falling = column();
const map = document.querySelector("#experts .map");
focusOn(map); seen.first = map.querySelector("output").textContent;
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


# The same for a page about predictions.
VISIT_FORWARD = FOCUS + """
const column = () => [...document.querySelectorAll("#tokens tbody tr")].map(r => +r.cells[2].textContent);
const button = document.querySelectorAll("#tokens th button")[2], seen = {falling: column()};
button.click(); seen.rising = column();
const press = (element, ...keys) => {
  focusOn(element);
  for (const key of keys) element.dispatchEvent(new KeyboardEvent("keydown", {key, cancelable: true}));
  return element.querySelector("output").textContent;
};
const of = (section, kind) => document.querySelector(`#${section} .${kind}`);
seen.first = press(of("depth", "chart"));
seen.last = press(of("depth", "chart"), "End", "ArrowRight");
seen.before = press(of("depth", "chart"), "ArrowLeft");
seen.divergence = press(of("divergence", "chart"), "End");
seen.routing = press(of("routing", "chart"), "Home");
seen.expert = press(of("loads", "map"), "ArrowDown", "ArrowRight");
document.title = JSON.stringify(seen);
</script></body>"""


@pytest.fixture(scope="module")
def forward_page(workshop, tmp_path_factory):
    plain = workshop.synth("v3", "bf16")
    folder = tmp_path_factory.mktemp("forward-report")
    (folder / "ids.txt").write_text(" ".join(str(i * 7919 % 640) for i in range(400)))
    run_tessera("verify", plain, workshop.cast(plain, "--to", "fp8"), "--forward", "--tokens",
                folder / "ids.txt", "--gate", "kl=inf", "--gate", "top1=-inf", "--report",
                folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize("kind", ["page", "forward_page"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_a_complaint(request, kind, scheme):
    page = request.getfixturevalue(kind)
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture = PICTURES / f"{kind}-{scheme}.png"
    picture.unlink(missing_ok=True)
    open_page(page, f"--screenshot={picture}",
              f"--blink-settings=preferredColorScheme={int(scheme == 'light')}")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 50_000


def visit(page, script):
    visited = page.with_name("visited.html")
    visited.write_text(page.read_text().replace("</body>", script))
    return json.loads(re.search(r"<title>(.*?)</title>", open_page(visited, "--dump-dom"), re.S)[1])


def test_tables_sort_and_arrow_keys_choose_cells(page):
    seen = visit(page, VISIT)
    assert seen["rising"] == sorted(seen["rising"]) and len(set(seen["rising"])) > 10
    assert seen["falling"] == sorted(seen["rising"], reverse=True)
    assert re.match(r"layer 1, expert 0: \d+\.\d\d dB", seen["first"]), seen["first"]
    assert re.match(r"layer 1, expert 1: \d+\.\d\d dB", seen["moved"]), seen["moved"]


def test_arrow_keys_walk_along_charts(forward_page):
    seen = visit(forward_page, VISIT_FORWARD)
    assert len(seen["falling"]) == 10 and seen["falling"] == sorted(seen["rising"], reverse=True)
    assert seen["rising"] == sorted(seen["rising"]) and len(set(seen["rising"])) > 5
    for key, layer in (("first", 0), ("last", 2), ("before", 1)):
        assert re.match(rf"layer {layer}: error \d\S*, cosine 0\.\d+", seen[key]), seen[key]
    assert re.match(r"100.0 %: at most \d\S* nats", seen["divergence"]), seen["divergence"]
    assert re.match(r"layer 1: \d\d\.\d\d % of the experts", seen["routing"]), seen["routing"]
    assert re.match(r"layer 2, expert 1: A sends \d+, B \d+, \d+ of them", seen["expert"]), seen["expert"]
