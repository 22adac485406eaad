"""A2A 0.3 over its three bindings: a2a-sdk 1.3.0's 0.3 transports, and requests as a 0.3 client writes them.
usage: a2a_03_client.py BASE_URL      (a2a_agent.py with A2A_VERSION=0.3)"""
import asyncio, json, sys, time, httpx, grpc
from uuid import uuid4
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import CancelTaskRequest, GetTaskRequest, Message, Part, Role, SendMessageRequest, TaskState
from ok import check, close

def msg(prefix): return SendMessageRequest(message=Message(message_id=f'{prefix}-{uuid4()}', role=Role.ROLE_USER, parts=[Part(text='hi')]))
wire = []                                             # what the SDK really sent
class SpyUnary(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, go, details, request): wire.append(as_text(details.method)); return await go(details, request)
class SpyStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, go, details, request): wire.append(as_text(details.method)); return await go(details, request)
def as_text(m): return m.decode() if isinstance(m, bytes) else m
async def spy(request):
    body = json.loads(request.content) if request.content else {}
    wire.append(f"{request.url.path} {body.get('method', '')}".strip())

async def sdk(card, h, binding, want):
    cfg = ClientConfig(httpx_client=h, supported_protocol_bindings=[binding], streaming=True,
                       grpc_channel_factory=lambda url: grpc.aio.insecure_channel(url, interceptors=[SpyUnary(), SpyStream()]))
    whole = ClientConfig(httpx_client=h, supported_protocol_bindings=[binding], streaming=False, grpc_channel_factory=cfg.grpc_channel_factory)
    c, once = ClientFactory(cfg).create(card), ClientFactory(whole).create(card); wire.clear()
    got = [e async for e in once.send_message(msg('tck-complete-task'))]
    check(f'{binding} send', len(got) == 1 and got[0].task.status.state == TaskState.TASK_STATE_COMPLETED, got)
    t = []; ticks = []
    async for e in c.send_message(msg('slow-3')):
        t.append(time.monotonic())
        if e.HasField('artifact_update'): ticks += [p.text for p in e.artifact_update.artifact.parts]
    check(f'{binding} stream in order', ticks == ['tick 0', 'tick 1', 'tick 2'], ticks)
    check(f'{binding} stream not buffered', len(t) > 3 and t[-1] - t[0] > 1.5, t)
    tid = None
    async for e in c.send_message(msg('tck-artifact-text')): tid = tid or (e.task.id if e.HasField('task') else None)
    r = await c.get_task(GetTaskRequest(id=tid)); check(f'{binding} get task', r.id == tid and r.status.state == TaskState.TASK_STATE_COMPLETED, r)
    tid = None
    async for e in c.send_message(msg('tck-input-required')): tid = tid or (e.task.id if e.HasField('task') else None)
    r = await c.cancel_task(CancelTaskRequest(id=tid)); check(f'{binding} cancel', r.status.state == TaskState.TASK_STATE_CANCELED, r)
    try: await c.get_task(GetTaskRequest(id='nope')); check(f'{binding} not found', False)
    except Exception as e: check(f'{binding} not found', 'NotFound' in type(e).__name__, repr(e))      # REST: the SDK says MethodNotFound
    check(f'{binding} spoke 0.3', all(any(w in x for x in wire) for w in want), wire)

async def by_hand(h, base):
    """Requests of a client that knows 0.3 only: no A2A-Version header, the old names, `kind` in the results."""
    m = lambda p: {'message': {'kind': 'message', 'messageId': f'{p}-{uuid4()}', 'role': 'user', 'parts': [{'kind': 'text', 'text': 'hi'}]}}
    rpc = lambda method, params: {'jsonrpc': '2.0', 'id': 7, 'method': method, 'params': params}
    r = (await h.post(base + '/', json=rpc('message/send', m('tck-complete-task')))).json()
    check('by hand message/send', r.get('id') == 7 and r['result']['kind'] == 'task' and r['result']['status']['state'] == 'completed', r)
    r = (await h.post(base + '/', json=rpc('tasks/get', {'id': r['result']['id']}))).json(); check('by hand tasks/get', r['result']['status']['state'] == 'completed', r)
    r = (await h.post(base + '/', json=rpc('tasks/get', {'id': 'nope'}))).json(); check('by hand TaskNotFound', r['error']['code'] == -32001, r)
    kinds, at = [], []
    async with h.stream('POST', base + '/', json=rpc('message/stream', m('slow-2')), headers={'Accept': 'text/event-stream'}) as s:
        check('by hand message/stream is SSE', s.headers['content-type'].startswith('text/event-stream'), s.headers)
        async for line in s.aiter_lines():
            if line.startswith('data:'): kinds.append(json.loads(line[5:])['result']['kind']); at.append(time.monotonic())
    check('by hand stream kinds', kinds[0] == 'task' and kinds[-1] == 'status-update' and kinds.count('artifact-update') == 2, kinds)
    check('by hand stream not buffered', at[-1] - at[0] > 1, at)
    r = await h.post(base + '/a2a/rest/v1/message:send', json={'message': {'messageId': f'tck-complete-task-{uuid4()}', 'role': 'ROLE_USER', 'content': [{'text': 'hi'}]}})
    check('by hand /v1/message:send', r.status_code == 200 and r.json()['task']['status']['state'] == 'TASK_STATE_COMPLETED', r.text)

async def main(base):
    async with httpx.AsyncClient(timeout=30, event_hooks={'request': [spy]}) as h:
        card = await A2ACardResolver(h, base).get_agent_card()
        check('card', sorted((i.protocol_binding, i.protocol_version) for i in card.supported_interfaces) == [('GRPC', '0.3'), ('HTTP+JSON', '0.3'), ('JSONRPC', '0.3')], card)
        await sdk(card, h, 'JSONRPC', ['/ message/send', '/ message/stream', '/ tasks/get', '/ tasks/cancel'])
        await sdk(card, h, 'HTTP+JSON', ['/v1/message:send', '/v1/message:stream', '/v1/tasks/', ':cancel'])
        await sdk(card, h, 'GRPC', [f'/a2a.v1.A2AService/{m}' for m in ('SendMessage', 'SendStreamingMessage', 'GetTask', 'CancelTask')])
    async with httpx.AsyncClient(timeout=30) as h: await by_hand(h, base)      # a fresh one: the SDK adds headers to the client it is given
try: asyncio.run(main(sys.argv[1]))
except Exception as e: check('run', False, repr(e))
close()
