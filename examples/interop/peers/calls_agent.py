"""A2A agent on a2a-sdk 1.3.0, three bindings in 1.0 and 0.3, that writes what it ran. env: PORT, GRPC_PORT, RAN (file)

One line of JSON for each request that reached the SDK's handler: label, operation (its name in 1.0), task, context.
The label is what stands between /c/ and the next slash of the path, or the `x-label` field of a gRPC call.
"""
import asyncio, contextvars, inspect, json, os
import grpc, uvicorn
from starlette.applications import Starlette
from a2a.server.agent_execution.agent_executor import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler, GrpcHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks.inmemory_task_store import InMemoryTaskStore
from a2a.server.tasks.task_updater import TaskUpdater
from a2a.server.tasks.inmemory_push_notification_config_store import InMemoryPushNotificationConfigStore
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Part, a2a_pb2_grpc
from a2a.compat.v0_3 import a2a_v0_3_pb2_grpc
from a2a.compat.v0_3.grpc_handler import CompatGrpcHandler

PORT, GRPC_PORT = int(os.environ['PORT']), int(os.environ['GRPC_PORT'])
label = contextvars.ContextVar('label', default=None)
ran_file = open(os.environ['RAN'], 'a', buffering=1)

class Executor(AgentExecutor):
    async def execute(self, ctx, q): await q.enqueue_event(TaskUpdater(q, ctx.task_id or '', ctx.context_id or '').new_agent_message([Part(text='done')]))
    async def cancel(self, ctx, q): await TaskUpdater(q, ctx.task_id or '', ctx.context_id or '').cancel()

def ran(operation, params):
    message = getattr(params, 'message', None)
    task = message.task_id if message else getattr(params, 'id', '') if operation in ('GetTask', 'CancelTask', 'SubscribeToTask') else getattr(params, 'task_id', '')
    context = message.context_id if message else getattr(params, 'context_id', '')
    ran_file.write(json.dumps({'label': label.get(), 'operation': operation, 'task': task or None, 'context': context or None}) + '\n')

OPERATIONS = {'on_message_send': 'SendMessage', 'on_message_send_stream': 'SendStreamingMessage', 'on_get_task': 'GetTask', 'on_list_tasks': 'ListTasks',
    'on_cancel_task': 'CancelTask',
    'on_subscribe_to_task': 'SubscribeToTask', 'on_create_task_push_notification_config': 'CreateTaskPushNotificationConfig',
    'on_get_task_push_notification_config': 'GetTaskPushNotificationConfig',
    'on_list_task_push_notification_configs': 'ListTaskPushNotificationConfigs', 'on_delete_task_push_notification_config': 'DeleteTaskPushNotificationConfig',
    'on_get_extended_agent_card': 'GetExtendedAgentCard'}

class Handler(DefaultRequestHandler):
    """The SDK's handler, with a line written before each of its methods."""

def logged(name, operation):
    inner = getattr(DefaultRequestHandler, name)
    if inspect.isasyncgenfunction(inspect.unwrap(inner)):
        async def stream(self, params, context):
            ran(operation, params)
            async for event in inner(self, params, context): yield event
        return stream
    async def unary(self, params, context): ran(operation, params); return await inner(self, params, context)
    return unary
for name, operation in OPERATIONS.items(): setattr(Handler, name, logged(name, operation))

class Labelled:
    """Takes /c/LABEL off the path, and keeps it for the line."""
    def __init__(self, app): self.app = app
    async def __call__(self, scope, receive, send):
        parts = scope.get('path', '').split('/', 3)
        if scope['type'] == 'http' and len(parts) == 4 and parts[1] == 'c':
            label.set(parts[2]); rest = '/' + parts[3]
            scope = {**scope, 'path': rest, 'raw_path': rest.encode()}
        await self.app(scope, receive, send)

class Interceptor(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation, details):
        label.set(dict(details.invocation_metadata or ()).get('x-label')); return await continuation(details)

async def main():
    card = AgentCard(name='calls', description='writes what it ran', version='1',
        capabilities=AgentCapabilities(streaming=True, push_notifications=True, extended_agent_card=True),
        supported_interfaces=[AgentInterface(protocol_binding='JSONRPC', protocol_version='1.0', url=f'http://127.0.0.1:{PORT}/')])
    h = Handler(agent_executor=Executor(), task_store=InMemoryTaskStore(), agent_card=card, push_config_store=InMemoryPushNotificationConfigStore())
    app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(h, '/', enable_v0_3_compat=True),
        *create_rest_routes(h, path_prefix='/rest', enable_v0_3_compat=True)])
    g = grpc.aio.server(interceptors=[Interceptor()]); g.add_insecure_port(f'127.0.0.1:{GRPC_PORT}')
    a2a_v0_3_pb2_grpc.add_A2AServiceServicer_to_server(CompatGrpcHandler(h), g); a2a_pb2_grpc.add_A2AServiceServicer_to_server(GrpcHandler(h), g)
    await g.start()
    await uvicorn.Server(uvicorn.Config(Labelled(app), host='127.0.0.1', port=PORT, log_level='warning')).serve()

asyncio.run(main())
