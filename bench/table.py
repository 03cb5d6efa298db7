#!/usr/bin/env python3
"""Medians of a results file of bench/run as Markdown tables, one for each group of benches.

usage: table.py FILE                       the tables
       table.py --brief FILE [OTHERS_MAX]  one line about the last run; exits with 3 if it does not count
       table.py --half-rate FILE           half of the lowest rate of pairs-16
       table.py --sum NAME                 reads one line of JSON for each server process on stdin,
                                           writes one line for all of them together

A run counts when other processes took at most 3 % of a CPU (OTHERS_MAX, kept in each line as
others_max_pct): a generator that has to wait for its core sends in larger batches, which flatters the
server. Where no run of a row is that clean, all count and the row is marked with *. Memory does not
depend on it.
"""
import json
import statistics
import sys

OTHERS_PCT_MAX = 3
FAULTS = ("missing", "duplicates", "out_of_order")
FAULTS_COLUMN = ("missing/dup/out of order", None)
CPU = [("server CPU %", "server_cpu_pct"), ("generator CPU %", "generator_cpu_pct"), ("others CPU %", "others_cpu_pct")]
LATENCY = [("p50 ms", "p50_us"), ("p99 ms", "p99_us"), ("p99.9 ms", "p999_us")]
DELIVERY_CPU = ("CPU s/M", "server_cpu_s_per_million_deliveries")
DIRECT = [("acked/s", "acked_per_s"), ("delivered/s", "delivered_per_s"), DELIVERY_CPU, ("ack p50 ms", "ack_p50_us"),
          ("ack p99 ms", "ack_p99_us"), ("delivery p50 ms", "p50_us"), ("delivery p99 ms", "p99_us"), FAULTS_COLUMN,
          ("RSS MiB", "server_rss_mib")]
# Title, names of the benches (a name ending in - stands for all that begin with it), columns, baselines, and
# the column whose spread between runs is shown.
GROUPS = [
    ("Fan-out", ["fan"], [
        ("deliveries/s", "deliveries_per_s"), DELIVERY_CPU, *LATENCY, FAULTS_COLUMN,
        ("frames/read", "frames_per_read"), ("RSS MiB", "server_rss_mib"), *CPU,
    ], ["rawbatch", "bun"], DELIVERY_CPU[1]),
    ("Echo", ["echo"], [
        ("echoes/s", "echoes_per_s"), ("CPU s/M", "server_cpu_s_per_million_echoes"), *LATENCY,
        ("missing", "missing"), ("wrong or reordered", "wrong_or_reordered"), *CPU,
    ], ["bun", "bun-raw"], "server_cpu_s_per_million_echoes"),
    ("Direct messages, volatile", ["direct"], [*DIRECT, *CPU], ["bun"], DELIVERY_CPU[1]),
    ("Direct messages, durable", ["pairs", "paced"], [*DIRECT, ("kernel threads CPU %", "kernel_threads_cpu_pct"), *CPU],
     ["socketio"], DELIVERY_CPU[1]),
    ("Idle connections", ["idle"], [
        ("open", "open_after_hold"), ("opens/s", "open_per_s"), ("CPU s/M opens", "server_cpu_s_per_million_opens"),
        ("RSS B/conn", "server_rss_bytes_per_conn"), ("kernel slab B/conn, both ends", "slab_bytes_per_conn_both_ends"),
        ("failed", "failed"), ("TCP sockets on the machine", "sockets_in_use"), ("generator CPU %", "generator_cpu_pct"),
    ], ["bun"], "server_rss_bytes_per_conn"),
    ("Memory", ["memory"], [
        ("B/conn at 1,000", "bytes_at_1000"), ("at 5,000", "bytes_at_5000"), ("at the most", "bytes_per_conn"),
        ("RSS KiB after 1,000", "warm_rss_kib"), ("with the most", "open_rss_kib"), ("10 s after they closed", "after_close_rss_kib"),
        ("after / before", "after_close_ratio"), ("B for a channel", "bytes_per_channel"),
        ("B/conn left by a burst", "bytes_left_by_burst"),
    ], ["bun"], "bytes_per_conn"),
    ("Slow subscribers", ["slow"], [
        ("deliveries/s", "deliveries_per_s"), ("p50 ms before", "before_p50_us"), ("p50 ms with", "p50_us"),
        ("p99 ms before", "before_p99_us"), ("p99 ms with", "p99_us"), ("p99 ratio", "p99_ratio"), FAULTS_COLUMN,
        ("slow ones closed", "stopped_closed"), ("late", "stopped_late"), ("missed", "stopped_missing"), ("RSS MiB", "server_rss_mib"), *CPU,
    ], [], "p99_ratio"),
    ("Two shards on one core", ["shards"], [
        ("deliveries/s", "deliveries_per_s"), DELIVERY_CPU, *LATENCY, FAULTS_COLUMN, *CPU, ("CPU % of threads", "server_threads_cpu_pct"),
    ], ["hubbub"], DELIVERY_CPU[1]),
    ("Mass login", ["logins"], [
        ("logins/s", "logins_per_s"), ("CPU s/M logins", "server_cpu_s_per_million_logins"), ("login p50 ms", "login_p50_us"),
        ("login p99 ms", "login_p99_us"), ("all told s", "told_secs"), ("events", "events"),
        ("events per watcher and s", "events_per_watcher_s"), ("too close", "too_close"), ("unaware", "unaware"),
        ("CPU % of threads", "server_threads_cpu_pct"), *CPU,
    ], ["hubbub"], "server_cpu_s_per_million_logins"),
    ("Connection storm", ["storm"], [
        ("opens/s", "opens_per_s"), ("CPU s/M opens", "server_cpu_s_per_million_opens"), ("open p50 ms", "open_p50_us"),
        ("open p99 ms", "open_p99_us"), ("told to wait", "refused_clients"), ("told twice", "refused_twice"),
        ("inside twice", "inside_twice"), ("calm p99 ms", "calm_p99_us"), ("storm p99 ms", "storm_p99_us"), FAULTS_COLUMN, *CPU,
    ], ["bun"], "server_cpu_s_per_million_opens"),
]


def load(path):
    """Runs by bench and peer, in the order they came."""
    rows = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            run = json.loads(line)
            rows.setdefault(run["run"], {}).setdefault(run["name"], []).append(run)
    return rows


def clean(run):
    is_memory = run["bench"] in ("conns", "memory")
    return is_memory or run.get("others_cpu_pct", 0) <= run.get("others_max_pct", OTHERS_PCT_MAX)


def chosen(runs):
    """The runs that count, and whether they are clean."""
    finished = [run for run in runs if "bench" in run]
    kept = [run for run in finished if clean(run)]
    return (kept, True) if kept else (finished, False)


def median(runs, key):
    values = [run[key] for run in runs if isinstance(run.get(key), (int, float))]
    return statistics.median(values) if values else None


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def threads(runs):
    """Medians of the threads' shares, the busiest first, without those that hardly ran."""
    names = {name for run in runs for name in run.get("server_threads_cpu_pct", {})}
    shares = {name: statistics.median(run["server_threads_cpu_pct"].get(name, 0) for run in runs) for name in names}
    return ", ".join(f"{name} {share:.3g}" for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share >= 0.5)


def cell(runs, key):
    if key is None:
        return "/".join(number(sum(run.get(fault, 0) for run in runs)) for fault in FAULTS)
    if key == "server_threads_cpu_pct":
        return threads(runs)
    value = median(runs, key)
    return number(value / 1000 if value is not None and key.endswith("_us") else value)


def spread(runs, key):
    """How far the runs are apart, in percent of their median."""
    values = [run[key] for run in runs if run.get(key) is not None]
    middle = statistics.median(values) if values else 0
    return f"{(max(values) - min(values)) / middle * 100:.0f}%" if middle > 0 else ""


def ratio(ours, theirs, key):
    if key is None or key.endswith("_pct") and key != "server_cpu_pct":
        return ""
    ours, theirs = (median(runs, key) for runs in (ours, theirs))
    return f"{ours / theirs:.2f}×" if ours and theirs and ours > 0 and theirs > 0 else ""


def group_table(rows, columns, baselines, spread_key):
    """The lines of one table."""
    yield "| bench | server | runs | spread | " + " | ".join(title for title, _ in columns) + " |"
    yield "|---|---|---|---:|" + "---:|" * len(columns)
    for bench, peers in rows.items():
        kept = {}
        for peer, runs in peers.items():
            kept[peer], is_clean = chosen(runs)
            count = f"{len(kept[peer])} of {len(runs)}" + ("" if is_clean else " *")
            cells = [cell(kept[peer], key) for _, key in columns] if kept[peer] else ["failed"] + [""] * (len(columns) - 1)
            yield f"| {bench} | {peer} | {count} | {spread(kept[peer], spread_key)} | " + " | ".join(cells) + " |"
        for ours in (peer for peer in kept if peer.startswith("hubbub") and kept[peer]):
            for theirs in (peer for peer in baselines if peer != ours and kept.get(peer)):
                cells = [ratio(kept[ours], kept[theirs], key) for _, key in columns]
                yield f"| {bench} | **{ours} / {theirs}** | | | " + " | ".join(cells) + " |"


def tables(rows):
    """All tables; a bench that belongs to no group is an error of this file."""
    rest = dict(rows)
    for title, prefixes, columns, baselines, spread_key in GROUPS:
        mine = {bench: rest.pop(bench) for bench in rows if bench.startswith(tuple(prefixes)) and bench in rest}
        if mine:
            yield f"### {title}\n"
            yield from group_table(mine, columns, baselines, spread_key)
            yield ""
    if rest:
        raise SystemExit(f"table.py: no group for {', '.join(rest)}")


def brief(path, others_max=OTHERS_PCT_MAX):
    """One line about the last run."""
    with open(path, encoding="utf-8") as lines:
        run = json.loads(lines.readlines()[-1])
    run.setdefault("others_max_pct", float(others_max))
    keys = ("deliveries_per_s", "echoes_per_s", "acked_per_s", "open_per_s", "opens_per_s", "server_cpu_s_per_million_deliveries",
            "server_cpu_s_per_million_echoes", "p99_us", "p99_ratio", "server_rss_bytes_per_conn", "bytes_per_conn",
            "after_close_ratio", *FAULTS, "wrong_or_reordered", "generator_cpu_pct", "others_cpu_pct", "error", "first_error")
    text = " ".join(f"{key}={run[key]}" for key in keys if run.get(key) is not None)
    print(f"{run['run']:<12} {run['name']:<14} {text}")
    return 3 if "bench" in run and not clean(run) else 0


def half_rate(path):
    runs_by_peer = load(path).get("pairs-16", {})
    medians = [median(chosen(runs)[0], "acked_per_s") for runs in runs_by_peer.values()]
    slowest = min((rate for rate in medians if rate), default=2000)
    print(int(slowest / 2) | 1)
    return 0


def summed(name, lines):
    """One result of several server processes that ran at the same time."""
    runs = [json.loads(line) for line in lines if line.strip()]
    total = {"name": name, "bench": "conns", "processes": len(runs)}
    for key in ("asked", "open", "failed", "open_after_hold", "server_rss_after_kib"):
        total[key] = sum(run[key] for run in runs)
    grown = sum(run["server_rss_after_kib"] - run["server_rss_before_kib"] for run in runs)
    total["server_rss_bytes_per_conn"] = round(grown * 1024 / max(1, total["open_after_hold"]))
    total["sockets_in_use"] = max(run["sockets_in_use"] for run in runs)
    return total


def main(words):
    if len(words) in (2, 3) and words[0] == "--brief":
        return brief(*words[1:])
    if len(words) == 2 and words[0] == "--half-rate":
        return half_rate(words[1])
    if len(words) == 2 and words[0] == "--sum":
        print(json.dumps(summed(words[1], sys.stdin), separators=(",", ":")))
        return 0
    if len(words) == 1 and not words[0].startswith("-"):
        print("\n".join(tables(load(words[0]))))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
