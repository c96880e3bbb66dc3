"""``aurora status`` for people: volume, storage nodes, instances, protection groups."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from aurora.programs.status_groups import worst_first

if TYPE_CHECKING:
    from aurora.documents import JsonObject


GROUPS_SHOWN: Final = 8
LINE_CHARACTERS: Final = 110
_DUTIES: Final = {"spare": "spare: holds no segment", "replaced": "replaced: holds no segment any more"}
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def status_text(status: JsonObject, all_groups: bool = False) -> str:
    """Tables; of many protection groups the worst ones, unless all are asked for."""
    return "\n".join([*_head(status), *_groups(status.get("protection_groups", []), all_groups)])


def bytes_text(number: float) -> str:
    """``1.5 MB`` and the like, powers of 1024."""
    for unit in _UNITS[:-1]:
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} {_UNITS[-1]}"


def _head(status: JsonObject) -> list[str]:
    facts = [f"{key}={value}" for key, value in status["volume"].items() if not isinstance(value, dict | list | None)]
    told = textwrap.wrap("  ".join(facts), LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False)
    lines = [f"volume   {told[0] if told else 'nobody answers for it'}", *(f"         {line}" for line in told[1:])]
    lines.append(f"{'storage node':<14}{'az':<6}{'state':<15}{'scl':>14}  {'pid':>8}  address")
    for node in status["storage_nodes"]:
        remark = "; ".join(filter(None, (node.get("note") or _DUTIES.get(node.get("duty", ""), ""), _ends(node))))
        note = f"  {remark}" if remark else ""
        lines.append(
            f"{node.get('id', '?'):<14}{node.get('az', '?'):<6}{node['state']:<15}{node.get('scl', '-'):>14}  "
            f"{node.get('pid') or '-':>8}  {node['address']}{note}"
        )
    return lines + _instances(status["instances"]) + _endpoints(status.get("endpoints", []))


def _endpoints(endpoints: list[JsonObject]) -> list[str]:
    if not endpoints:
        return []
    lines = [f"{'endpoint':<20}{'state':<15}{'address':<23}leads to"]
    for each in endpoints:
        ends = _ends(each)
        shown = f"{each['name']:<20}{each['state']:<15}{each['address']:<23}{each['leads_to']}"
        lines.append(f"{shown}  {ends}" if ends else shown)
    return lines


def _instances(instances: list[JsonObject]) -> list[str]:
    lines = []
    if instances:
        head = f"{'instance':<20}{'state':<15}{'role':<12}{'lag':>9}{'tier':>5}{'sessions':>9}"
        lines.append(f"{head}  {'pid':>8}  address")
    for one in instances:
        lag = "-" if one["lag_ms"] is None else f"{one['lag_ms']:.1f} ms"
        sessions = "-" if one["sessions"] is None else one["sessions"]
        lines.append(
            f"{one['id']:<20}{one['state']:<15}{one['role']:<12}{lag:>9}{one['promotion_tier']:>5}{sessions:>9}  "
            f"{one['pid'] or '-':>8}  {one['address']}{'  ' + _ends(one) if _ends(one) else ''}"
        )
    return lines


def _ends(process: JsonObject) -> str:
    """How often it was started again, and why."""
    count, last_end = process.get("restarts", 0), process.get("last_end", "")
    if count:
        return f"started again {count} time{'s' if count > 1 else ''}, last: {last_end}"
    return str(last_end) if process["state"] == "down" else ""


def _groups(groups: list[JsonObject], all_groups: bool) -> list[str]:
    if not groups:
        return []
    lines = [f"{'segment':<14}{'az':<6}{'scl':>14}{'lag':>10}{'collected':>14}{'epoch':>7}  health"]
    shown = groups
    if len(groups) > GROUPS_SHOWN and not all_groups:
        shown = worst_first(groups)[:GROUPS_SHOWN]
    for group in shown:
        lines.append(
            f"PG {group['pg']}: {group['state']}, durable to {group['durable_lsn']}, "
            f"membership epoch {group['membership_epoch']}{_away(group)}"
        )
        lines += [_segment_line(segment) for segment in group["segments"]]
    if len(shown) < len(groups):
        lines.append(f"{len(shown)} of {len(groups)} protection groups, the worst first; --pgs shows all")
    return lines


def _away(group: JsonObject) -> str:
    """Which zone does not count, and what that is changing to."""
    away, coming = group["away"], group["away_next"]
    if coming is not None:
        return f", {f'zone {coming} is being counted out' if coming else f'zone {away} is being counted again'}"
    return f", zone {away} does not count" if away else ""


def _segment_line(segment: JsonObject) -> str:
    def cell(key: str) -> str:
        return "-" if segment[key] is None else str(segment[key])

    lag = "-" if segment["lag_bytes"] is None else bytes_text(segment["lag_bytes"]) if segment["lag_bytes"] else "0"
    epoch = cell("epoch")
    return (
        f"  {segment['index']} {segment['node']:<10}{segment['az']:<6}{cell('scl'):>14}{lag:>10}"
        f"{cell('collected'):>14}{epoch:>7}  {_health(segment)}"
    )


def _health(segment: JsonObject) -> str:
    """Health in words, with what is being repaired."""
    repair = segment["repair"]
    words = [segment["health"]]
    if segment["health"] == "behind":
        words = [f"behind by {bytes_text(segment['lag_bytes'])}"]
    if repair is not None:
        share = "" if repair["percent"] is None else f" {repair['percent']}%"
        what = "filling" if repair["kind"] == "pages" else "fetching log"
        told = f"{what}{share} from {repair['from']} ({bytes_text(repair['fetched_bytes'])} in {repair['running_s']} s)"
        words = [told] if repair["kind"] == "pages" else [*words, told]
    if segment["broken_pages"]:
        words.append(f"{segment['broken_pages']} broken pages wait for a copy")
    elif segment["health"] == "behind" and repair is None and segment["pending"]:
        words.append(f"{segment['pending']} entries behind a gap")
    if segment["role"] != "full":
        words.append(segment["role"])
    return ", ".join(words)
