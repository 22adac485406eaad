"""Two sidecars whose identities come from the Workload API of spiffe_server.py, end to end. usage: spiffe_lane.py PQLANE DIR LEAF

The workload answers with the X-Forwarded-Client-Cert that its sidecar gave it, so that each answer tells which SVID of the client crossed.
"""
import http.client, http.server, json, os, re, socket, subprocess, sys, threading, time
from ok import check, close

PQLANE, DIR, LEAF = sys.argv[1:4]
HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = {name: int(p) for name, p in zip(('workload', 'lane', 'egress', 'server', 'client'), sys.argv[4:9])}      # server, client: admin listeners
started = []

def spawn(name, *command, **more):
    log = open(os.path.join(DIR, f'{name}.log'), 'ab')
    started.append(subprocess.Popen(command, stderr=log, **{'stdout': log, **more})); return started[-1]
def until(condition, seconds):
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if (found := condition()): return found
        time.sleep(.05)
    return None

class Api:
    """The independent Workload API, in a process of its own."""
    def __init__(self, *ttl):
        for name in ('client', 'server'):
            try: os.unlink(os.path.join(DIR, f'{name}.sock'))
            except FileNotFoundError: pass
        self.process = spawn('api', sys.executable, os.path.join(HERE, 'spiffe_server.py'), DIR, LEAF, *ttl, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == 'ready\n', 'the Workload API did not start'
    def do(self, what, name):
        print(what, name, file=self.process.stdin, flush=True); said = None
        for line in self.process.stdout:
            if line == f'done {what} {name}\n': return said
            said = line.split()[-1]
    def serves(self): return self.do('now', 'client')
    def kill(self): self.process.kill(); self.process.wait()

class Workload(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        said = (self.headers.get('X-Forwarded-Client-Cert') or '').encode()
        self.send_response(200); self.send_header('Content-Length', str(len(said))); self.end_headers(); self.wfile.write(said)
    def log_message(self, *_): pass

def status(port, path='/'):
    """(status, body); (0, why) if nobody answers."""
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    try: c.request('GET', path); r = c.getresponse(); return r.status, r.read().decode()
    except OSError as e: return 0, repr(e)
    finally: c.close()
def call(): return status(PORTS['egress'])
def crossed():
    """The SHA-256 of the client's leaf that the workload's sidecar saw."""
    code, said = call(); found = re.search(r'Hash="?([0-9a-f]{64})', said)
    return found[1] if code == 200 and found else f'{code} {said}'
def ready(name): return status(PORTS[name], '/readyz')[0] == 200
def records(name):
    with open(os.path.join(DIR, f'{name}.audit')) as f: return [json.loads(l) for l in f]
def log(name):
    with open(os.path.join(DIR, f'{name}.log')) as f: return f.read()
def follows(name, api, seconds=10):
    want = api.serves(); got = until(lambda: crossed() == want, seconds); check(name, got, f'{crossed()} instead of {want}')

def sidecars():
    for name, command in (('server', ['inbound', '--listen', f'127.0.0.1:{PORTS["lane"]}', '--workload', f'http://127.0.0.1:{PORTS["workload"]}', '--allow', 'spiffe://example.org/client']),
                          ('client', ['outbound', '--listen', f'127.0.0.1:{PORTS["egress"]}', '--connect', f'127.0.0.1:{PORTS["lane"]}', '--peer', 'spiffe://example.org/server',
                                      '--spiffe-id', 'spiffe://example.org/client'])):
        spawn(name, PQLANE, *command, '--audit', os.path.join(DIR, f'{name}.audit'), '--admin', f'127.0.0.1:{PORTS[name]}',
              env={**os.environ, 'SPIFFE_ENDPOINT_SOCKET': f'unix://{DIR}/{name}.sock'})

def story():
    workload = http.server.ThreadingHTTPServer(('127.0.0.1', PORTS['workload']), Workload); threading.Thread(target=workload.serve_forever, daemon=True).start()
    sidecars()
    both = lambda answer: all(status(PORTS[n], '/livez')[0] == 200 and ready(n) is answer for n in ('server', 'client'))
    check('alive and not ready before there is an API', until(lambda: both(False), 10))
    check('no call is taken before there is an identity', call()[0] != 200, call())
    api = Api()
    check('ready once it serves', until(lambda: both(True), 20)); follows('a call crosses with the SVID that it serves', api)
    opening = lambda: next((r for r in records('server') if r['event'] == 'connection.open'), {})
    until(opening, 10); opened = opening()  # a record is on disk some milliseconds after the call it is about
    scheme = {'p256': 'ecdsa_secp256r1_sha256', 'ed25519': 'ed25519'}[LEAF]
    check('the record has the peer and its signature', (opened.get('peer'), opened.get('peer_signature'), opened.get('group')) == ('spiffe://example.org/client', scheme, 'X25519MLKEM768'), opened)
    first = crossed()
    api.do('rotate', 'client'); follows('the client\'s SVID is followed', api)
    check('and is another one', crossed() != first)
    api.do('rotate', 'server'); check('calls cross after the server\'s SVID was rotated', until(lambda: crossed() == api.serves(), 10), crossed())
    held = crossed(); api.do('wrong', 'client')
    check('an SVID whose message states another ID is not taken up, and named', until(lambda: 'somebody' in log('client'), 10), log('client')[-300:])
    check('the last good one is kept', crossed() == held, crossed())
    api.do('rotate', 'client'); follows('the next good one is', api)
    held = crossed(); api.kill()
    check('calls cross while the API is down', all(crossed() == held for _ in range(20)), crossed())
    api = Api(); follows('both find it when it is back', api, 30)
    api.do('revoke', 'client')
    check('a client on the CRL is refused', until(lambda: call()[0] == 502, 10), call())
    check('and the record says why', until(lambda: any(r.get('reason') == 'svid-revoked' for r in records('server')), 10), [r for r in records('server') if 'reason' in r][-2:])
    api.do('rotate', 'client'); follows('its next SVID is served', api)
    held = crossed(); api.do('none', 'client'); api.do('none', 'server')
    check('no identity any more: said, and the one in hand is used', until(lambda: 'no identity' in log('client'), 10) and crossed() == held, crossed())
    api.kill(); api = Api('6'); api.do('taken', 'client'); api.do('taken', 'server'); follows('SVIDs of 6 s', api, 30); api.kill()
    check('with the API down they are used until they expire', call()[0] == 200, call())
    check('then calls fail closed', until(lambda: call()[0] in (502, 503), 20), call())
    why = lambda: {r.get('reason') for r in records('client') + records('server') if 'svid' in r.get('detail', '').lower()}
    check('and the records say why', until(lambda: why() & {'identity-unavailable', 'svid-expired'}, 5), why())
    check('and the sidecars are not ready', until(lambda: not ready('server') and not ready('client'), 5), [status(PORTS[n], '/readyz') for n in ('server', 'client')])
    api = Api(); check('an API that is back makes all well', until(lambda: both(True), 30)); follows('with its SVID', api)

try: story()
except Exception as e: check('the story ran to its end', False, repr(e))
finally:
    for process in started: process.kill()
close()
