#!/usr/bin/env python3
"""From a revocation to the last byte of whom it names, beside many other streams. Python standard library only.

revocation.py serve PORT      a workload: every GET is an event stream that goes on, with an event now and then
revocation.py measure ...     opens the other streams, then revokes and lifts, again and again, by call and by deny-list
"""
import argparse, asyncio, json, os, statistics, time

HEAD = b'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'
EVENT = b'c\r\ndata: tick\n\n\r\n'
failed = 0

def check(name, cond, detail=''):
    global failed
    failed += not cond
    print('ok' if cond else 'FAIL', name, '|', detail, flush=True)

# ---- workload
async def serve_one(r, w):
    try:
        await r.readuntil(b'\r\n\r\n')
        w.write(HEAD + EVENT)
        while True:
            # The caller sends nothing more: what is read is its end.
            try: await asyncio.wait_for(r.read(1), 5); return
            except asyncio.TimeoutError: w.write(EVENT); await w.drain()
    except (asyncio.IncompleteReadError, ConnectionError): pass
    finally: w.close()

async def serve(port):
    server = await asyncio.start_server(serve_one, '127.0.0.1', port, backlog=4096)
    async with server: await server.serve_forever()

# ---- client
async def open_stream(port):
    """An event stream whose first event is there, or None if it is refused."""
    r, w = await asyncio.open_connection('127.0.0.1', port)
    w.write(b'GET /sse HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n' % port)
    head = await r.readuntil(b'\r\n\r\n')
    if b' 200 ' not in head.split(b'\r\n')[0]: w.close(); return None
    await r.readuntil(b'tick\n\n\r\n')
    return r, w

async def until_open(port):
    """The victim's next stream, once it is let in again."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if stream := await open_stream(port): return stream
        await asyncio.sleep(0.02)
    raise SystemExit('FAIL the victim is not let in again')

async def last_byte(stream):
    """Reads to the end, proper or not: when that was, and what came last."""
    r, w = stream; got = b''
    while not got.endswith(b'\r\n0\r\n\r\n') and (data := await r.read(1 << 16)): got = (got + data)[-400:]
    at = time.perf_counter(); w.close()
    return at, got

class Admin:
    def __init__(self, port, token): self.port, self.token = port, token
    async def open(self): self.r, self.w = await asyncio.open_connection('127.0.0.1', self.port); return self
    async def call(self, method, path, body=None):
        body = json.dumps(body).encode() if body else b''
        self.w.write((f'{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {self.token}\r\n'
                      f'content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n').encode() + body)
        head = (await self.r.readuntil(b'\r\n\r\n')).decode().lower()
        n = next((int(l.split(':')[1]) for l in head.split('\r\n') if l.startswith('content-length:')), 0)
        answer = await self.r.readexactly(n)
        return int(head.split()[1]), json.loads(answer) if answer else None

def told(name, took, limit):
    took = sorted(took); at = lambda q: took[min(len(took) - 1, int(q * len(took)))] * 1e3
    check(f'{name}: p99 below {limit * 1e3:.0f} ms', at(.99) < limit * 1e3,
          f'{len(took)} times: p50 {at(.5):.1f} ms, p90 {at(.9):.1f} ms, p99 {at(.99):.1f} ms, max {took[-1] * 1e3:.1f} ms')

async def by_call(args):
    admin = await Admin(args.admin, open(args.token).read()).open()
    took, answered, delays, proper = [], [], [], 0
    for _ in range(args.times):
        stream = await until_open(args.victim)
        end = asyncio.ensure_future(last_byte(stream))
        t = time.perf_counter()
        status, answer = await admin.call('POST', '/v1/revocations', {'spiffe_id': args.id, 'reason': 'measured'})
        answered.append(time.perf_counter() - t)
        at, words = await asyncio.wait_for(end, 10)
        took.append(at - t)
        if status != 201: raise SystemExit(f'FAIL answered {status} {answer}')
        delays.append(answer['delay_us'] / 1e6)
        proper += answer['streams_cut'] == 1 and answer['end'] == 'streams-ended' and b': no-longer-allowed\n\n' in words and words.endswith(b'0\r\n\r\n')
        await admin.call('DELETE', f"/v1/revocations/{answer['id']}")
    told('call to last byte at the agent', took, 0.1)
    told('call to its answer, on disk', answered, 0.25)
    told('delay as answered and recorded', delays, 0.1)
    check('each stream ended with its last words', proper == args.times, f'{proper} of {args.times}')

async def by_file(args):
    took = []
    for _ in range(args.times):
        stream = await until_open(args.victim)
        end = asyncio.ensure_future(last_byte(stream))
        aside = args.deny + '.new'
        with open(aside, 'w') as f: f.write(args.id + '\n')
        t = time.perf_counter(); os.rename(aside, args.deny)
        at, _ = await asyncio.wait_for(end, 10); took.append(at - t)
        with open(aside, 'w') as f: f.write('# nobody\n')
        os.rename(aside, args.deny)
    told('change of the deny-list to last byte', took, 1.0)

async def measure(args):
    streams = []
    t = time.monotonic()
    for _ in range(0, args.streams, 100):
        streams += await asyncio.gather(*(open_stream(args.target) for _ in range(100)))
    n = sum(s is not None for s in streams)
    check('the other streams are open', n == len(streams), f'{n} in {time.monotonic() - t:.1f} s')
    ended = [0]
    async def watch(stream):
        r, _ = stream
        while await r.read(1 << 16): pass
        ended[0] += 1
    watching = [asyncio.ensure_future(watch(s)) for s in streams if s]
    await by_call(args)
    await by_file(args)
    check('no other stream has ended', ended[0] == 0, f'{ended[0]} ended')
    for task in watching: task.cancel()

if __name__ == '__main__':
    p = argparse.ArgumentParser(); sub = p.add_subparsers(dest='what', required=True)
    s = sub.add_parser('serve'); s.add_argument('port', type=int)
    m = sub.add_parser('measure')
    for name in ('target', 'victim', 'admin', 'times', 'streams'): m.add_argument('--' + name, type=int, required=True)
    for name in ('id', 'token', 'deny'): m.add_argument('--' + name, required=True)
    args = p.parse_args()
    try: asyncio.run(serve(args.port) if args.what == 'serve' else measure(args))
    except KeyboardInterrupt: pass
    raise SystemExit(failed > 0)
