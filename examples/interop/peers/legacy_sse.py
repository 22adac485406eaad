"""The MCP 2024-11-05 transport (HTTP+SSE) on the published Python SDK (mcp 2.3.0), both sides.
legacy_sse.py server        env PORT; GET /sse, POST /messages/?session_id=
legacy_sse.py client URL    URL ends in /sse"""
import os, sys, time, anyio
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.server.mcpserver import Context, MCPServer
from ok import check, close

def server():
    app = MCPServer('legacy')
    @app.tool()
    def echo(message: str) -> str: return message
    @app.tool()
    def session(ctx: Context) -> str: return ctx.request_context.request.query_params['session_id']
    @app.tool()
    async def slow_ticks(n: int, ms: int, ctx: Context) -> str:
        for i in range(n): await ctx.report_progress(i + 1, n); await anyio.sleep(ms / 1000)
        return f'ticked {n}'
    app.run('sse', host='127.0.0.1', port=int(os.environ['PORT']))

async def client(url):
    ids = []
    join = lambda: Client(sse_client(url, on_session_created=ids.append), mode='legacy')
    async def call(c, name, args=None, **k): return (await c.call_tool(name, args or {}, **k)).content[0].text
    async with join() as a:
        check('the session id is in the query', len(ids) == 1 and len(ids[0]) >= 32, ids)
        check('list tools', sorted(t.name for t in (await a.list_tools()).tools) == ['echo', 'session', 'slow_ticks'])
        check('call', await call(a, 'echo', {'message': 'héllo ✓'}) == 'héllo ✓')
        big = 'x' * 500_000; check('call with 500 kB', await call(a, 'echo', {'message': big}) == big)
        at, seen = [], []
        async def progress(p, total, message): at.append(time.monotonic()); seen.append(p)
        ticked = await call(a, 'slow_ticks', {'n': 5, 'ms': 200}, progress_callback=progress)
        check('progress in order', seen == [1, 2, 3, 4, 5] and ticked == 'ticked 5', seen)
        check('progress not buffered', at and at[-1] - at[0] > .6, at)
        # Two sessions at once: each has its own stream, and answers come on the stream of the session that asked.
        async with join() as b:
            who = [await call(c, 'session') for c in (a, b, a, b)]
            check('two sessions are two', len(set(ids)) == 2 and who[0] == who[2] != who[1] == who[3], (ids, who))
            many = {}
            async def one(i): many[i] = await call(b if i % 2 else a, 'echo', {'message': f'm{i}'})
            async with anyio.create_task_group() as tg:
                for i in range(20): tg.start_soon(one, i)
            check('two sessions do not mix', all(many[i] == f'm{i}' for i in range(20)), many)
        check('one ends, the other stays', await call(a, 'echo', {'message': 'still'}) == 'still')

if sys.argv[1] == 'server': server(); sys.exit()
async def main():
    with anyio.fail_after(30): await client(sys.argv[2])
try: anyio.run(main)
except BaseException as e: check('run', False, repr(e))
close()
