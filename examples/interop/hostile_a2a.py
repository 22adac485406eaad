"""The corpus of hostile A2A calls, in three bindings: one task or operation is named, and another is meant.

JSON-RPC is served below /c/LABEL/, HTTP+JSON below /c/LABEL/rest/; a gRPC call has its label in the authority and in `x-label`.
"""
import gzip, struct
from dataclasses import dataclass, field
from hostile_mcp import head
from hostile_wire import request_frames, varint

OPERATIONS = ('SendMessage', 'SendStreamingMessage', 'GetTask', 'ListTasks', 'CancelTask', 'SubscribeToTask', 'CreateTaskPushNotificationConfig', 'GetTaskPushNotificationConfig',
    'ListTaskPushNotificationConfigs', 'DeleteTaskPushNotificationConfig', 'GetExtendedAgentCard')
JSON = [('Content-Type', 'application/json')]
V1, V03 = [('A2A-Version', '1.0')], [('A2A-Version', '0.3')]
MESSAGE = '{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]}'
OF_TASK = MESSAGE.replace('{"messageId"', '{"taskId":"mine","messageId"')
OLD = '{"kind":"message","messageId":"m","role":"user","parts":[{"kind":"text","text":"hi"}]}'

@dataclass
class Case:
    trap: str
    name: str
    body: bytes = b''
    fields: list = field(default_factory=list)
    path: str = ''              # below /c/LABEL/; for gRPC, all of it
    method: str = 'POST'
    honest: bool = False
    says: tuple = None          # operation by its name in 1.0, task and context
    refuse: bool = False        # it has two readings that no record tells apart
    h2: object = None           # (label, authority) -> bytes: the frames of a gRPC call
    answers: int = 1

    def request(self, label, authority):
        length = [('Content-Length', str(len(self.body)))] if self.body else []
        return head(self.method, f'/c/{label}/{self.path}', [('Host', authority), *self.fields, *length]) + self.body

def rpc(method, params, tail=''): return f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}{tail}}}'
def send(inside): return rpc('SendMessage', '{"message":' + MESSAGE.replace('{', '{' + inside + ',', 1) + '}')
def task(inside): return rpc('GetTask', '{' + inside + '}')

def json_rpc():
    def case(trap, name, body, version=V1, **kind): return Case(trap, name, body if isinstance(body, bytes) else body.encode('utf-8', 'surrogatepass'), JSON + version, **kind)
    yield case('honest A2A', 'SendMessage', rpc('SendMessage', f'{{"message":{MESSAGE}}}'), honest=True, says=('SendMessage', None, None))
    yield case('honest A2A', 'SendMessage of a task', rpc('SendMessage', f'{{"message":{OF_TASK}}}'), honest=True, says=('SendMessage', 'mine', None))
    yield case('honest A2A', 'SendMessage of a task, members as in the proto', rpc('SendMessage',
        f'{{"message":{OF_TASK.replace("taskId", "task_id").replace("messageId", "message_id")}}}'), honest=True, says=('SendMessage', 'mine', None))
    yield case('honest A2A', 'SendStreamingMessage', rpc('SendStreamingMessage', f'{{"message":{MESSAGE}}}'), honest=True, says=('SendStreamingMessage', None, None))
    for op in ('GetTask', 'CancelTask', 'SubscribeToTask'): yield case('honest A2A', op, rpc(op, '{"id":"mine"}'), honest=True, says=(op, 'mine', None))
    yield case('honest A2A', 'ListTasks', rpc('ListTasks', '{"contextId":"c","pageSize":5}'), honest=True, says=('ListTasks', None, 'c'))
    yield case('honest A2A', 'GetTaskPushNotificationConfig', rpc('GetTaskPushNotificationConfig', '{"taskId":"mine","id":"p"}'), honest=True,
        says=('GetTaskPushNotificationConfig', 'mine', None))
    yield case('honest A2A', '0.3 message/send', rpc('message/send', f'{{"message":{OLD}}}'), V03, honest=True, says=('SendMessage', None, None))
    yield case('honest A2A', '0.3 message/send of a task, no version', rpc('message/send', '{"message":' + OLD.replace('{', '{"taskId":"mine",', 1) + '}'), [], honest=True,
        says=('SendMessage', 'mine', None))
    yield case('honest A2A', '0.3 tasks/get', rpc('tasks/get', '{"id":"mine"}'), V03, honest=True, says=('GetTask', 'mine', None))
    yield case('honest A2A', '0.3 tasks/cancel', rpc('tasks/cancel', '{"id":"mine"}'), V03, honest=True, says=('CancelTask', 'mine', None))
    ids = [('taskId twice', '"taskId":"mine","taskId":"yours"'), ('taskId and task_id', '"taskId":"mine","task_id":"yours"'),
        ('task_id and taskId', '"task_id":"yours","taskId":"mine"'), ('taskId and taskId escaped', '"taskId":"mine","task\\u0049d":"yours"'),
        ('taskId and TaskId', '"taskId":"mine","TaskId":"yours"'), ('taskId and taskid', '"taskid":"yours","taskId":"mine"'), ('tasKId', '"tas\u212aId":"yours"'),
        ('taskId and task_Id', '"taskId":"mine","task_Id":"yours"'), ('null and task_id', '"taskId":null,"task_id":"yours"'),
        ('task_id and null', '"task_id":"yours","taskId":null'),
        ('contextId and context_id', '"contextId":"mine","context_id":"yours"'), ('contextId twice', '"contextId":"mine","contextId":"yours"'),
        ('messageId twice', '"messageId":"m0"'), ('referenceTaskIds and reference_task_ids', '"referenceTaskIds":["mine"],"reference_task_ids":["yours"]'),
        ('a number', '"taskId":5'), ('an array', '"taskId":["yours"]'), ('an object', '"taskId":{"a":"yours"}'), ('lone surrogate', '"taskId":"\\ud800"'),
        ('NUL', '"taskId":"mine\\u0000"'), ('blank', '"taskId":" mine"'), ('empty', '"taskId":""')]
    # Protobuf's C library looks members up by C strings.
    ids += [('taskId and taskId with NUL', '"taskId":"mine","taskId\\u0000":"yours"'), ('task_id with NUL', '"task_id\\u0000":"yours"'),
        ('task_id with NUL, more behind it', '"task_id\\u0000x":"yours"'), ('context_id with NUL', '"context_id\\u0000":"c"')]
    for name, inside in ids:
        two = 'twice' in name or ' and ' in name
        yield case('A2A task in a message', name, send(inside), refuse=two); yield case('A2A task in a message', f'{name}, 0.3',
            rpc('message/send', '{"message":' + OLD.replace('{', '{' + inside + ',', 1) + '}'), V03, refuse=two)
    for name, inside in [('id twice', '"id":"mine","id":"yours"'), ('id escaped', '"id":"mine","\\u0069d":"yours"'), ('id and ID', '"id":"mine","ID":"yours"'),
            ('id and Id', '"Id":"yours","id":"mine"'), ('id and id with NUL', '"id":"mine","id\\u0000":"yours"'), ('id with NUL', '"id\\u0000":"yours"'),
            ('id and taskId', '"id":"mine","taskId":"yours"'), ('id and name', '"id":"mine","name":"tasks/yours"'),
            ('id a number', '"id":5'), ('tenant twice', '"id":"mine","tenant":"a","tenant":"b"'), ('id and params.id', '"id":"mine","params":{"id":"yours"}')]:
        two = name in ('id twice', 'id escaped', 'id and ID', 'id and Id', 'id and id with NUL', 'tenant twice')
        for op in ('GetTask', 'CancelTask'): yield case('A2A task of a request', f'{op}, {name}', rpc(op, '{' + inside + '}'), refuse=two)
        yield case('A2A task of a request', f'0.3 tasks/get, {name}', rpc('tasks/get', '{' + inside + '}'), V03, refuse=two)
    for op in ('GetTask', 'CancelTask', 'GetTaskPushNotificationConfig', 'tasks/get'):
        for name in ('contextId', 'context_id'): yield case('A2A task of a request', f'{op}, {name} beside it',
                rpc(op, f'{{"id":"mine","taskId":"mine","{name}":"c"}}' if 'Config' in op else f'{{"id":"mine","{name}":"c"}}'), V03 if '/' in op else V1)
    for name in ('id', 'taskId', 'task_id', 'contextId', 'tenant'): yield case('A2A task in a message', f'{name} beside the message',
            rpc('SendMessage', f'{{"message":{MESSAGE},"{name}":"mine"}}'))
    get, cancel = '"method":"GetTask"', '"method":"CancelTask"'
    for name, body in [('method twice', task('"id":"mine"').replace(get, f'{get},{cancel}')), ('method twice, reversed', task('"id":"mine"').replace(get, f'{cancel},{get}')),
            ('method escaped', task('"id":"mine"').replace(get, f'{get},"\\u006dethod":"CancelTask"')),
            ('Method', task('"id":"mine"').replace(get, f'{get},"Method":"CancelTask"')),
            ('params twice', rpc('GetTask', '{"id":"mine"}', ',"params":{"id":"yours"}')), ('Params', rpc('GetTask', '{"id":"mine"}', ',"Params":{"id":"yours"}')),
            ('message twice', rpc('SendMessage', f'{{"message":{MESSAGE},"message":{OF_TASK}}}')),
            ('message and Message', rpc('SendMessage', f'{{"message":{MESSAGE},"Message":{OF_TASK}}}')),
            ('params an array', rpc('GetTask', '["mine"]')), ('params a string', rpc('GetTask', '"{\\"id\\":\\"mine\\"}"')),
            ('message an array', rpc('SendMessage', f'{{"message":[{MESSAGE}]}}')),
            ('batch', '[' + task('"id":"mine"') + ']'), ('method in another case', rpc('getTask', '{"id":"mine"}')),
            ('method with a blank', rpc('GetTask ', '{"id":"mine"}')),
            ('method with NUL', rpc('GetTask\\u0000', '{"id":"mine"}')), ('method with its service', rpc('lf.a2a.v1.A2AService/GetTask', '{"id":"mine"}')),
            ('no jsonrpc', task('"id":"mine"').replace('"jsonrpc":"2.0",', '')), ('jsonrpc 1.0', task('"id":"mine"').replace('2.0', '1.0')),
            ('id an object', task('"id":"mine"').replace('"id":1', '"id":{}')), ('no id', task('"id":"mine"').replace('"id":1,', '')),
            ('garbage behind', task('"id":"mine"') + '}'), ('two values', task('"id":"mine"') + task('"id":"yours"')),
            ('NaN', task('"id":"mine","historyLength":NaN')), ('comment', task('/*"id":"mine",*/"id":"yours"')), ('comma at the end', task('"id":"mine",')),
            ('raw newline in the id', task('"id":"mi\nne"')), ('__proto__', task('"__proto__":{"id":"yours"},"id":"mine"')),
            ('configuration twice', rpc('SendMessage', f'{{"message":{MESSAGE},"configuration":{{}},"configuration":{{"returnImmediately":true}}}}')),
            ('push configuration of another task', rpc('SendMessage',
            f'{{"message":{MESSAGE},"configuration":{{"taskPushNotificationConfig":{{"taskId":"yours","task_id":"mine","url":"http://127.0.0.1:1/"}}}}}}')),
            ('push configuration, taskId and task_id', rpc('CreateTaskPushNotificationConfig',
            '{"taskId":"mine","task_id":"yours","id":"p","url":"http://127.0.0.1:1/"}')), ('result beside method', rpc('GetTask', '{"id":"mine"}', ',"result":{}'))]:
        yield case('A2A envelope', name, body, refuse='twice' in name or ' and ' in name)
    for name, body in [('not UTF-8', task('"id":"mine","x":"\udcff"').encode('utf-8', 'surrogateescape')), ('BOM', task('"id":"mine"').encode('utf-8-sig')),
            ('UTF-16', task('"id":"mine"').encode('utf-16')), ('UTF-16LE without a BOM', task('"id":"mine"').encode('utf-16-le')),
            ('UTF-32', task('"id":"mine"').encode('utf-32')), ('depth of 10,000', task('"id":"mine","x":' + '[' * 10_000 + ']' * 10_000)),
            ('depth of 65', task('"id":"mine","x":' + '[' * 65 + ']' * 65)), ('4 MiB and more', task('"id":"mine","x":"' + 'x' * (4 << 20) + '"'))]:
        yield case('A2A bytes', name, body)
    for kind in ('text/plain', 'application/grpc', 'application/a2a+json', 'application/octet-stream', None): yield Case('A2A bytes', f'content type {kind}',
            task('"id":"mine"').encode(), ([('Content-Type', kind)] if kind else []) + V1)
    for coding in ('gzip', 'identity', 'x-secret'): yield Case('A2A bytes', f'content coding {coding}',
            (gzip.compress if coding == 'gzip' else bytes)(task('"id":"mine"').encode()), JSON + V1 + [('Content-Encoding', coding)])
    for name, fields, body in [('1.0 method, 0.3 version', V03, task('"id":"mine"')), ('0.3 method, 1.0 version', V1, rpc('tasks/get', '{"id":"mine"}')),
            ('two versions', V1 + V03, task('"id":"mine"')), ('two versions, reversed', V03 + V1, task('"id":"mine"')),
            ('unknown version', [('A2A-Version', '9.9')], task('"id":"mine"')),
            ('MCP headers that lie', V1 + [('MCP-Protocol-Version', '2026-07-28'), ('Mcp-Method', 'tools/list')], rpc('CancelTask', '{"id":"yours"}')),
            ('MCP headers alone', [('MCP-Protocol-Version', '2025-06-18'), ('Mcp-Method', 'tools/list')], rpc('tasks/cancel', '{"id":"yours"}')),
            ('version in the query', [], task('"id":"mine"'))]:
        yield Case('A2A version', name, body.encode(), JSON + fields, path='?A2A-Version=1.0' if 'query' in name else '')

def rest():
    def case(trap, name, path, method='GET', body='', fields=V1, **kind): return Case(trap, name, body.encode('utf-8', 'surrogatepass'), (JSON if body else []) + fields,
            'rest/' + path, method, **kind)
    body = f'{{"message":{MESSAGE}}}'
    yield case('honest A2A', 'HTTP+JSON message:send', 'message:send', 'POST', body, honest=True, says=('SendMessage', None, None))
    yield case('honest A2A', 'HTTP+JSON message:send of a task', 'message:send', 'POST', f'{{"message":{OF_TASK}}}', honest=True, says=('SendMessage', 'mine', None))
    yield case('honest A2A', 'HTTP+JSON message:stream', 'message:stream', 'POST', body, honest=True, says=('SendStreamingMessage', None, None))
    yield Case('honest A2A', 'HTTP+JSON tenant', body.encode(), JSON + V1, 'tenant/rest/message:send', honest=True, says=('SendMessage', None, None))
    yield case('honest A2A', 'HTTP+JSON GetTask', 'tasks/mine?historyLength=1', honest=True, says=('GetTask', 'mine', None)); yield case('honest A2A', 'HTTP+JSON CancelTask',
        'tasks/mine:cancel', 'POST', '{}', honest=True, says=('CancelTask', 'mine', None))
    yield case('honest A2A', 'HTTP+JSON SubscribeToTask', 'tasks/mine:subscribe', 'POST', honest=True, says=('SubscribeToTask', 'mine', None)); yield case('honest A2A',
        'HTTP+JSON ListTasks', 'tasks?contextId=c', honest=True, says=('ListTasks', None, 'c'))
    yield case('honest A2A', 'HTTP+JSON push configurations', 'tasks/mine/pushNotificationConfigs', honest=True,
        says=('ListTaskPushNotificationConfigs', 'mine', None)); yield case('honest A2A', 'HTTP+JSON push configuration', 'tasks/mine/pushNotificationConfigs/p', honest=True,
        says=('GetTaskPushNotificationConfig', 'mine', None))
    yield case('honest A2A', '0.3 HTTP+JSON GetTask', 'v1/tasks/mine', fields=[], honest=True, says=('GetTask', 'mine', None)); yield case('honest A2A',
        '0.3 HTTP+JSON CancelTask', 'v1/tasks/mine:cancel', 'POST', '{}', [], honest=True, says=('CancelTask', 'mine', None))
    for path in ['tasks/mine%3Acancel', 'tasks/mine:%63ancel', '%74asks/mine:cancel', 'task%73/mine:cancel', '/tasks/mine:cancel', './tasks/mine:cancel',
            'x/../tasks/mine:cancel', 'x/%2e%2e/tasks/mine:cancel', 'x/.%2e/tasks/mine:cancel', 'tasks/yours/../mine:cancel', 'tasks;x/mine:cancel', 'tasks/mine;x:cancel',
            'tasks/mine:cancel;x', 'tasks/mine:cancel/', 'tasks/mine:cancel//',
            'tasks\\mine:cancel', '%5ctasks/mine:cancel', 'TASKS/mine:cancel', 'tasks/mine:CANCEL', 'tasks/mi%6ee:cancel', 'tasks/mi%256ee:cancel', 'tasks/mine%2f:cancel',
            'tasks/yours%2fmine:cancel', 'tasks/mine%00:cancel', 'tasks/mine%0a:cancel', 'tasks/mine%20:cancel', 'tasks/mine+:cancel', 'tasks/mine:cancel:cancel',
            'tasks/mine:subscribe:cancel', 'tasks/:cancel', 'tasks/%3acancel', 'tasks/mine:cancel%20', 'tasks/mine:cancel%0a', 'tasks/mine:cancel%0A', 'tasks/mine:cancel%0d%0a',
            'tasks%0a/mine:cancel', 'ta%0asks/mine:cancel',
            'tasks/mine:cancel?x=/tasks/yours', 'tasks/mine:cancel#/tasks/yours', 'tasks/mine%3f:cancel', 'tasks/mine%23:cancel', 'tasks/mine%c0%af:cancel',
            'tasks/mine%u0063:cancel', 'tasks/mine%:cancel', 'tasks/mine%zz:cancel', 'tasks/..:cancel', 'tasks/..%3acancel', 'tasks/%2e:cancel',
            'tasks/m%C3%AFne:cancel', 'tasks/m\xefne:cancel', 'v1/tasks/mine:cancel', 'tasks/tasks/mine:cancel', 'message:send/tasks/mine:cancel',
            'tasks/mine:cancel/message:send', 'tenant/tasks/mine:cancel', 'a/b/tasks/mine:cancel', '%2ftasks/mine:cancel', 'x%2ftasks/mine:cancel']:
        yield case('A2A path', f'POST {path}', path, 'POST', '{}')
    for path in ['tasks/mine/', 'tasks/mine%2f', '%74asks/mine', 'tasks/%6dine', 'tasks//mine', 'tasks/mine;a=b', 'Tasks/mine', 'tasks/mine%2fpushNotificationConfigs',
            'tasks/mine/pushNotificationConfigs%2fp', 'tasks/mine/pushNotificationConfigs/%70', 'tasks/mine/pushnotificationconfigs/p', 'tasks/mine/pushNotificationConfigs/',
            'tasks/mine/pushNotificationConfigs/p/', 'tasks/yours/..%2fmine', 'tasks/mine:subscribe', 'tasks/mine%3asubscribe', 'tasks/', 'tasks%2fmine',
            'tasks/mine:unknown', 'tasks?contextId=a&contextId=b', 'tasks%0a', 'tasks%0a?contextId=c', 'tasks%0d', 'tasks/mine%0a', 'tasks/mine/pushNotificationConfigs%0a',
            'extendedAgentCard%0a', 'tasks?contextId=a&context_id=b', 'tasks/mine?id=yours', 'tasks/mine?tenant=x', 'extendedAgentCard/',
            'extended%41gentCard', 'extendedagentcard']:
        yield case('A2A path', f'GET {path}', path)
    for path in ['message%3Asend', 'message:%73end', 'm%65ssage:send', 'message:send/', 'message:send;x', 'message:send%20', 'message:send%0a', 'message:send%0d%0a',
            'message:send%0b', 'message:send%250a', 'message:send%00', 'message:Send', 'Message:send',
            '/message:send', './message:send', 'x/../message:send', 'tasks/message:send', 'tasks/mine/message:send', 'x%2fmessage:send', '\\message:send', 'message:send?x',
            'message:sendx', 'v1/message:send', 'message/send']:
        yield case('A2A path', f'send to {path}', path, 'POST', f'{{"message":{OF_TASK}}}')
    for name, method, path, more in [('GET that cancels', 'GET', 'tasks/mine:cancel', []), ('PUT that cancels', 'PUT', 'tasks/mine:cancel', []),
            ('GET made POST by a field', 'GET', 'tasks/mine:cancel', [('X-HTTP-Method-Override', 'POST')]), ('post in small letters', 'post', 'tasks/mine:cancel', []),
            ('HEAD', 'HEAD', 'tasks/mine', []), ('POST of a task', 'POST', 'tasks/mine', []),
            ('DELETE made GET by a field', 'DELETE', 'tasks/mine/pushNotificationConfigs/p', [('X-HTTP-Method-Override', 'GET')]),
            ('DELETE', 'DELETE', 'tasks/mine/pushNotificationConfigs/p', [])]:
        yield case('A2A path', name, path, method, '', V1 + more)
    for name, inside in [('taskId and task_id',
            '"message":' + OF_TASK.replace('{', '{"task_id":"yours",', 1)),
            ('message twice', f'"message":{MESSAGE},"message":{OF_TASK}'), ('message twice, reversed', f'"message":{OF_TASK},"message":{MESSAGE}'),
            ('message and Message', f'"message":{MESSAGE},"Message":{OF_TASK}'), ('request as in 0.3', f'"message":{MESSAGE},"request":{OF_TASK}'),
            ('a JSON-RPC call to GetTask as well', f'"jsonrpc":"2.0","id":1,"method":"GetTask","params":{{"id":"mine"}},"message":{OF_TASK}'),
            ('an MCP call as well', f'"jsonrpc":"2.0","id":1,"method":"tools/list","message":{OF_TASK}'),
            ('a JSON-RPC answer as well', f'"jsonrpc":"2.0","id":1,"result":{{}},"message":{OF_TASK}'),
            ('a method of another protocol', f'"method":"tools/list","message":{OF_TASK}')]:
        two = 'twice' in name or name in ('taskId and task_id', 'message and Message')
        yield case('A2A HTTP+JSON body', name, 'message:send', 'POST', '{' + inside + '}', refuse=two)
        yield Case('A2A HTTP+JSON body', f'{name}, as text/plain', ('{' + inside + '}').encode(), [('Content-Type', 'text/plain'), *V1], 'rest/message:send', refuse=two)
    yield case('A2A HTTP+JSON body', 'MCP headers that lie', 'message:send', 'POST', body, V1 + [('MCP-Protocol-Version', '2026-07-28'), ('Mcp-Method', 'tools/list')])
    yield case('A2A HTTP+JSON body', 'task in a body beside the one in the path', 'tasks/mine/pushNotificationConfigs', 'POST',
        '{"taskId":"yours","id":"p","url":"http://127.0.0.1:1/"}')
    # Members that the operation does not have, and other servers may look at.
    for name, method, path, inside in [
            ('a task beside the message', 'POST', 'message:send', f'{{"message":{MESSAGE},"taskId":"mine"}}'),
            ('a task_id beside the message', 'POST', 'message:send', f'{{"message":{MESSAGE},"task_id":"mine"}}'),
            ('an id beside the message', 'POST', 'message:send', f'{{"message":{MESSAGE},"id":"mine"}}'),
            ('a context beside the message', 'POST', 'message:send', f'{{"message":{MESSAGE},"contextId":"c"}}'),
            ('a context of a task', 'POST', 'tasks/mine:cancel', '{"contextId":"c"}'),
            ('a message to a task that is cancelled', 'POST', 'tasks/mine:cancel', f'{{"message":{OF_TASK}}}'),
            ('another id for a task that is cancelled', 'POST', 'tasks/mine:cancel', '{"id":"yours"}'),
            ('a context of a push configuration', 'POST', 'tasks/mine/pushNotificationConfigs', '{"contextId":"c","id":"p","url":"http://127.0.0.1:1/"}'),
            ('text', 'POST', 'tasks/mine:cancel', 'hello'), ('text, path encoded', 'POST', 'tasks/m%69ne:cancel', 'hello'), ('a form', 'POST', 'tasks/mine:cancel', 'id=yours'),
            ('a JSON string', 'POST', 'tasks/mine:cancel', '"yours"'), ('a list', 'POST', 'tasks/mine:cancel', '[]'),
            ('text to a message', 'POST', 'message:send', 'hello')]:
        yield case('A2A HTTP+JSON body', name, path, method, inside)
    for kind in ('application/grpc', 'application/grpc+proto', 'application/grpc+json', 'application/grpc-web', 'application/connect+json'):
        for method, path, inside in [('GET', 'tasks/mine', ''), ('GET', 'tasks/mine%2e', ''), ('GET', 'tasks?contextId=c', ''), ('GET', 'tasks/mine:subscribe', ''),
                ('DELETE', 'tasks/mine/pushNotificationConfigs/p', ''),
                ('POST', 'tasks/mine:cancel', ''), ('POST', 'tasks/mine:cancel', '{}'), ('POST', 'tasks/mine:cancel', 'hello'), ('POST', 'tasks/m%69ne:cancel', '{}'),
                ('POST', 'tasks/m%69ne:cancel', 'hello'), ('POST', 'message:send', f'{{"message":{OF_TASK}}}'), ('POST', 'v1/message:send', f'{{"message":{OF_TASK}}}')]:
            yield Case('A2A as gRPC', f'{kind}: {method} {path} {inside[:5]}', inside.encode(), [('Content-Type', kind), *V1], 'rest/' + path, method)
        for name, fields in [('first', [('Content-Type', kind), *JSON]), ('last', [*JSON, ('Content-Type', kind)])]: yield Case('A2A as gRPC',
                f'{kind} {name} of two, CancelTask', b'', fields + V1, 'rest/tasks/mine:cancel', 'POST')
        yield Case('A2A as gRPC', f'{kind}: JSON-RPC', rpc('CancelTask', '{"id":"mine"}').encode(), [('Content-Type', kind), *V1])
    for codec in ('utf-8-sig', 'utf-16', 'utf-32-le'): yield Case('A2A HTTP+JSON body', codec, body.encode(codec), JSON + V1, 'rest/message:send')

# ---- gRPC: protobuf by hand, since no library writes it wrongly
def tag(number, kind): return varint(number << 3 | kind)
def bytes_field(number, value): return tag(number, 2) + varint(len(value)) + value
def message(*inside): return bytes_field(1, b'm') + b''.join(inside) + tag(4, 0) + b'\1' + bytes_field(5, bytes_field(1, b'hi'))
def framed(payload, flag=0, length=None): return bytes([flag]) + struct.pack('>I', len(payload) if length is None else length) + payload

def grpc():
    SERVICE, OLD_SERVICE = '/lf.a2a.v1.A2AService/', '/a2a.v1.A2AService/'
    TYPE = [('content-type', 'application/grpc'), ('a2a-version', '1.0')]
    def case(name, op, data, trap='A2A gRPC', fields=TYPE, service=SERVICE, method='POST', **kind):
        pieces = data if isinstance(data, list) else [framed(data)]
        def frames(label, _):
            pseudo = [(':method', method), (':scheme', 'http'), (':path', service + op), (':authority', f'{label}.grpc')]
            return request_frames(pseudo + fields + [('te', 'trailers'), ('x-label', label)], pieces)
        return Case(trap, name, h2=frames, **kind)
    mine, yours = bytes_field(3, b'mine'), bytes_field(3, b'yours')
    get, other = bytes_field(2, b'mine'), bytes_field(2, b'yours')
    def send(*inside): return bytes_field(2, message(*inside))
    old = [('content-type', 'application/grpc')]
    yield case('gRPC SendMessage', 'SendMessage', send(), 'honest A2A', honest=True, says=('SendMessage', None, None)); yield case('gRPC SendMessage of a task', 'SendMessage',
        send(mine), 'honest A2A', honest=True, says=('SendMessage', 'mine', None))
    yield case('gRPC SendStreamingMessage', 'SendStreamingMessage', send(), 'honest A2A', honest=True,
        says=('SendStreamingMessage', None, None)); yield case('gRPC GetTask, in three pieces', 'GetTask', [framed(get)[:3], framed(get)[3:7], framed(get)[7:]], 'honest A2A',
        honest=True, says=('GetTask', 'mine', None))
    yield case('gRPC CancelTask', 'CancelTask', get, 'honest A2A', honest=True, says=('CancelTask', 'mine', None)); yield case('gRPC GetTask, unknown fields', 'GetTask',
        get + tag(1000, 0) + b'\1' + tag(1001, 5) + b'abcd' + tag(1002, 1) + b'abcdefgh' + bytes_field(1003, b'x'), 'honest A2A', honest=True, says=('GetTask', 'mine', None))
    yield case('gRPC 0.3 GetTask', 'GetTask', bytes_field(1, b'tasks/mine'), 'honest A2A', old, OLD_SERVICE, honest=True,
        says=('GetTask', 'mine', None)); yield case('gRPC 0.3 SendMessage', 'SendMessage', bytes_field(1, message(mine)), 'honest A2A', old, OLD_SERVICE, honest=True,
        says=('SendMessage', 'mine', None))
    for name, data in [('task_id twice', send(mine, yours)), ('message twice', send(mine) + send(yours)),
            ('message twice, the task in the second', send() + bytes_field(2, yours)), ('context_id twice', send(bytes_field(2, b'a'), bytes_field(2, b'b'))),
            ('task_id is a number', send(tag(3, 0) + b'\5')), ('task_id is fixed32', send(tag(3, 5) + b'abcd')), ('task_id is no UTF-8', send(bytes_field(3, b'\xff'))),
            ('task_id with NUL', send(bytes_field(3, b'mine\0'))),
            ('message is a group', tag(2, 3) + message(mine) + tag(2, 4)), ('task_id in a group', send(tag(3, 3) + bytes_field(1, b'yours') + tag(3, 4))),
            ('unknown group with a task_id', send(tag(99, 3) + yours + tag(99, 4), mine)), ('group that does not end', send(tag(99, 3) + yours)),
            ('groups 200 deep', send(tag(99, 3) * 200 + tag(99, 4) * 200, mine)), ('end of a group alone', send(tag(99, 4), mine)),
            ('overlong tag', send(b'\x9a\x80\x00' + varint(5) + b'yours')), ('overlong tag, then a task', send(b'\x9a\x80\x00' + varint(5) + b'yours', mine)),
            ('tag of six bytes', send(b'\x9a\x80\x80\x80\x80\x00' + varint(5) + b'yours')),
            ('tag beyond 32 bits', send(b'\x9a\x80\x80\x80\x10' + varint(5) + b'yours', mine)), ('overlong length', send(tag(3, 2) + b'\x85\x00yours')),
            ('length of ten bytes', send(tag(3, 2) + b'\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00yours')),
            ('length beyond 32 bits', send(tag(3, 2) + b'\x85\x80\x80\x80\x10yours')),
            ('length beyond the message', bytes_field(2, message()) + tag(2, 2) + b'\x7f' + mine), ('negative length', send(tag(3, 2) + b'\xff' * 9 + b'\1')),
            ('field number 0', send(b'\x02\x00', mine)), ('wire type 6', send(tag(99, 6), mine)), ('wire type 7', send(tag(99, 7), mine)), ('cut', send(mine)[:-3]),
            ('packed reference_task_ids', send(bytes_field(8, b'a'), bytes_field(8, b'b'), mine)),
            ('tenant twice', bytes_field(1, b'a') + bytes_field(1, b'b') + send(mine)),
            ('configuration twice', send(mine) + bytes_field(3, b'') + bytes_field(3, tag(4, 0) + b'\1'))]:
        yield case(name, 'SendMessage', data, refuse='twice' in name)
    for op in ('GetTask', 'CancelTask'):
        for name, data in [('id twice', get + other), ('id twice, the same', get + get), ('id empty and not', bytes_field(2, b'') + get), ('id is a number', tag(2, 0) + b'\5'),
                ('id overlong', b'\x92\x00' + varint(5) + b'yours'), ('id as in 0.3', bytes_field(1, b'tasks/mine')),
                ('id is no UTF-8', bytes_field(2, b'\xc0\xaf'))]: yield case(f'{op}, {name}', op, data, refuse='twice' in name)
    for name, data in [('two messages', [framed(get) + framed(other)]), ('two messages in two pieces', [framed(get), framed(other)]),
            ('an empty one first', [framed(b'') + framed(get)]), ('flag of compression, not compressed', [framed(get, 1)]), ('unknown flag', [framed(get, 2)]),
            ('flag of 128', [framed(get, 128)]), ('shorter than said', [framed(get, 0, 99)]), ('longer than said', [framed(get, 0, 3)]), ('nothing', [b'']),
            ('a byte behind', [framed(get) + b'\0']), ('half a prefix behind', [framed(get) + b'\0\0\0']), ('4 MiB and more', [framed(get + bytes_field(99, b'x' * 16000))[:9]]),
            ('JSON', [b'{"id":"mine"}']), ('JSON in a frame', [framed(b'{"id":"mine"}')])]:
        yield case(f'GetTask, {name}', 'GetTask', data)
    for coding in ('gzip', 'deflate', 'identity'):
        yield case(f'GetTask, grpc-encoding {coding}', 'GetTask', [framed(gzip.compress(get) if coding == 'gzip' else get, 1)],
            fields=TYPE + [('grpc-encoding', coding)]); yield case(f'GetTask, grpc-encoding {coding}, flag 0', 'GetTask', get, fields=TYPE + [('grpc-encoding', coding)])
    for kind in ('application/grpc+proto', 'application/grpc+json', 'application/grpc-web', 'application/grpc;x', 'APPLICATION/GRPC', 'application/json', 'application/grpcx',
            ' application/grpc', 'text/plain'): yield case(f'CancelTask, content type {kind}', 'CancelTask', get, fields=[('content-type', kind), ('a2a-version', '1.0')])
    yield case('CancelTask, two content types', 'CancelTask', get, fields=[('content-type', 'application/json'), *TYPE]); yield case('CancelTask, two content types, reversed',
        'CancelTask', get, fields=[*TYPE, ('content-type', 'application/json')]); yield case('CancelTask, no content type', 'CancelTask', get, fields=[('a2a-version', '1.0')])
    for method in ('GET', 'PUT', 'post', 'DELETE', 'QUERY'): yield case(f'CancelTask by {method}', 'CancelTask', get, method=method)
    yield case('CancelTask, content coding', 'CancelTask', get, fields=TYPE + [('content-encoding', 'gzip')]); yield case('CancelTask, MCP headers that lie', 'CancelTask', get,
        fields=TYPE + [('mcp-protocol-version', '2026-07-28'), ('mcp-method', 'tools/list')])
    for path in ('/lf.a2a.v1.A2AService/CancelTask/', '//lf.a2a.v1.A2AService/CancelTask', '/lf.a2a.v1.A2AService//CancelTask', '/lf.a2a.v1.a2aservice/CancelTask',
            '/lf.a2a.v1.A2AService/cancelTask', '/lf.a2a.v1.A2AService/%43ancelTask', '/lf.a2a.v1.A2AService/CancelTask?x=GetTask', '/lf.a2a.v1.A2AService/./CancelTask',
            '/x/lf.a2a.v1.A2AService/CancelTask', '/lf.a2a.v1.A2AService/CancelTask;x', '/lf%2ea2a.v1.A2AService/CancelTask', '/lf.a2a.v2.A2AService/CancelTask',
            '/lf.a2a.v1.A2AService/Unknown', '/c/x/rest/tasks/mine:cancel'):
        yield case(f'path {path}', '', get, service=path)
    for op, name, data in [('GetTask', 'name twice', bytes_field(1, b'tasks/mine') + bytes_field(1, b'tasks/yours')), ('GetTask', 'no tasks/', bytes_field(1, b'mine')),
            ('GetTask', 'tasks twice', bytes_field(1, b'tasks/tasks/mine')), ('GetTask', 'a segment more', bytes_field(1, b'tasks/mine/yours')),
            ('GetTask', 'another case', bytes_field(1, b'Tasks/mine')), ('GetTask', 'a slash in front', bytes_field(1, b'/tasks/mine')),
            ('GetTask', 'blank behind', bytes_field(1, b'tasks/mine ')), ('GetTask', 'as in 1.0', get),
            ('CancelTask', 'name twice', bytes_field(1, b'tasks/mine') + bytes_field(1, b'tasks/yours')), ('CancelTask', 'empty', bytes_field(1, b'tasks/')),
            ('SendMessage', 'request twice', bytes_field(1, message(mine)) + bytes_field(1, message(yours)))]:
        yield case(f'0.3 {op}, {name}', op, data, fields=old, service=OLD_SERVICE, refuse='twice' in name)

def cases():
    for part in (json_rpc, rest, grpc): yield from part()
