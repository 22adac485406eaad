#!/usr/bin/env python3
"""A bounded load of MCP tools/call on kept-alive connections, with streams open beside it. Python standard library only.

load.py MCP_URL (--seconds S | --calls N) --rate R [--streams K] [--audit FILE]
    MCP_URL: mcp_everything.mjs behind an egress, ends in /mcp. At most R calls are begun in a second, and each is asked once: nothing is
    repeated, but on a new connection if the old one was closed before the call. A call must answer 200 with what it sent.
    K subscriptions/listen (SSE) are open from the beginning to the end; a change every 3 s must reach each of them.
    --audit: the ingress's records; says how many connections and SVIDs carried it all, and that every call on record completed.
"""
import argparse, asyncio, collections, json, os, sys, time
from urllib.parse import urlsplit
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'peers'))
from ok import check, close
from streams import META, modern, request

WORKERS = 32
TIMEOUT = 20

async def body_of(r, head):
    """The body of an answer of which the head has been read."""
    if 'transfer-encoding: chunked' in head:
        body = b''
        while n := int(await r.readline(), 16): body += (await r.readexactly(n + 2))[:n]
        await r.readline(); return body
    n = next((int(l.split(':')[1]) for l in head.split('\r\n') if l.startswith('content-length:')), None)
    return await r.read() if n is None else await r.readexactly(n)

class Caller:
    """One connection that is used again, as HTTP clients do."""
    def __init__(self, url): self.u, self.r, self.w, self.opened = urlsplit(url), None, None, 0
    async def call(self, n):
        method, headers, body = modern('tools/call', {'name': 'echo', 'arguments': {'message': f'call {n}.'}}, 'echo')
        if self.w is None or self.r.at_eof() or self.w.is_closing():
            self.r, self.w = await asyncio.open_connection(self.u.hostname, self.u.port, limit=1 << 22); self.opened += 1
        fields = {'Host': self.u.netloc, 'Content-Length': len(body), **headers}
        self.w.write((f'{method} {self.u.path} HTTP/1.1\r\n' + ''.join(f'{k}: {v}\r\n' for k, v in fields.items()) + '\r\n').encode() + body)
        head = (await self.r.readuntil(b'\r\n\r\n')).decode().lower(); answer = await body_of(self.r, head)
        if 'connection: close' in head: self.w.close(); self.w = None
        if head.split()[1] != '200' or f'call {n}.'.encode() not in answer: raise ValueError(f'{head.splitlines()[0]} {answer[:160]!r}')

class Load:
    def __init__(self, a): self.a, self.begun, self.failed, self.slowest, self.callers = a, 0, [], 0, []
    async def worker(self, turns):
        caller = Caller(self.a.url); self.callers.append(caller)
        while (n := await turns.get()) is not None:
            t = time.monotonic()
            try: await asyncio.wait_for(caller.call(n), TIMEOUT)
            except Exception as e:
                self.failed.append(f'call {n}: {e!r}'); caller.w = None
            self.slowest = max(self.slowest, time.monotonic() - t)
    async def run(self):
        turns = asyncio.Queue(WORKERS); workers = [asyncio.create_task(self.worker(turns)) for _ in range(WORKERS)]
        began = time.monotonic(); due = lambda: began + self.begun / self.a.rate
        while self.begun < self.a.calls if self.a.calls else time.monotonic() - began < self.a.seconds:
            if (wait := due() - time.monotonic()) > 0: await asyncio.sleep(wait)
            await turns.put(self.begun); self.begun += 1
        for _ in workers: await turns.put(None)
        await asyncio.gather(*workers); return time.monotonic() - began

class Stream:
    """One subscriptions/listen, and how often it heard of a change."""
    def __init__(self): self.heard, self.ended = 0, None
    async def follow(self, url):
        status, head, r, self.w = await request(url, *modern('subscriptions/listen', {'notifications': {'toolsListChanged': True}}))
        if status != 200: self.ended = head.splitlines()[0]; return
        self.task = asyncio.create_task(self.read(r))
    async def read(self, r):
        try:
            while (line := await r.readline()) not in (b'', b'0\r\n'): self.heard += b'list_changed' in line
            self.ended = f'its end after {self.heard} changes'
        except (OSError, asyncio.IncompleteReadError) as e: self.ended = repr(e)

async def changes(url, streams, told):
    """A change every 3 s, each time waiting until every stream has heard of it."""
    while True:
        _, head, r, w = await request(url, *modern('tools/call', {'name': 'test_trigger_tool_change', 'arguments': {}}, 'test_trigger_tool_change'))
        await body_of(r, head); w.close(); told[0] += 1; t = time.monotonic()
        while any(s.heard < told[0] and not s.ended for s in streams) and time.monotonic() - t < 10: await asyncio.sleep(.05)
        await asyncio.sleep(3)

def on_record(path):
    """Connections, SVIDs of the caller, and how calls ended, once the record is quiet."""
    with open(path) as f: records = [json.loads(line) for line in f]
    opened = [r for r in records if r['event'] == 'connection.open']
    ended = collections.Counter(r['outcome'] for r in records if r['event'] == 'call.close')
    print(f'on record: {len(opened)} connections ({collections.Counter(r["handshake"] for r in opened)}), {len({r["peer_svid_expires"] for r in opened})} SVIDs of the caller, calls {dict(ended)}')
    return opened, ended

async def main(a):
    streams, told = [Stream() for _ in range(a.streams)], [0]
    await asyncio.gather(*(s.follow(a.url) for s in streams))
    telling = asyncio.create_task(changes(a.url, streams, told)) if streams else None
    load = Load(a); took = await load.run()
    print(f'{load.begun} calls in {took:.0f} s, {load.begun / took:.0f} a second, slowest {load.slowest * 1e3:.0f} ms, {sum(c.opened for c in load.callers)} local connections')
    check(f'no call failed of {load.begun}', load.begun and not load.failed, f'{len(load.failed)} failed, such as {load.failed[:3]}')
    if telling:
        if telling.done(): check('changes went on to the end', False, repr(telling.exception()))
        telling.cancel(); ended = [s.ended for s in streams if s.ended]; deaf = [s.heard for s in streams if s.heard < told[0] - 1]
        print(f'{len(streams)} streams, {took:.0f} s each, {told[0]} changes')
        check('no stream ended', not ended, ended[:3]); check('every stream heard of every change', told[0] > 1 and not deaf, deaf[:3])
        for s in streams:
            if not s.ended: s.w.close()
    if a.audit:
        opened, ended = on_record(a.audit)
        check('the ingress carried every call', ended['completed'] >= load.begun, ended)
        check('on record no call failed or was cut', not (set(ended) - {'completed', 'cancelled'}), ended)

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('url'); p.add_argument('--audit')
for name, default in (('--seconds', 0), ('--calls', 0), ('--rate', 20), ('--streams', 0)): p.add_argument(name, type=int, default=default)
a = p.parse_args(); asyncio.run(asyncio.wait_for(main(a), 3 * (a.seconds + a.calls / a.rate) + 120)); close()
