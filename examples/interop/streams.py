#!/usr/bin/env python3
"""Many open streams must not starve an ordinary call beside them. Python standard library only.

streams.py serve PORT             a small HTTP/1.1 target: GET /ping, GET /blob (1 MiB), POST /echo, GET /sent (flooded bytes),
                                  GET /flood (SSE as fast as it can, 40 MiB), POST /hold (never reads the body)
streams.py check MCP_URL BASE     MCP_URL: mcp_everything.mjs, ends in /mcp; BASE: `serve`
  idle    150 SSE streams open at once (75 sessions' GET of 2025-11-25, 75 subscriptions/listen of 2026-07-28)
  unread   60 floods whose bodies nobody reads
  unsent   60 uploads whose bodies the target does not read
Beside each: ordinary calls, each answered within LIMIT seconds.
"""
import asyncio, json, re, socket, statistics, sys, time
from urllib.parse import urlsplit

LIMIT = 1.0
MIB = 1 << 20
passed = failed = flooded = 0

def check(name, cond, detail=''):
    global passed, failed
    passed, failed = passed + bool(cond), failed + (not cond)
    print('ok' if cond else 'FAIL', name, '|', detail)

# ---- target
async def chunk(w, data):
    global flooded
    w.write(b'%x\r\n%b\r\n' % (len(data), data)); await w.drain(); flooded += len(data)

async def read_body(r, head):
    if b'chunked' in head:
        body = b''
        while n := int(await r.readline(), 16): body += (await r.readexactly(n + 2))[:n]
        await r.readline(); return body
    n = next((int(l.split(b':')[1]) for l in head.split(b'\r\n') if l.startswith(b'content-length:')), 0)
    return await r.readexactly(n)

async def serve_one(r, w):
    try:
        while head := await r.readuntil(b'\r\n\r\n'):
            path, head = head.split(b' ')[1], head.lower()
            if path == b'/flood':
                w.write(b'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n')
                event = b'data: ' + b'x' * 16000 + b'\n\n'
                for _ in range(40 * MIB // len(event)): await chunk(w, event)
                await asyncio.sleep(60); return
            if path == b'/hold':
                w.write(b'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n')
                w.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
                await chunk(w, b': held\n\n'); w.transport.pause_reading(); await asyncio.sleep(60); return
            body = await read_body(r, head)
            answer = {b'/ping': b'pong', b'/blob': b'b' * MIB, b'/echo': body, b'/sent': b'%d.' % flooded}.get(path, b'?')
            w.write(b'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%b' % (len(answer), answer)); await w.drain()
    except (asyncio.IncompleteReadError, ConnectionError): pass
    finally: w.close()

# ---- client: one connection per request, so that the caller's own HTTP library cannot be what limits
async def request(url, method='GET', headers=(), body=b'', buf=None):
    """Sends a request; returns (status, head, reader, writer) once the response head is there."""
    u = urlsplit(url); s = socket.socket(); s.setblocking(False)
    for side in (socket.SO_RCVBUF, socket.SO_SNDBUF) if buf else (): s.setsockopt(socket.SOL_SOCKET, side, buf)
    await asyncio.get_running_loop().sock_connect(s, (u.hostname, u.port))
    r, w = await asyncio.open_connection(sock=s, limit=buf or MIB * 4)
    h = {'Host': u.netloc, 'Content-Length': len(body), **dict(headers)}
    w.write((f'{method} {u.path} HTTP/1.1\r\n' + ''.join(f'{k}: {v}\r\n' for k, v in h.items()) + '\r\n').encode() + body)
    # Field names only: a session id is told by its case too.
    head = re.sub(r'(?m)^[^:\r\n]+:', lambda name: name[0].lower(), (await r.readuntil(b'\r\n\r\n')).decode())
    return int(head.split()[1]), head, r, w

async def fetch(url, until, *a):
    """A whole ordinary call: reads until the answer holds `until`."""
    _, _, r, w = await request(url, *a); got = b''
    try:
        while until not in got:
            data = await r.read(1 << 16)
            if not data: break
            got += data
        return got
    finally: w.close()

META = {'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {},
        'io.modelcontextprotocol/clientInfo': {'name': 'streams', 'version': '1'}}
def mcp(method, params, version, extra=()):
    h = {'Content-Type': 'application/json', 'Accept': 'application/json, text/event-stream', 'MCP-Protocol-Version': version, **dict(extra)}
    body = {'jsonrpc': '2.0', 'method': method, 'params': params}
    if not method.startswith('notifications/'): body['id'] = 1
    return 'POST', h, json.dumps(body).encode()
def modern(method, params, name=None):
    return mcp(method, {**params, '_meta': META}, '2026-07-28', {'Mcp-Method': method, **({'Mcp-Name': name} if name else {})})

async def open_session(url):
    """initialize + initialized + GET: the stream of a 2025-11-25 session."""
    status, head, _, w = await request(url, *mcp('initialize', {'protocolVersion': '2025-11-25', 'capabilities': {}, 'clientInfo': META['io.modelcontextprotocol/clientInfo']}, '2025-11-25'))
    w.close(); sid = {'Mcp-Session-Id': next(l.split(': ')[1] for l in head.split('\r\n') if l.startswith('mcp-session-id'))}
    (await request(url, *mcp('notifications/initialized', {}, '2025-11-25', sid)))[3].close()
    return await request(url, 'GET', {'Accept': 'text/event-stream', 'MCP-Protocol-Version': '2025-11-25', **sid})

async def timed(name, times, call, want):
    """`times` calls one after the other; all must answer, the slowest within LIMIT."""
    took, why = [], ''
    for _ in range(times):
        t = time.monotonic()
        try: got = await asyncio.wait_for(call(), 10 * LIMIT)
        except (TimeoutError, asyncio.TimeoutError): got, why = b'', 'no answer'
        except (OSError, asyncio.IncompleteReadError) as e: got, why = b'', repr(e)
        took.append(time.monotonic() - t)
        if want not in got: why = why or f'answered {got[:80]!r}'; break
    check(name, not why and max(took) < LIMIT, f'median {statistics.median(took) * 1e3:.1f} ms, max {max(took) * 1e3:.1f} ms {why}')

async def open_all(name, opens, deadline=20):
    """Opens all at once; those whose response head came with 200."""
    t = time.monotonic(); tasks = [asyncio.create_task(o) for o in opens]
    done, late = await asyncio.wait(tasks, timeout=deadline)
    for x in late: x.cancel()
    streams = [x.result() for x in done if not x.exception() and x.result()[0] == 200]
    why = next((repr(x.exception()) if x.exception() else x.result()[1].split('\r\n')[0] for x in done if x.exception() or x.result()[0] != 200), 'no head in time' if late else '')
    check(name, len(streams) == len(tasks), f'{len(streams)} of {len(tasks)} response heads in {time.monotonic() - t:.2f} s {why}')
    return streams
def shut(streams):
    for s in streams: s[3].transport.abort()

async def idle(url):
    call = lambda: fetch(url, b'"hi"', *modern('tools/call', {'name': 'echo', 'arguments': {'message': 'hi'}}, 'echo'))
    await timed('idle: call alone', 5, call, b'"hi"')
    listen = lambda: request(url, *modern('subscriptions/listen', {'notifications': {'toolsListChanged': True}}))
    listens = await open_all('idle: 75 listen streams open', [listen() for _ in range(75)])
    gets = await open_all('idle: 75 session streams open', [open_session(url) for _ in range(75)])
    await timed('idle: call beside 150 streams', 20, call, b'"hi"')
    # The streams are live: one change reaches every listener, and no stream has ended.
    t = time.monotonic(); await fetch(url, b'result', *modern('tools/call', {'name': 'test_trigger_tool_change', 'arguments': {}}, 'test_trigger_tool_change'))
    done = await asyncio.gather(*(asyncio.wait_for(s[2].readuntil(b'list_changed'), 5) for s in listens), return_exceptions=True)
    n = sum(isinstance(d, bytes) for d in done); check('idle: every listener hears', n == 75, f'{n} of 75 in {(time.monotonic() - t) * 1e3:.0f} ms')
    n = sum(s[2].at_eof() for s in listens + gets); check('idle: no stream ended', n == 0, f'{n} ended'); shut(listens + gets)

async def ordinary(base, beside):
    await timed(f'{beside}: ping', 10, lambda: fetch(base + '/ping', b'pong'), b'pong')
    await timed(f'{beside}: 1 MiB down', 3, lambda: fetch(base + '/blob', b'b' * MIB), b'b' * MIB)
    await timed(f'{beside}: 1 MiB up', 3, lambda: fetch(base + '/echo', b'u' * MIB, 'POST', {'Content-Type': 'text/plain'}, b'u' * MIB), b'u' * MIB)

async def settles(name, counter, each=60):
    """Waits until bytes stop moving, that is until every buffer on the way is full: bounded ones fill in seconds, with some MiB."""
    now, moved, t = await counter(), MIB, time.monotonic()
    while moved >= MIB and time.monotonic() - t < 15:
        last = now; await asyncio.sleep(.5); now = await counter(); moved = now - last
    check(name, moved < MIB and now < 32 * MIB * each, f'{now / each / MIB:.1f} MiB each on the way after {time.monotonic() - t:.1f} s, {moved} bytes in the last 0.5 s')

async def unread(base):
    floods = await open_all('unread: 60 floods open', [request(base + '/flood', buf=16384) for _ in range(60)])
    async def sent(): return int(re.search(rb'(\d+)\.', await fetch(base + '/sent', b'.'))[1])
    await settles('unread: the target is held back', sent)
    await ordinary(base, 'unread')
    async def again(s):
        n = 0
        while n < 8 * MIB: n += len(await s[2].readexactly(8192))
    done = await asyncio.gather(*(asyncio.wait_for(again(s), 10) for s in floods[:3]), return_exceptions=True)
    check('unread: a flood read again goes on', not any(done), done); shut(floods)

async def unsent(base):
    head = {'Content-Type': 'application/octet-stream', 'Content-Length': 64 * MIB}; sent = [0]
    holds = await open_all('unsent: 60 uploads open', [request(base + '/hold', 'POST', head, b'u' * 4096, 65536) for _ in range(60)])
    async def pump(w):
        for _ in range(1000): w.write(b'u' * 65536); await w.drain(); sent[0] += 65536
    pumps = [asyncio.create_task(pump(s[3])) for s in holds]
    async def taken(): return sent[0]
    await settles('unsent: the callers are held back', taken)
    await ordinary(base, 'unsent')
    for p in pumps: p.cancel()
    shut(holds)

async def main(argv):
    if argv[0] == 'serve':
        async with await asyncio.start_server(serve_one, '127.0.0.1', int(argv[1]), backlog=512) as s: await s.serve_forever()
    for part, url in ((idle, argv[1]), (unread, argv[2]), (unsent, argv[2])):
        try: await asyncio.wait_for(part(url), 120)
        except Exception as e: check(f'{part.__name__}: ran to its end', False, repr(e)[:300])
    print(f'{passed} passed, {failed} failed')
    return failed > 0
if __name__ == '__main__':
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ('serve', 'check'): sys.exit(__doc__)
    try: sys.exit(asyncio.run(main(sys.argv[1:])))
    except KeyboardInterrupt: pass
