#!/usr/bin/env python3
"""Results of a run, in a form that two runs can be compared in, check for check.

summarize.py DIR               results of the conformance tool as JSON: {scenario: {check: status}}
summarize.py --count FILE      'P F': how many passed, how many did not
summarize.py --diff A B        every check that differs; 'N passed, N failed' (same, different); exit 1 if any differs

FILE, A, B: that JSON, or a log with lines 'ok NAME' and 'FAIL NAME | detail'.
INFO and SKIPPED rows and message texts are left out: they say nothing about the wire.
"""
import json, pathlib, re, sys

def from_conformance(root):
    out = {}
    for f in sorted(pathlib.Path(root).rglob('checks.json')):
        scenario = re.sub(r'-\d{4}-\d\d-\d\dT.*$', '', '/'.join(f.relative_to(root).parts[:-1]))
        checks = out.setdefault(scenario, {})
        for c in json.loads(f.read_text()):
            if c['status'] in ('INFO', 'SKIPPED'): continue
            n = 0
            while f'{c["id"]}#{n}' in checks: n += 1
            checks[f'{c["id"]}#{n}'] = c['status']
    return out

def load(path):
    """{(scenario, check): status} of a file in either form; a missing file has no checks."""
    text = pathlib.Path(path).read_text() if pathlib.Path(path).exists() else ''
    if text.startswith('{'): return {(s, c): v for s, cs in json.loads(text).items() for c, v in cs.items()}
    out = {}
    for status, name in re.findall(r'^(ok|FAIL) ([^|\n]+)', text, re.M):
        name, n = name.strip(), 0
        while (f'#{n}', name) in out: n += 1
        out[f'#{n}', name] = 'SUCCESS' if status == 'ok' else 'FAILURE'
    return out

match sys.argv[1:]:
    case ['--count', path]:
        r = load(path).values(); print(sum(v == 'SUCCESS' for v in r), sum(v != 'SUCCESS' for v in r))
    case ['--diff', a, b]:
        x, y = load(a), load(b); differ = [k for k in sorted(x | y) if x.get(k) != y.get(k)]
        for k in differ: print('DIFF', *k, x.get(k), '->', y.get(k))
        print(f'{len(x | y) - len(differ)} passed, {len(differ)} failed'); sys.exit(bool(differ))
    case [root]:
        print(json.dumps(from_conformance(root), indent=1, sort_keys=True))
