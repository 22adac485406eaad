// MCP server on the TypeScript SDK v2, both eras, no sessions, on /mcp/LABEL: writes what it ran. env: PORT, RAN (file)
// One line of JSON for each request a handler was given: label (last segment of the path), method, target
// (tool, prompt or URI).
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Server, createMcpHandler } from '@modelcontextprotocol/server';
import { toNodeHandler, localhostHostValidation, localhostOriginValidation } from '@modelcontextprotocol/node';

const schema = { type: 'object', properties: { message: { type: 'string' }, region: { type: 'string', 'x-mcp-header': 'Region' },
  count: { type: 'integer', 'x-mcp-header': 'Count' }, dry: { type: 'boolean', 'x-mcp-header': 'Dry' }, place: { type: 'string', 'x-mcp-header': 'City' } } };
const tools = ['echo', 'secret', 'grüße'].map(name => ({ name, inputSchema: schema }));

function build({ requestInfo }) {
  const label = new URL(requestInfo.url).pathname.split('/').pop();
  const server = new Server({ name: 'calls', version: '1' }, { capabilities: { tools: {}, prompts: {}, resources: {} } });
  const on = (method, target, answer) => server.setRequestHandler(method, ({ params }) => {
    appendFileSync(process.env.RAN, JSON.stringify({ label, method, target: params?.[target] ?? null }) + '\n');
    return answer(params);
  });
  on('tools/list', '', () => ({ tools }));
  on('tools/call', 'name', p => ({ content: [{ type: 'text', text: `ran ${p.name}` }] }));
  on('prompts/list', '', () => ({ prompts: [{ name: 'hello' }] }));
  on('prompts/get', 'name', () => ({ messages: [] }));
  on('resources/list', '', () => ({ resources: [] }));
  on('resources/read', 'uri', () => ({ contents: [] }));
  return server;
}
const handle = toNodeHandler(createMcpHandler(build)), okHost = localhostHostValidation(), okOrigin = localhostOriginValidation();
createServer((req, res) => okHost(req, res) && okOrigin(req, res) && handle(req, res)).listen(+process.env.PORT, '127.0.0.1');
