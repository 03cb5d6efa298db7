#!/usr/bin/env python3
"""Medians of a results file of bench/run as one Markdown table.

usage: table.py FILE | table.py --brief FILE | table.py --half-rate FILE

A run counts when other processes took at most 20 % of a CPU: a generator that has to wait for its
core sends in larger batches, which flatters the server. Where no run of a row is that clean,
all count and the row is marked with *. The memory of idle connections does not depend on it.

With --brief the exit code is 3 when the last run does not count.
"""
import json
import statistics
import sys

OTHERS_PCT_MAX = 20
COLUMNS = [
    ("acked/s", "acked_per_s"),
    ("delivered/s", "delivered_per_s"),
    ("CPU s/M", "server_cpu_s_per_million_deliveries"),
    ("CPU %", "server_cpu_pct"),
    ("kernel threads CPU %", "kernel_threads_cpu_pct"),
    ("ack p50 ms", "ack_p50_us"),
    ("ack p99 ms", "ack_p99_us"),
    ("delivery p50 ms", "p50_us"),
    ("delivery p99 ms", "p99_us"),
    ("missing/dup/out of order", None),
    ("RSS MiB", "server_rss_mib"),
    ("RSS B/conn", "server_rss_bytes_per_conn"),
    ("generator CPU %", "generator_cpu_pct"),
]
FAULTS = ("missing", "duplicates", "out_of_order")


def load(path):
    """Runs by bench and peer, in the order they came."""
    rows = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            run = json.loads(line)
            rows.setdefault(run["run"], {}).setdefault(run["name"], []).append(run)
    return rows


def clean(run):
    return run["bench"] == "conns" or run["others_cpu_pct"] <= OTHERS_PCT_MAX


def chosen(runs):
    """The runs that count, and whether they are clean."""
    finished = [run for run in runs if "bench" in run]
    kept = [run for run in finished if clean(run)]
    return (kept, True) if kept else (finished, False)


def median(runs, key):
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def cell(runs, key):
    if key is None:
        if all(run["bench"] == "conns" for run in runs):
            return ""
        return "/".join(number(sum(run.get(fault, 0) for run in runs)) for fault in FAULTS)
    value = median(runs, key)
    return number(value / 1000 if value is not None and key.endswith("_us") else value)


def ratio(ours, theirs, key):
    ours, theirs = (median(runs, key) if key else None for runs in (ours, theirs))
    return f"{ours / theirs:.2f}×" if ours and theirs else ""


def table(rows):
    print("| bench | server | runs | " + " | ".join(title for title, _ in COLUMNS) + " |")
    print("|---|---|---|" + "---:|" * len(COLUMNS))
    for bench, peers in rows.items():
        kept = {}
        for peer, runs in peers.items():
            kept[peer], is_clean = chosen(runs)
            count = f"{len(kept[peer])} of {len(runs)}" + ("" if is_clean else " *")
            if kept[peer]:
                cells = [cell(kept[peer], key) for _, key in COLUMNS]
            else:
                cells = ["failed"] + [""] * (len(COLUMNS) - 1)
            print(f"| {bench} | {peer} | {count} | " + " | ".join(cells) + " |")
        if kept.get("hubbub") and kept.get("socketio"):
            cells = [ratio(kept["hubbub"], kept["socketio"], key) for _, key in COLUMNS]
            print(f"| {bench} | **hubbub / socketio** | | " + " | ".join(cells) + " |")


def brief(path):
    """One line about the last run."""
    with open(path, encoding="utf-8") as lines:
        run = json.loads(lines.readlines()[-1])
    shown = {key: run.get(key) for key in ("acked_per_s", "ack_p99_us", "server_rss_bytes_per_conn", *FAULTS, "error")}
    shown["others_cpu_pct"] = run.get("others_cpu_pct")
    text = " ".join(f"{key}={value}" for key, value in shown.items() if value is not None)
    print(f"{run['run']:<9} {run['name']:<9} {text}")
    return 3 if "bench" in run and not clean(run) else 0


def half_rate(path):
    runs_by_peer = load(path).get("pairs-16", {})
    medians = [median(chosen(runs)[0], "acked_per_s") for runs in runs_by_peer.values()]
    slowest = min((rate for rate in medians if rate), default=2000)
    print(int(slowest / 2) | 1)
    return 0


def main():
    if len(sys.argv) == 3 and sys.argv[1] in ("--brief", "--half-rate"):
        sys.exit({"--brief": brief, "--half-rate": half_rate}[sys.argv[1]](sys.argv[2]))
    elif len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        table(load(sys.argv[1]))
    else:
        sys.exit(__doc__)


main()
