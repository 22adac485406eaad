"""Sends the corpus of hostile calls, and says what was run and what was recorded. usage: hostile_calls.py PEERS OUT

PEERS: JSON {"mcp": {NAME: WAYS, ...}, "a2a": {NAME: WAYS}}; WAYS: {"direct": port, "direct_grpc": port, "ran": file} and, with a
lane before it, {"lane": port, "sidecar": port, "alone": port, "audit": [file...], "svid": prefix, "bundle": file}. Every case goes directly to the peer
(what does its SDK make of it?), through egress and sidecar, and to the sidecar over TLS, since both ends of a lane read each call; an
agent also to a sidecar `alone`, which has one workload for HTTP and gRPC.

What must hold: what a peer ran is on the sidecar's record exactly once, as exactly that method and target, and was not refused; what is
not run is refused, by the lane or by the peer; what the specification wants refused, or has two readings that no record tells apart, is not run; honest calls pass as they do directly.
One line per check in OUT: 'ok NAME' or 'FAIL NAME | detail'; here a table, the failures, and a closing count.
"""
import collections, concurrent.futures, json, pathlib, re, sys, time
import hostile_a2a, hostile_h2, hostile_http, hostile_mcp
from hostile_wire import PATIENCE, SSL, Answer, http1, http2

# What a server writes down when it runs it; the rest of MCP the SDKs answer themselves.
RUN_BY_SERVERS = {'tools/call', 'tools/list', 'prompts/get', 'resources/read', *hostile_a2a.OPERATIONS}
def mcp_cases():
    for part in (hostile_http.honest, hostile_mcp.members, hostile_mcp.shapes, hostile_mcp.lexical, hostile_mcp.headers, hostile_http.frames,
            hostile_h2.requests): yield from part()

def lines(path):
    """The whole lines of a file of JSON lines that is still being written."""
    path = pathlib.Path(path)
    return [json.loads(line) for line in path.read_bytes().split(b'\n')[:-1] if line] if path.exists() else []

class Records:
    """A sidecar's records: the calls it opened, by their label, and how each ended."""
    def __init__(self, paths):
        self.opened, self.closed = collections.defaultdict(list), {}
        for r in (r for path in paths for r in lines(path)):
            if r['event'] == 'call.open':
                label = re.match(r'/+(?:mcp|c)/([^/]+)', r['path']) or re.match(r'(\w+)\.grpc', r.get('authority', ''))
                self.opened[label and label[1]].append(r)
            elif r['event'] == 'call.close': self.closed[r['call']] = r
    def denied(self, label):
        """Why the lane refused the call, if it did."""
        return next((c.get('reason') for r in self.opened[label] if (c := self.closed.get(r['call'])) and c.get('outcome') == 'denied'), None)

class Peer:
    """An MCP server, the ways to it, and what came of each case."""
    def __init__(self, name, ways, cases):
        self.name, self.ways, self.cases, self.answers = name, ways, list(cases), {}
        self.tls = (ways.get('svid'), ways.get('bundle'))

    def ways_of(self, case):
        """HTTP/2 is between the lanes: no MCP server here speaks it."""
        return [w for w in (('lane', 'sidecar') if case.h2 else ('direct', 'lane', 'sidecar')) if w in self.ways]

    def send(self, case, way, label):
        straight = way in ('sidecar', 'alone')
        host = 'peer.internal:8443' if straight else f'127.0.0.1:{self.ways[way]}'
        tls, patience = self.tls if straight else None, 20 if case.honest else PATIENCE
        try:
            if case.h2: return Answer(200 if http2(self.port(way), case.h2(label, host), tls, patience) else 0)
            return http1(self.ways[way], case.request(label, host), tls, case.answers, patience)
        except (OSError, SSL.Error): return Answer()

    def port(self, way): return self.ways[way]

    def send_all(self):
        for n, case in enumerate(self.cases):
            for way in self.ways_of(case): self.answers[n, way] = self.send(case, way, f'{way[0]}{n:03}')
        self.settle()

    def settle(self):
        """A last honest call each way: when it is run and on record, so is what came before it."""
        for way in self.ways_of(self.cases[0]):
            label, end = f'{way[0]}last', time.monotonic() + 10
            self.send(self.cases[0], way, label)
            while time.monotonic() < end:
                records = Records(self.ways.get('audit', []))
                if any(r['label'] == label for r in lines(self.ways['ran'])) and (way == 'direct' or any(r['call'] in records.closed for r in records.opened[label])): break
                time.sleep(0.02)

    def judge(self):
        """(case, way, what came of it, what is wrong with that or None), for each."""
        self.records, self.ran = Records(self.ways.get('audit', [])), collections.defaultdict(list)
        for r in lines(self.ways['ran']): self.ran[r['label']].append(self.run(r))
        for n, case in enumerate(self.cases):
            for way in self.ways_of(case):
                label = f'{way[0]}{n:03}'; reason = self.answers[n, way].reason or self.records.denied(label)
                runs = {l: self.ran[l] for l in (label, label + 'x') if self.ran[l]}
                wrong = None
                if way != 'direct': wrong = next((w for l, r in runs.items() if (w := self.misread(l, r))), None)
                if not wrong and case.honest: wrong = self.hindered(case, n, way, reason)
                if not wrong and case.refuse and runs and way != 'direct': wrong = f'ran {told(runs)}, though it must be refused'
                yield case, way, 'ran ' + told(runs) if runs else f'lane: {reason}' if reason else str(self.answers[n, way].status or 'closed'), wrong

    def run(self, line): return line['method'], line['target']
    def said(self, record):
        """The calls that a record names: one, or those of a batch."""
        if 'calls' in record: return [(method, target or None) for method, _, target in (c.partition(' ') for c in record['calls'])]
        return [(record.get('operation'), record.get('target'))]

    def misread(self, label, runs):
        """What is wrong with the record of something that was run."""
        if reason := self.records.denied(label): return f'refused ({reason}), and ran {runs[:3]} all the same'
        records = self.records.opened[label]
        if len(records) != 1: return f'ran {runs[:3]}, with {len(records)} records'
        # A server may leave out some calls of a batch, but runs none that is not there, and none twice.
        more = collections.Counter(runs) - collections.Counter(self.said(records[0]))
        return f'ran {runs[:3]}, recorded as {self.said(records[0])[:3]}' if more else None

    def hindered(self, case, n, way, reason):
        """What is wrong with an honest call, which must come through as it does directly, and be recorded for what it is."""
        runs, direct, label = self.ran[f'{way[0]}{n:03}'], self.ran[f'd{n:03}'], f'{way[0]}{n:03}'
        if way == 'direct': return None if runs == ([case.says] if case.says and case.says[0] in RUN_BY_SERVERS else []) else f'ran {runs} directly: the peer is not well'
        if reason: return f'an honest call is refused: {reason}'
        if 'direct' in self.ways_of(case) and runs != direct: return f'ran {runs}, directly {direct}'
        if not case.h2 and (statuses := [self.answers[n, w].status for w in (way, 'direct')])[0] != statuses[1]: return f'answered {statuses[0]}, directly {statuses[1]}'
        record = [said for r in self.records.opened[label] for said in self.said(r)]
        return f'recorded as {record}, is {case.says}' if case.says and record != [case.says] else None

class Agent(Peer):
    """An A2A agent: three bindings, operations under their names in 1.0, and tasks."""
    def ways_of(self, case):
        """gRPC: an authority of its own labels a call at the sidecar; an egress would set it."""
        return [w for w in (('direct', 'sidecar') if case.h2 else ('direct', 'lane', 'sidecar', 'alone')) if w in self.ways]

    def port(self, way): return self.ways['direct_grpc' if way == 'direct' else way]

    def run(self, line): return line['operation'], line['task'], line['context']
    def said(self, record): return [(record.get('operation'), record.get('task'), record.get('context'))]

def told(runs): return ', '.join(' '.join(filter(None, r)) for rs in runs.values() for r in rs[:5]).encode(errors='backslashreplace').decode()

def row(judged):
    """Directly: run. With the lane: run, refused by the lane, refused by the peer."""
    with_lane = collections.Counter('ran' if came.startswith('ran') else 'lane' if came.startswith('lane') else 'peer' for _, way, came, _ in judged if way != 'direct')
    return f'{sum(came.startswith("ran") for _, way, came, _ in judged if way == "direct"):>5} |{with_lane["ran"]:>5}{with_lane["lane"]:>5}{with_lane["peer"]:>5}'

def main(peers, out):
    peers = json.loads(pathlib.Path(peers).read_text())
    peers = [Peer(name, ways, mcp_cases()) for name, ways in peers['mcp'].items()] + [Agent(name, ways, hostile_a2a.cases()) for name, ways in peers['a2a'].items()]
    with concurrent.futures.ThreadPoolExecutor(len(peers)) as pool: list(pool.map(lambda peer: peer.send_all(), peers))
    passed, failures, report, table = 0, [], [], {}
    for peer in peers:
        for case, way, came, wrong in peer.judge():
            table.setdefault(case.trap, {}).setdefault(peer.name, []).append((case, way, came, wrong))
            name = f'{peer.name}, {way}: {case.trap}: {case.name}'
            if way == 'direct' and not case.honest: report.append(f'-- {name} | {came}'); continue
            report.append(f'FAIL {name} | {wrong}' if wrong else f'ok {name} | {came}')
            if wrong: failures.append(report[-1])
            else: passed += 1
    print(f'{"":<28}' + ''.join(f'{peer.name:^23}' for peer in peers))
    print(f'{"trap":<28}' + ''.join(f'{"ran":>5} |{"ran":>5}{"lane":>5}{"peer":>5}  ' for _ in peers) + ' directly | with the lane: run, refused by it, by the peer')
    for trap, of in table.items(): print(f'{trap:<28}' + ''.join(f'{row(of[p.name]) if p.name in of else "":<23}' for p in peers))
    for failure in failures[:80]: print(failure.encode(errors='backslashreplace').decode())
    if len(failures) > 80: print(f'... {len(failures) - 80} more in {out}')
    report.append(f'{passed} passed, {len(failures)} failed'); print(report[-1])
    pathlib.Path(out).write_bytes(('\n'.join(report) + '\n').encode(errors='backslashreplace'))
    return bool(failures)

if __name__ == '__main__': sys.exit(main(*sys.argv[1:]))
