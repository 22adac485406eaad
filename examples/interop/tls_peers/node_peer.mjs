// A TLS peer on Node 26 (OpenSSL 3.5).
//
// node_peer.mjs client PORT --svid PREFIX --bundle FILE [--groups A:B] [--tls12] [--no-cert] [--h2] [--probe] [--again [--between COMMAND]]
//     one line: OK TLSv1.3 GROUP PEER_ID get=200 post=same     or: ALERT NUMBER NAME, ERROR text, OPEN   (see openssl_peer.py)
//     --again: then a second connection that offers the session of the first; COMMAND runs between the two:
//     OK ... then resumed|full OK ...      or, if the second one fails: OK ... then ALERT NUMBER NAME
// node_peer.mjs server PORT --svid PREFIX --bundle FILE [--groups A:B] [--tls12] [--h2]
//     an HTTP/1.1 (--h2: HTTP/2) server that asks for a client certificate; a line 'SERVED TLSv1.3 ? PEER_ID' for each request
//     (Node tells the group on the client side only)
import { readFileSync } from 'node:fs';
import { execSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import http from 'node:http'; import https from 'node:https'; import http2 from 'node:http2'; import tls from 'node:tls';

const flag = { type: 'boolean', default: false };
const { values: a, positionals: [role, port] } = parseArgs({ allowPositionals: true, options: {
  svid: { type: 'string' }, bundle: { type: 'string' }, groups: { type: 'string' }, tls12: flag, 'no-cert': flag, h2: flag, probe: flag,
  again: flag, between: { type: 'string' } } });
const options = {
  ca: readFileSync(a.bundle), ecdhCurve: a.groups ?? 'X25519MLKEM768', minVersion: a.tls12 ? 'TLSv1.2' : 'TLSv1.3', maxVersion: a.tls12 ? 'TLSv1.2' : 'TLSv1.3',
  ...(a['no-cert'] ? {} : { cert: readFileSync(a.svid + '.svid.pem'), key: readFileSync(a.svid + '.key.pem') }),
  ALPNProtocols: [a.h2 ? 'h2' : 'http/1.1'], checkServerIdentity: () => undefined,                     // SPIFFE: no host names
};
const id = s => s.getPeerX509Certificate()?.subjectAltName?.replace(/^URI:/, '') ?? '-';
const body = 'p'.repeat(200_000);
const text = async r => { let t = ''; for await (const c of r) t += c; return t; };

function alertOf(e) {
  const n = /SSL alert number (\d+)/.exec(e.message)?.[1];
  return n ? `ALERT ${n} ${/alert ([a-z ]+)/.exec(e.message)?.[1] ?? ''}` : `ERROR ${e.code ?? ''} ${e.message}`;
}
async function overHttp1(socket) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 }); agent.createConnection = () => socket;
  const ask = (method, path, b) => new Promise((ok, no) => {
    const r = http.request({ method, path, agent, headers: { host: `127.0.0.1:${port}`, 'content-type': 'text/plain', 'content-length': b?.length ?? 0 } },
      async m => ok([m.statusCode, await text(m)]));
    r.on('error', no); r.end(b);
  });
  return [await ask('GET', '/ping'), await ask('POST', '/echo', body)];
}
async function overHttp2(socket) {
  const h = http2.connect(`https://127.0.0.1:${port}`, { createConnection: () => socket });
  const ask = (method, path, b) => new Promise((ok, no) => {
    const r = h.request({ ':method': method, ':path': path, 'content-type': 'text/plain' });
    let status; r.on('response', m => { status = m[':status']; }); r.on('error', no); r.end(b);
    text(r).then(t => ok([status, t]), no);
  });
  return [await ask('GET', '/ping'), await ask('POST', '/echo', body)];
}
// One connection: its line, and what can be resumed of it.
const connect = session => new Promise(done => {
  let last; const timer = setTimeout(() => done([a.probe ? 'OPEN' : 'ERROR no answer in 5 s']), a.probe ? 3000 : 5000);
  const end = (line, s) => { clearTimeout(timer); s?.destroy(); done([line, last]); };
  const s = tls.connect({ host: '127.0.0.1', port: +port, session, ...options });
  s.on('session', t => { last = t; });
  s.on('error', e => end(alertOf(e)));
  s.once('secureConnect', async () => {
    if (a.probe) { s.on('end', () => setTimeout(() => end('ERROR closed without an alert'), 100)); s.resume(); return; }
    const how = session ? (s.isSessionReused() ? 'resumed ' : 'full ') : '', k = s.getEphemeralKeyInfo();
    const seen = `${how}OK ${s.getProtocol()} ${k.name ?? k.type ?? '?'} ${id(s)}`;
    try {
      const [[get], [, back]] = await (s.alpnProtocol === 'h2' ? overHttp2(s) : overHttp1(s));
      end(`${seen} get=${get} post=${back === body ? 'same' : 'differs'}`, s);
    } catch (e) { end(alertOf(e)); }
  });
});
async function client() {
  const [first, session] = await connect();
  if (!a.again) { console.log(first); process.exit(0); }
  if (a.between) execSync(a.between, { stdio: 'inherit' });
  console.log(`${first} then ${session ? (await connect(session))[0] : 'ERROR no session was given'}`); process.exit(0);
}
function server() {
  const serve = async (req, res) => {
    const s = req.stream?.session?.socket ?? req.socket, got = await text(req);
    console.log('SERVED', s.getProtocol(), '?', id(s)); res.end(req.method === 'POST' ? got : 'pong');
  };
  const o = { ...options, requestCert: true, rejectUnauthorized: true };
  const s = a.h2 ? http2.createSecureServer(o, serve) : https.createServer(o, serve);
  s.on('tlsClientError', e => console.log('REFUSED', e.message)); s.listen(+port, '127.0.0.1');
}
role === 'client' ? client() : server();
