"""Python SDK (mcp 2.3.0) client check, both eras. usage: mcp_py_client.py URL
Works against mcp_everything.mjs."""
import sys, time, anyio, mcp_types as t
from ok import check, close
from mcp.client.client import Client
url = sys.argv[1]
async def elicit(ctx, params): return t.ElicitResult(action='accept', content={'name': 'Ann', 'username': 'u', 'email': 'e@x'})
async def sample(ctx, params): return t.CreateMessageResult(role='assistant', model='m', content=t.TextContent(type='text', text='Paris'))
async def run(mode):
    async with Client(url, mode=mode, elicitation_callback=elicit, sampling_callback=sample) as c:
        want = '2025-11-25' if mode == 'legacy' else '2026-07-28'
        check(mode + ' version', c.protocol_version == want, c.protocol_version)
        tools = await c.list_tools(); check(mode + ' list_tools', len(tools.tools) > 20)
        r = await c.call_tool('echo', {'message': 'héllo ✓'}); check(mode + ' echo', r.content[0].text == 'héllo ✓')
        stamps = []
        async def prog(p, total, msg): stamps.append(time.monotonic())
        t0 = time.monotonic(); r = await c.call_tool('slow_ticks', {'n': 4, 'ms': 250}, progress_callback=prog)
        # streamed, not buffered: events must arrive spread out
        check(mode + ' progress count', len(stamps) == 4, stamps)
        check(mode + ' progress not buffered', len(stamps) == 4 and stamps[-1] - stamps[0] > 0.6, [s - t0 for s in stamps])
        r = await c.read_resource('test://static-binary'); check(mode + ' blob', r.contents[0].mime_type == 'image/png')
        r = await c.get_prompt('test_prompt_with_arguments', {'arg1': 'a', 'arg2': 'b'}); check(mode + ' prompt', "arg2='b'" in r.messages[0].content.text)
        if mode == 'legacy':
            r = await c.call_tool('test_elicitation', {'message': 'hi'}); check('legacy server->client elicitation', 'accept' in r.content[0].text, r)
            r = await c.call_tool('test_sampling', {'prompt': 'hi'}); check('legacy server->client sampling', 'Paris' in r.content[0].text, r)
            await c.send_ping(); check('legacy ping', True)
        else:
            r = await c.call_tool('test_input_required_result_elicitation', {}); check('mrtr elicitation', 'Ann' in r.content[0].text, r)
            got = []
            async with c.listen(tools_list_changed=True) as sub:
                async def trigger():
                    await anyio.sleep(.3); await c.call_tool('test_trigger_tool_change', {})
                async with anyio.create_task_group() as tg:
                    tg.start_soon(trigger)
                    with anyio.move_on_after(5):
                        async for ev in sub: got.append(ev); break
            check('subscriptions/listen event', len(got) == 1, got)
            # cancellation: closing the POST response stream must reach the server
            with anyio.move_on_after(0.6): await c.call_tool('slow_ticks', {'n': 20, 'ms': 200})
            check('cancel sent', True)
        try:
            await c.read_resource('test://nope'); check(mode + ' error', False)
        except Exception as e: check(mode + ' error', 'not' in str(e).lower(), e)
for m in ('legacy', 'auto'):
    try: anyio.run(run, m)
    except BaseException as e: check(m + ' run', False, repr(e))
close()
