"""A run in words: tables in markdown, with what was skipped and how quiet the machine was."""

from collections.abc import Iterator, Sequence

from bench.frontier import LEVELS, Point, best_at
from bench.results import Document, points

OURS = ("pqdb", "pqdb by hand")
_DASH = "–"
QUIET = 0.97
"""The share of wall time on the CPU from which a pass counts as undisturbed."""


def markdown(doc: Document) -> str:
    """The whole report of one run."""
    data, plan = doc["data"], doc["plan"]
    lines = [
        f"## {data['name']}: {data['n']:,} × {data['dim']}, {data['metric']}",
        "",
        f"recall@{plan['k']} on {data['queries']:,} queries; median of {plan['rounds']} interleaved rounds.",
        "",
        "### One query a call, one core",
        "",
        *_tables(points(doc)),
        *_default(doc),
    ]
    batched = points(doc, batch=True)
    if batched:
        lines += ["", "### Batches, all cores", "", *_tables(batched)]
    lines += ["", "### Bytes a vector", "", *_bytes(doc), "", *_machine(doc)]
    return "\n".join(lines) + "\n"


def _tables(found: Sequence[Point]) -> Iterator[str]:
    """Best QPS of each family at each level; then ours over theirs; then which settings those were."""
    families = list(dict.fromkeys(point.family for point in found))
    best = {family: [best_at(_of(found, family), level) for level in LEVELS] for family in families}
    yield from _header("QPS at recall ≥", families, best)
    ours = [family for family in OURS if family in best]
    theirs = [family for family in families if family not in OURS]
    if ours and theirs:
        yield ""
        yield from _header("times as fast", (), {})
        for mine in ours:
            for other in theirs:
                ratios = [_ratio(a, b) for a, b in zip(best[mine], best[other], strict=True)]
                yield f"| {mine} / {other} | " + " | ".join(ratios) + " |"
    yield ""
    yield from _winners(best)


def _of(found: Sequence[Point], family: str) -> list[Point]:
    return [point for point in found if point.family == family]


def _header(title: str, families: Sequence[str], best: dict[str, list[Point | None]]) -> Iterator[str]:
    yield f"| {title} | " + " | ".join(f"{level:.2f}" for level in LEVELS) + " |"
    yield "|---|" + "---:|" * len(LEVELS)
    for family in families:
        yield f"| {family} | " + " | ".join(f"{p.qps:,.0f}" if p else _DASH for p in best[family]) + " |"


def _ratio(ours: Point | None, theirs: Point | None) -> str:
    if ours is None:
        return _DASH
    return f"{ours.qps / theirs.qps:.2f}" if theirs else "not reached"


def _winners(best: dict[str, list[Point | None]]) -> Iterator[str]:
    """The settings behind the table, so that anyone can ask for them."""
    for family, winners in best.items():
        named = [
            f"{level:.2f}: {point.label} ({point.setting}, recall {point.recall:.4f})"
            for level, point in zip(LEVELS, winners, strict=True)
            if point
        ]
        if named:
            yield f"- {family} — " + "; ".join(named)


def _default(doc: Document) -> Iterator[str]:
    """The line everyone meets first: search(q, k=10) as it comes."""
    for row in doc["trials"]:
        if row["engine"] == "pqdb" and not row["setting"]:
            yield ""
            yield (
                f"Default `search(q, k={doc['plan']['k']})`: recall {row['recall']:.4f} "
                f"(strict {row['recall strict']:.4f}), {row['qps']:,.0f} QPS, "
                f"p50 {row['p50 us']:.1f} µs, p99 {row['p99 us']:.1f} µs."
            )


def _bytes(doc: Document) -> Iterator[str]:
    yield "| index | scanned | reranked | shared, of all | float32 would be | build s |"
    yield "|---|---:|---:|---:|---:|---:|"
    n, full = doc["data"]["n"], 4 * doc["data"]["dim"]
    for label, facts in doc["indexes"].items():
        held = facts["bytes"]
        numbers = f"{held['scan']:.1f} | {held['rerank']:.1f} | {held['shared'] / n:.1f} | {full}"
        yield f"| {label} | {numbers} | {facts['build seconds']:.1f} |"


def _machine(doc: Document) -> Iterator[str]:
    card = doc["machine"]
    shares = [share for row in doc["trials"] for share in row["cpu share"]]
    quiet = sum(share > QUIET for share in shares) / max(1, len(shares))
    versions: dict[str, str] = dict(card["versions"])
    for facts in doc["indexes"].values():
        versions.update(facts["versions"])
    yield f"{card['cpu']}, {card['cores usable']} cores ({', '.join(card['flags'])});"
    yield f"{card['date']}; commit {card['commit']}; load at the start {card['load at start'][0]}."
    if card["kernel forced"]:
        yield f"Held to {card['kernel forced']}."
    yield "Versions: " + ", ".join(f"{name} {found}" for name, found in sorted(versions.items())) + "."
    yield f"{quiet:.0%} of the single-query passes had their core to themselves (CPU > {QUIET:.0%})."
    for skip in doc["skipped"]:
        yield f"- skipped: {skip['label']}: {skip['reason'].strip().splitlines()[-1]}"
