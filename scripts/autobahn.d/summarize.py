#!/usr/bin/env python3
"""Counts the results of an Autobahn report by behaviour.

usage: summarize.py INDEX_JSON CASES_MIN

Exit codes: 0 no case failed, 1 a case failed, 2 there is no report or it has too few cases.
"""
import collections
import json
import sys

FINE = ("OK", "INFORMATIONAL")


def counted(values):
    return "  ".join(f"{name}={count}" for name, count in sorted(collections.Counter(values).items()))


def numbers(case):
    return [int(part) for part in case.split(".")]


def main():
    path, cases_min = sys.argv[1], int(sys.argv[2])
    try:
        with open(path, encoding="utf-8") as report:
            (cases,) = json.load(report).values()
    except (OSError, ValueError) as error:
        print(f"no report: {error}")
        return 2
    print(f"cases run: {len(cases)}")
    print("behaviour: " + counted(result["behavior"] for result in cases.values()))
    print("closing:   " + counted(result["behaviorClose"] for result in cases.values()))
    for group in sorted({numbers(case)[0] for case in cases}):
        results = (result["behavior"] for case, result in cases.items() if numbers(case)[0] == group)
        print(f"  group {group:2}: " + counted(results))
    failed = 0
    for case in sorted(cases, key=numbers):
        result = cases[case]
        both = (result["behavior"], result["behaviorClose"])
        failed += "FAILED" in both
        if not all(behaviour in FINE for behaviour in both):
            print(f"  {case:9} {both[0]:14} close={both[1]} code={result.get('remoteCloseCode')}")
    if len(cases) < cases_min:
        print(f"only {len(cases)} cases ran, {cases_min} expected")
        return 2
    print(f"RESULT: FAIL ({failed} failed)" if failed else "RESULT: PASS")
    return 1 if failed else 0


sys.exit(main())
