"""The results as one SVG: CPU per request of each server, relative to Quintette's, by case."""

from __future__ import annotations

from html import escape
from typing import Any

BAR_PX = 15
ROW_PX = 19
HEAD_PX = 34
LEFT_PX = 300
BARS_PX = 420
WIDTH_PX = 860
OURS = "#b3421e"
PEER = "#7d8b99"
LIMIT = "#c9d1d9"


def chart(results: list[dict[str, Any]], titles: dict[str, str], limits: set[str]) -> str:
    parts: list[str] = []
    y = HEAD_PX
    for case in results:
        rows = sorted(case["rows"], key=lambda row: row["cpu_us_per_request"])
        parts.append(_text(10, y, case["title"], "head"))
        y += 10
        longest = max((row["cpu_us_per_request"] for row in rows), default=1.0)
        for row in rows:
            parts.append(_bar(y, row, longest, titles, limits))
            y += ROW_PX
        y += HEAD_PX
    style = (
        "text{font:12px system-ui,sans-serif;fill:#24292f}"
        ".head{font-weight:600;font-size:14px}"
        "@media(prefers-color-scheme:dark){text{fill:#d0d7de}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {y}" '
        f'width="{WIDTH_PX}" height="{y}" role="img">\n'
        "<title>CPU per request, microseconds; shorter is better</title>\n"
        f"<style>{style}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _bar(
    y: int, row: dict[str, Any], longest: float, titles: dict[str, str], limits: set[str]
) -> str:
    name = row["server"]
    cpu = row["cpu_us_per_request"]
    colour = OURS if name.startswith("quintette") else LIMIT if name in limits else PEER
    width = max(1.0, BARS_PX * cpu / longest)
    ratio = row["ratio_to_quintette"]
    label = f"{cpu:.1f} us" + (f"  ({ratio:.2f} x)" if ratio and ratio != 1 else "")
    return (
        _text(LEFT_PX - 8, y + 12, titles.get(name, name), anchor="end")
        + f'<rect x="{LEFT_PX}" y="{y}" width="{width:.1f}" height="{BAR_PX}" fill="{colour}"/>'
        + _text(LEFT_PX + width + 6, y + 12, label)
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    css = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y}"{css} text-anchor="{anchor}">{escape(text)}</text>'
