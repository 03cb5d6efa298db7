"""Tests of table.py; run with `python3 bench/table_test.py`."""
import json
import os
import tempfile
import unittest

import table


def fan(name, cpu, others=1.0, run="fan1k-16", **more):
    return {"run": run, "name": name, "bench": "fanout", "deliveries_per_s": 1000, "p99_us": 2500,
            "server_cpu_s_per_million_deliveries": cpu, "others_cpu_pct": others, **more}


def rows(*runs):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as file:
        file.writelines(json.dumps(run) + "\n" for run in runs)
    try:
        return table.load(file.name)
    finally:
        os.unlink(file.name)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def find(lines, bench, server):
    return next(cells(line) for line in lines if cells(line)[:2] == [bench, server])


class Chosen(unittest.TestCase):
    def test_disturbed_runs_do_not_count_where_there_are_others(self):
        kept, is_clean = table.chosen([fan("bun", 1, 2.9), fan("bun", 9, 3.1)])
        self.assertEqual((len(kept), is_clean), (1, True))

    def test_all_count_where_every_run_was_disturbed(self):
        kept, is_clean = table.chosen([fan("bun", 1, 30), fan("bun", 2, 40)])
        self.assertEqual((len(kept), is_clean), (2, False))

    def test_the_limit_a_run_was_made_under_decides(self):
        self.assertTrue(table.clean(fan("bun", 1, 30, others_max_pct=50)))

    def test_memory_does_not_depend_on_others(self):
        self.assertTrue(table.clean({"bench": "conns", "others_cpu_pct": 90}))

    def test_a_failed_run_never_counts(self):
        self.assertEqual(table.chosen([{"run": "fan1k-16", "name": "bun", "error": "x"}]), ([], False))


class Tables(unittest.TestCase):
    def test_medians_ratios_and_faults(self):
        runs = [fan("hubbub", cpu, missing=1) for cpu in (1, 5, 3)] + [fan("rawbatch", 2), fan("bun", 6)]
        lines = list(table.tables(rows(*runs)))
        self.assertEqual(lines[0], "### Fan-out\n")
        head = cells(lines[1])
        ours = find(lines, "fan1k-16", "hubbub")
        self.assertEqual(ours[2:4], ["3 of 3", "133%"])
        self.assertEqual(ours[head.index("CPU s/M")], "3")
        self.assertEqual(ours[head.index("p99 ms")], "2.5")
        self.assertEqual(ours[head.index("missing/dup/out of order")], "3/0/0")
        for baseline, expected in (("rawbatch", "1.50×"), ("bun", "0.50×")):
            ratio = find(lines, "fan1k-16", f"**hubbub / {baseline}**")
            self.assertEqual(ratio[head.index("CPU s/M")], expected)
            self.assertEqual(ratio[head.index("missing/dup/out of order")], "")

    def test_there_is_no_ratio_of_what_was_not_measured_or_shrank(self):
        for ours, theirs in (({"x": 1}, {}), ({"x": -1}, {"x": 2}), ({"x": 1}, {"x": 0})):
            self.assertEqual(table.ratio([ours], [theirs], "x"), "")
        self.assertEqual(table.ratio([{"x": 1}], [{"x": 2}], None), "")

    def test_every_row_has_the_columns_of_its_head(self):
        runs = [fan("hubbub", 1), fan("rawbatch", 2), {"run": "fan1k-16", "name": "bun", "error": "x"}]
        lines = [cells(line) for line in table.tables(rows(*runs)) if line.startswith("|")]
        self.assertEqual({len(line) for line in lines}, {len(lines[0])})

    def test_groups_come_apart_and_none_is_lost(self):
        echo = {"run": "echo-1", "name": "bun", "bench": "echo", "others_cpu_pct": 0}
        text = "\n".join(table.tables(rows(fan("bun", 1), echo, fan("bun", 1, run="fan10k-16"))))
        self.assertLess(text.index("fan10k-16"), text.index("### Echo"))
        with self.assertRaises(SystemExit):
            list(table.tables(rows(fan("bun", 1, run="unheard-of"))))

    def test_every_bench_of_run_has_a_group(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")
        with open(script, encoding="utf-8") as file:
            block = file.read().split("declare -A group=(")[1].split(")")[0]
        prefixes = tuple(prefix for _, names, *_ in table.GROUPS for prefix in names)
        benches = [bench for part in block.split("'")[1::2] for bench in part.split()]
        self.assertGreater(len(benches), 15)
        self.assertEqual([bench for bench in benches if not bench.startswith(prefixes)], [])

    def test_threads_are_named_busiest_first(self):
        runs = [fan("hubbub", 1, run="shards-2", server_threads_cpu_pct={"shard-0": share, "shard-1": 60, "idle": 0.1})
                for share in (20, 30, 40)]
        self.assertEqual(table.threads(runs), "shard-1 60, shard-0 30")


class Commands(unittest.TestCase):
    def test_several_processes_become_one_row(self):
        run = {"asked": 10, "open": 10, "failed": 0, "open_after_hold": 10,
               "server_rss_before_kib": 100, "server_rss_after_kib": 110, "sockets_in_use": 40}
        total = table.summed("hubbub", [json.dumps(run), json.dumps({**run, "sockets_in_use": 44}), "\n"])
        self.assertEqual((total["processes"], total["open_after_hold"], total["sockets_in_use"]), (2, 20, 44))
        self.assertEqual(total["server_rss_bytes_per_conn"], 1024)

    def test_numbers_are_short(self):
        self.assertEqual([table.number(value) for value in (None, 0, 3.0, 0.12345, 123.4, 1234567)],
                         ["", "0", "3", "0.123", "123", "1,234,567"])


if __name__ == "__main__":
    unittest.main()
