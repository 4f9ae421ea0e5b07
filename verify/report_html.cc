#include "verify/report_html.h"

#include <cctype>
#include <cmath>

#include "verify/number_text.h"

namespace tessera {
namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c2126;--soft:#5c6670;--line:#e1e4e7;
--ok:#0f6b53;--okbg:#e2f3ec;--bad:#a4123f;--badbg:#fbe6ec;--exact:#cfe9de;--rounded:#93cdb6;
--far:#d9600b;--below:#f7b066;--usual:#dfe3e8;--above:#7fb2e0;--failed:#a4123f;--missing:#9aa3ab}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--card:#1c2024;--ink:#e7eaed;--soft:#9aa5af;
--line:#30363c;--ok:#7fd6b7;--okbg:#173a30;--bad:#ff8fae;--badbg:#451a29;--exact:#1f463a;
--rounded:#37806a;--far:#e8731d;--below:#9c5a1c;--usual:#3d454d;--above:#3f78ad;--failed:#e0416f;
--missing:#68727b}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header{max-width:1240px;margin:0 auto;padding:0 24px}
header{padding-top:36px}
h1{font-size:15px;font-weight:600;color:var(--soft);margin:0 0 14px;letter-spacing:.02em}
h2{font-size:19px;margin:0 0 6px}
.verdict{color:var(--ink);max-width:none;font-size:25px;line-height:1.35;font-weight:600;margin:0;padding:20px 24px;
border-radius:12px;overflow-wrap:anywhere;border-left:6px solid}
.pass{background:var(--okbg);border-color:var(--ok)}
.fail{background:var(--badbg);border-color:var(--bad)}
.verdict b{display:block;font-size:13px;letter-spacing:.08em;text-transform:uppercase}
.pass b{color:var(--ok)}.fail b,.bad{color:var(--bad)}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:16px;
margin:16px 0 0;padding:0}
.numbers div{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:16px 20px}
.numbers dd{margin:0;font-size:32px;font-weight:650;font-variant-numeric:tabular-nums;
letter-spacing:-.01em}
.numbers div{display:flex;flex-direction:column-reverse;justify-content:flex-end}
.numbers dt{color:var(--soft);font-size:14px}
nav{margin:18px 0 0;font-size:14px}nav a{margin-right:18px;display:inline-block}
a{color:inherit;text-decoration-color:var(--soft);text-underline-offset:3px}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:20px 24px;margin:20px 0;scroll-margin-top:12px}
p{margin:0 0 12px;color:var(--soft);max-width:75ch}
.scroll{overflow:auto;max-height:600px}
thead th{position:sticky;top:0;background:var(--card)}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 10px 6px 0;border-bottom:1px solid var(--line);
vertical-align:baseline;white-space:nowrap}
td:first-child:not(.n){white-space:normal;min-width:230px}
td:last-child{white-space:normal;min-width:140px}
.n{text-align:right;padding-right:16px}
th button{all:unset;cursor:pointer;font-weight:600;color:var(--soft)}
th button::after{content:" \2195";opacity:.45}
th[aria-sort=ascending] button::after{content:" \2191";opacity:1}
th[aria-sort=descending] button::after{content:" \2193";opacity:1}
:focus-visible{outline:2px solid #3d8bd4;outline-offset:2px;border-radius:4px}
svg text{font-size:10.5px;fill:var(--soft)}text.r{text-anchor:end}
text.m{font-size:8.5px;text-anchor:middle;fill:var(--ink)}
.map svg{width:100%;height:auto;display:block}
.detail{display:block;min-height:1.6em;font-size:14px;font-variant-numeric:tabular-nums}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;margin:0 0 10px;
font-size:13px;color:var(--soft)}
.legend svg{vertical-align:-2px;margin-right:6px;border-radius:3px}
.t-exact{fill:var(--exact)}.t-rounded{fill:var(--rounded)}.t-far{fill:var(--far)}
.t-below{fill:var(--below)}.t-usual{fill:var(--usual)}.t-above{fill:var(--above)}
.t-failed{fill:var(--failed)}.t-missing{fill:var(--missing);fill-opacity:.45}
.grid{stroke:var(--card);stroke-width:1.2;fill:none}
.cross{stroke:#fff;stroke-width:1.2;fill:none}
.cursor{fill:none;stroke:var(--ink);stroke-width:1.6}
.bar{display:inline-block;height:10px;border-radius:3px;background:var(--rounded);
vertical-align:baseline;min-width:2px}
pre{margin:0 0 12px;padding:12px 16px;background:var(--bg);border:1px solid var(--line);
border-radius:8px;overflow-x:auto;font-size:13.5px}
details summary{cursor:pointer}
main{padding-bottom:40px}
.chart svg{width:100%;max-width:1040px;height:auto;display:block}
.chart text.y{text-anchor:end}.chart text.x{text-anchor:middle}
.chart .line{fill:none;stroke:#3d8bd4;stroke-width:2;stroke-linejoin:round}
.chart .second{stroke:var(--far);stroke-dasharray:5 3}
.chart .band{fill:var(--usual);fill-opacity:.7}
.chart .anchor{stroke:var(--soft);stroke-dasharray:3 3}
.chart .axis{stroke:var(--line);fill:none}
.chart .cursor{stroke:var(--ink);stroke-width:1}
.swatch{display:inline-block;width:14px;height:4px;vertical-align:3px;margin-right:6px}
.s-line{background:#3d8bd4}.s-second{background:var(--far)}
.s-band{background:var(--usual);height:12px;vertical-align:-1px}
@media(max-width:600px){.verdict{font-size:19px}main,header{padding-left:14px;
padding-right:14px}section{padding:16px 14px}}
@media print{nav,.detail,th button::after{display:none}section{break-inside:avoid}}
)css";

// Sorting of tables, and the chosen cell of heat maps.
constexpr std::string_view kScript = R"js(
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((th, i) => th.firstChild.addEventListener("click", () => {
    const down = th.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => row.cells[i].dataset.key ?? row.cells[i].textContent;
    const rows = [...table.tBodies[0].rows];
    rows.sort((x, y) => {
      const a = key(x), b = key(y);
      const numbers = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
      const order = numbers ? a - b : a.localeCompare(b, "en", {numeric: true});
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows);
  }));
}
for (const map of document.querySelectorAll(".map")) {
  const svg = map.querySelector("svg"), cursor = map.querySelector(".cursor");
  const output = map.querySelector("output"), d = svg.dataset;
  const data = JSON.parse(map.querySelector("script").textContent);
  const width = data.columns.length, height = data.rows.length;
  let column = 0, row = 0;
  const choose = (c, r) => {
    if (c < 0 || r < 0 || c >= width || r >= height) return;
    [column, row] = [c, r];
    cursor.setAttribute("x", c * d.w);
    cursor.setAttribute("y", r * d.h);
    cursor.setAttribute("visibility", "visible");
    const text = data.texts[data.cells[r * width + c]];
    const layer = isNaN(data.rows[r]) ? data.rows[r] : "layer " + data.rows[r];
    const what = isNaN(data.columns[c]) ? data.columns[c] : "expert " + data.columns[c];
    output.textContent = layer + ", " + what + ": " + (text || "none in this layer");
  };
  svg.addEventListener("pointermove", event => {
    const at = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(svg.getScreenCTM().inverse());
    choose(Math.floor((at.x - d.left) / d.w), Math.floor((at.y - d.top) / d.h));
  });
  map.addEventListener("focus", () => choose(column, row));
  map.addEventListener("keydown", event => {
    const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    choose(column + step[0], row + step[1]);
  });
}
for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg"), cursor = chart.querySelector(".cursor");
  const output = chart.querySelector("output");
  const data = JSON.parse(chart.querySelector("script").textContent);
  let chosen = 0;
  const choose = i => {
    if (i < 0 || i >= data.at.length) return;
    chosen = i;
    cursor.setAttribute("transform", `translate(${data.at[i]} 0)`);
    cursor.setAttribute("visibility", "visible");
    output.textContent = data.columns[i] + ": " + data.texts[data.cells[i]];
  };
  svg.addEventListener("pointermove", event => {
    const at = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(svg.getScreenCTM().inverse()).x;
    let nearest = 0;
    data.at.forEach((x, i) => {
      if (Math.abs(x - at) < Math.abs(data.at[nearest] - at)) nearest = i;
    });
    choose(nearest);
  });
  chart.addEventListener("focus", () => choose(chosen));
  chart.addEventListener("keydown", event => {
    const goal = {ArrowLeft: chosen - 1, ArrowRight: chosen + 1, Home: 0,
                  End: data.at.length - 1}[event.key];
    if (goal === undefined) return;
    event.preventDefault();
    choose(goal);
  });
}
)js";

std::string Element(std::string_view tag, std::string_view attributes, std::string_view content) {
  std::string html = "<" + std::string(tag);
  if (!attributes.empty()) html += " " + std::string(attributes);
  return html + ">" + std::string(content) + "</" + std::string(tag) + ">";
}

// Long tensor names may wrap there. What EscapeHtml writes has no dots of its own.
std::string BreakAtDots(const std::string& escaped) {
  std::string html;
  for (size_t i = 0; i < escaped.size(); ++i) {
    html += escaped[i];
    const bool within_name =
        i + 1 < escaped.size() && std::isalpha(static_cast<unsigned char>(escaped[i + 1])) != 0;
    if (escaped[i] == '.' && within_name) html += "<wbr>";
  }
  return html;
}

std::string RenderHead(const Page& page) {
  std::string numbers, links;
  for (const PageNumber& number : page.numbers) {
    numbers += Element(
        "div", "",
        Element("dt", "", EscapeHtml(number.label)) + Element("dd", "", EscapeHtml(number.value)));
  }
  for (const PageSection& section : page.sections) {
    links += Element("a", "href=\"#" + section.id + "\"", EscapeHtml(section.title));
  }
  return Element(
      "header", "",
      Element("h1", "", EscapeHtml(page.title)) +
          Element("p", page.passes ? "class=\"verdict pass\"" : "class=\"verdict fail\"",
                  Element("b", "", page.passes ? "Passes" : "Fails") + EscapeHtml(page.verdict)) +
          Element("dl", "class=\"numbers\"", numbers) +
          Element("nav", "aria-label=\"Sections\"", links));
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        // Control characters are no HTML.
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n') escaped += c;
    }
  }
  return escaped;
}

std::string EmbedJson(const Json& data) {
  std::string json = data.dump(-1, ' ', true, Json::error_handler_t::replace);
  // "</script>" inside a string would end the element.
  for (size_t at = 0; (at = json.find('<', at)) != std::string::npos;) {
    json.replace(at, 1, "\\u003c");
  }
  return "<script type=\"application/json\">" + json + "</script>";
}

HtmlCell CountCell(uint64_t count) { return {.text = std::to_string(count), .number = true}; }

HtmlCell NumberCell(double value, const char* format) {
  const double key = std::isinf(value) ? std::copysign(1e300, value) : value;
  return {.text = NumberText(value, format), .sort_key = NumberText(key, "%.17g"), .number = true};
}

std::string RenderTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<HtmlCell>>& rows) {
  std::string head, body;
  for (size_t i = 0; i < header.size(); ++i) {
    const bool number = !rows.empty() && rows[0][i].number;
    head += Element("th", number ? "scope=\"col\" class=\"n\"" : "scope=\"col\"",
                    Element("button", "type=\"button\"", EscapeHtml(header[i])));
  }
  for (const std::vector<HtmlCell>& row : rows) {
    std::string cells;
    for (const HtmlCell& cell : row) {
      const std::string css = std::string(cell.number ? "n" : "") + (cell.bad ? " bad" : "");
      std::string attributes = css.empty() ? "" : "class=\"" + css + "\"";
      if (!cell.sort_key.empty()) attributes += " data-key=\"" + EscapeHtml(cell.sort_key) + "\"";
      cells += Element("td", attributes, BreakAtDots(EscapeHtml(cell.text)));
    }
    body += Element("tr", "", cells);
  }
  return Element(
      "div", "class=\"scroll\" tabindex=\"0\"",
      Element("table", "",
              Element("thead", "", Element("tr", "", head)) + Element("tbody", "", body)));
}

std::string RenderPage(const Page& page) {
  std::string sections;
  for (const PageSection& section : page.sections) {
    sections += Element("section", "id=\"" + section.id + "\"",
                        Element("h2", "", EscapeHtml(section.title)) + section.html);
  }
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">" +
         Element("title", "", EscapeHtml(page.title)) + Element("style", "", kStyle) +
         "</head><body>" + RenderHead(page) + Element("main", "", sections) +
         Element("script", "", kScript) + "</body></html>\n";
}

}  // namespace tessera
