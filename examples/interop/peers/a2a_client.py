"""a2a-sdk 1.3.0 client check over all three bindings found in the agent card. usage: a2a_client.py BASE_URL"""
import asyncio, sys, time, httpx, grpc
from uuid import uuid4
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import Message, Part, Role, SendMessageRequest, GetTaskRequest, TaskState
from ok import check, close
def msg(prefix): return SendMessageRequest(message=Message(message_id=f'{prefix}-{uuid4()}', role=Role.ROLE_USER, parts=[Part(text='hi')]))
async def main(base):
    async with httpx.AsyncClient(timeout=60) as h:
        card = await A2ACardResolver(h, base).get_agent_card()
        check('card', len(card.supported_interfaces) == 3)
        print('card interfaces:', [(i.protocol_binding, i.url) for i in card.supported_interfaces])
        for b in ('JSONRPC', 'HTTP+JSON', 'GRPC'):
            cfg = ClientConfig(httpx_client=h, supported_protocol_bindings=[b], streaming=True, grpc_channel_factory=grpc.aio.insecure_channel)
            c = ClientFactory(cfg).create(card)
            ev = [e async for e in c.send_message(msg('tck-complete-task'))]
            check(b + ' send', len(ev) >= 1, ev)
            t = [time.monotonic()]; n = 0
            async for e in c.send_message(msg('slow-3')):
                n += 1; t.append(time.monotonic())
            check(b + ' stream events', n >= 4, n)
            check(b + ' not buffered', t[-1] - t[1] > 1.5, [x - t[0] for x in t])
            tid = None
            async for e in c.send_message(msg('tck-artifact-text')):
                tid = tid or (e.task.id if e.HasField('task') else None)
            r = await c.get_task(GetTaskRequest(id=tid)); check(b + ' get_task', r.status.state == TaskState.TASK_STATE_COMPLETED, r)
            try: await c.get_task(GetTaskRequest(id='nope')); check(b + ' not found', False)
            except Exception as e: check(b + ' not found', 'TaskNotFound' in type(e).__name__, repr(e))
try: asyncio.run(main(sys.argv[1]))
except Exception as e: check('run', False, repr(e))
close()
