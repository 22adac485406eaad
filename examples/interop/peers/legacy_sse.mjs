// The MCP 2024-11-05 transport (HTTP+SSE) on the published TypeScript SDK v1, both sides.
// legacy_sse.mjs server        env PORT; GET /sse, POST /messages?sessionId=
// legacy_sse.mjs client URL    URL ends in /sse; prints 'ok NAME' / 'FAIL NAME | detail'
import { createServer } from 'node:http';
import { z } from 'zod';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';

const sleep = ms => new Promise(r => setTimeout(r, ms));
const text = t => ({ content: [{ type: 'text', text: t }] });

function server() {
  const open = new Map();
  createServer(async (req, res) => {
    const u = new URL(req.url, 'http://x');
    if (req.method === 'GET' && u.pathname === '/sse') {
      const t = new SSEServerTransport('/messages', res); open.set(t.sessionId, t); res.on('close', () => open.delete(t.sessionId));
      const s = new McpServer({ name: 'legacy', version: '1.0.0' });
      s.registerTool('echo', { inputSchema: { message: z.string() } }, ({ message }) => text(message));
      s.registerTool('session', {}, () => text(t.sessionId));
      s.registerTool('slow_ticks', { inputSchema: { n: z.number(), ms: z.number() } }, async ({ n, ms }, c) => {
        for (let i = 1; i <= n; i++) {
          await c.sendNotification({ method: 'notifications/progress', params: { progressToken: c._meta.progressToken, progress: i, total: n } }); await sleep(ms);
        }
        return text(`ticked ${n}`);
      });
      return s.connect(t);
    }
    const t = open.get(u.searchParams.get('sessionId') ?? '');
    if (req.method === 'POST' && u.pathname === '/messages' && t) return t.handlePostMessage(req, res);
    if (u.pathname === '/open') return res.end(String(open.size));
    res.writeHead(404).end('no such session');
  }).listen(+process.env.PORT, '127.0.0.1');
}

let passed = 0, failed = 0;
const check = (name, ok, detail = '') => { ok ? passed++ : failed++; console.log(ok ? `ok ${name}` : `FAIL ${name} | ${detail}`); };
async function client(url) {
  const join = async () => { const c = new Client({ name: 'legacy', version: '1' }); const t = new SSEClientTransport(new URL(url)); await c.connect(t); return [c, t]; };
  const call = async (c, name, args = {}, o) => (await c.callTool({ name, arguments: args }, undefined, o)).content[0].text;
  const [a, ta] = await join();
  check('the session id is in the query', /[?&]session_?[iI]d=[\w-]{32,}/.test(ta._endpoint?.search ?? ''), ta._endpoint);
  check('list tools', (await a.listTools()).tools.map(t => t.name).sort().join() === 'echo,session,slow_ticks');
  check('call', await call(a, 'echo', { message: 'héllo ✓' }) === 'héllo ✓');
  const big = 'x'.repeat(500_000); check('call with 500 kB', await call(a, 'echo', { message: big }) === big);
  const at = [], seen = [];
  const ticked = await call(a, 'slow_ticks', { n: 5, ms: 200 }, { onprogress: p => { at.push(Date.now()); seen.push(p.progress); } });
  check('progress in order', seen.join() === '1,2,3,4,5' && ticked === 'ticked 5', seen);
  check('progress not buffered', at.at(-1) - at[0] > 600, at);
  // Two sessions at once: each has its own stream, and answers come on the stream of the session that asked.
  const [b] = await join();
  const ids = await Promise.all([a, b, a, b].map(c => call(c, 'session')));
  check('two sessions are two', ids[0] !== ids[1] && ids[0] === ids[2] && ids[1] === ids[3], ids);
  const many = await Promise.all(Array.from({ length: 20 }, (_, i) => call(i % 2 ? b : a, 'echo', { message: `m${i}` })));
  check('two sessions do not mix', many.every((m, i) => m === `m${i}`), many);
  await b.close();
  check('one ends, the other stays', await call(a, 'echo', { message: 'still' }) === 'still');
  const { status } = await fetch(new URL(`/messages/?sessionId=${crypto.randomUUID()}&session_id=${crypto.randomUUID().replaceAll('-', '')}`, url),
    { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' });
  check('an unknown session is refused', status === 404, status);
  await a.close();
}
if (process.argv[2] === 'server') server();
else {
  const t = setTimeout(() => { check('in time', false); console.log(`${passed} passed, ${failed} failed`); process.exit(1); }, 30_000);
  await client(process.argv[3]).catch(e => check('run', false, e.message)); clearTimeout(t);
  console.log(`${passed} passed, ${failed} failed`); process.exit(failed ? 1 : 0);
}
