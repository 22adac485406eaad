"""A2A agent with all three bindings on a2a-sdk 1.3.0; the messageId prefix chooses what it does.

env: PORT (HTTP: JSON-RPC at /, REST at /a2a/rest, card), GRPC_PORT
     CARD_HTTP (base URL to advertise, default http://127.0.0.1:PORT), CARD_GRPC (host:port to advertise)
     PUSH=1 for push notifications, A2A_VERSION=0.3 for the SDK's 0.3 wire (then the card names 0.3 interfaces only)
"""
import asyncio, os
import grpc, httpx, uvicorn
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from starlette.applications import Starlette
from a2a.server.agent_execution.agent_executor import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler, GrpcHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks.inmemory_task_store import InMemoryTaskStore
from a2a.server.tasks.task_updater import TaskUpdater
from a2a.server.tasks.base_push_notification_sender import BasePushNotificationSender
from a2a.server.tasks.inmemory_push_notification_config_store import InMemoryPushNotificationConfigStore
from a2a.types import (AgentCapabilities, AgentCard, AgentInterface, AgentProvider, AgentSkill, Part, Task,
                       TaskState, TaskStatus, a2a_pb2_grpc)
from a2a.compat.v0_3 import a2a_v0_3_pb2_grpc
from a2a.compat.v0_3.grpc_handler import CompatGrpcHandler
from a2a.utils.errors import InvalidParamsError

PORT = int(os.environ.get('PORT', '9999'))
GRPC_PORT = int(os.environ.get('GRPC_PORT', str(PORT + 1)))
CARD_HTTP = os.environ.get('CARD_HTTP', f'http://127.0.0.1:{PORT}')
CARD_GRPC = os.environ.get('CARD_GRPC', f'127.0.0.1:{GRPC_PORT}')
PUSH = os.environ.get('PUSH') == '1'
VERSION = os.environ.get('A2A_VERSION', '1.0')
OLD = VERSION == '0.3'


class Executor(AgentExecutor):
    async def execute(self, ctx, q):
        m, tid, cid = ctx.message, ctx.task_id or '', ctx.context_id or ''
        mid = m.message_id if m else ''
        u = TaskUpdater(q, tid, cid)
        txt = lambda s: [Part(text=s)]
        if mid.startswith('tck-message-response'):
            await q.enqueue_event(u.new_agent_message(txt('Direct message response'))); return
        if mid.startswith('tck-reject-task'):
            raise InvalidParamsError('rejected')
        if ctx.current_task is None:
            await q.enqueue_event(Task(id=tid, context_id=cid, history=[m],
                                       status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)))
        if mid.startswith('tck-input-required'):
            await u.requires_input(); return
        if mid.startswith('test-resubscribe-message-id'):
            await u.start_work(); await asyncio.sleep(4); await u.complete(); return
        if mid.startswith('slow-'):                       # slow-<n>-: n one-second ticks, for SSE timing checks
            await u.start_work()
            for i in range(int(mid.split('-')[1])):
                await asyncio.sleep(1); await u.add_artifact(parts=txt(f'tick {i}'), append=i > 0, artifact_id='ticks')
            await u.complete(); return
        if mid.startswith('tck-stream'):
            await u.start_work()
        if mid.startswith(('tck-stream-artifact-chunked',)):
            await u.add_artifact(parts=txt('chunk-1 '), artifact_id='c', append=False)
            await u.add_artifact(parts=txt('chunk-2'), artifact_id='c', append=True, last_chunk=True)
        elif 'artifact-file-url' in mid:
            await u.add_artifact(parts=[Part(url='https://example.com/output.txt', media_type='text/plain', filename='output.txt')])
        elif 'artifact-file' in mid:
            await u.add_artifact(parts=[Part(raw=b'tck', media_type='text/plain', filename='output.txt')])
        elif 'artifact-data' in mid:
            await u.add_artifact(parts=[Part(data=json_format.Parse('{"key": "value", "count": 42}', Value()))])
        elif 'artifact-text' in mid:
            await u.add_artifact(parts=txt('Generated text content'))
        elif mid.startswith(('tck-stream-001', 'tck-stream-003', 'tck-stream-ordering')):
            await u.add_artifact(parts=txt('Streamed text content'))
        await u.complete(u.new_agent_message(txt('Hello from TCK')))

    async def cancel(self, ctx, q):
        await TaskUpdater(q, ctx.task_id or '', ctx.context_id or '').cancel()


async def main():
    I = lambda b, u: AgentInterface(protocol_binding=b, protocol_version=VERSION, url=u)
    card = AgentCard(
        name='lab agent', description='A2A agent used to check that a lane is transparent', version='1.0.0',
        provider=AgentProvider(organization='lab', url='http://127.0.0.1/'),
        supported_interfaces=[I('JSONRPC', f'{CARD_HTTP}/'), I('HTTP+JSON', f'{CARD_HTTP}/a2a/rest'),
                              I('GRPC', CARD_GRPC)],
        capabilities=AgentCapabilities(streaming=True, push_notifications=PUSH),
        default_input_modes=['text/plain'], default_output_modes=['text/plain'],
        skills=[AgentSkill(id='tck', name='lab', description='lab', tags=['lab'])])
    store = InMemoryPushNotificationConfigStore()
    kw = dict(push_config_store=store, push_sender=BasePushNotificationSender(httpx.AsyncClient(), store)) if PUSH else {}
    h = DefaultRequestHandler(agent_executor=Executor(), task_store=InMemoryTaskStore(), agent_card=card, **kw)
    app = Starlette(routes=[*create_agent_card_routes(card, cache_control='public, max-age=60'), *create_jsonrpc_routes(h, '/', enable_v0_3_compat=OLD),
                            *create_rest_routes(h, path_prefix='/a2a/rest', enable_v0_3_compat=OLD)])
    g = grpc.aio.server(); g.add_insecure_port(f'127.0.0.1:{GRPC_PORT}')
    if OLD: a2a_v0_3_pb2_grpc.add_A2AServiceServicer_to_server(CompatGrpcHandler(h), g)     # /a2a.v1.A2AService
    else: a2a_pb2_grpc.add_A2AServiceServicer_to_server(GrpcHandler(h), g)                  # /lf.a2a.v1.A2AService
    await g.start()
    await uvicorn.Server(uvicorn.Config(app, host='127.0.0.1', port=PORT, log_level='warning')).serve()

asyncio.run(main())
