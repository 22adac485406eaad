"""The corpus of hostile MCP calls: each body or head is one way to have a call read one way and run another.

The caller claims `echo`, or a list of tools, and would have `secret` run. `cases()` gives them all; what each server makes of
them is for hostile_calls.py to find out. `META` in a body stands for the `_meta` that revision 2026-07-28 asks for, and for
nothing in the revisions before.
"""
import base64, gzip, zlib
from dataclasses import dataclass, field

MODERN, LEGACY = '2026-07-28', '2025-06-18'
META = ('"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},'
    '"io.modelcontextprotocol/clientInfo":{"name":"corpus","version":"1"}},')
JSON = [('Accept', 'application/json, text/event-stream'), ('Content-Type', 'application/json')]
CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{META"name":"echo","arguments":{"message":"hi"}}}'
SECRET = CALL.replace('"echo"', '"secret"')
CHUNKED = ('Transfer-Encoding', 'chunked')

@dataclass
class Case:
    """One request. says: what an honest one must be recorded as; refuse: it must not be run, whoever refuses it: the specification
    wants that, or it has two readings that no record would tell apart."""
    trap: str
    name: str
    body: bytes = b''
    fields: list = field(default_factory=list)
    honest: bool = False
    says: tuple = None
    refuse: bool = False
    raw: object = None          # (label, authority) -> bytes: the whole request, where its frame is the trap
    h2: object = None           # (label, authority) -> bytes: the frames of an HTTP/2 request
    answers: int = 1

    def request(self, label, authority):
        if self.raw: return self.raw(label, authority)
        return head('POST', f'/mcp/{label}', [('Host', authority), *self.fields, ('Content-Length', str(len(self.body)))]) + self.body

def head(method, target, fields, version='HTTP/1.1'):
    return f'{method} {target} {version}\r\n'.encode('latin-1') + b''.join(f'{k}: {v}\r\n'.encode('latin-1') for k, v in fields) + b'\r\n'

def fields(era, claim=('tools/call', 'echo'), without=(), more=()):
    """The fields an SDK's client would send with that claim."""
    out = JSON + [('MCP-Protocol-Version', era)]
    if era == MODERN: out += [(k, v) for k, v in zip(('Mcp-Method', 'Mcp-Name'), claim) if v]
    return [f for f in out if f[0].lower() not in without] + list(more)

def text(body, era): return body.replace('META', META if era == MODERN else '').encode('utf-8', 'surrogatepass')

def both(trap, name, body, claims=(('tools/call', 'echo'),), **more):
    """The same body in a revision without and in the one with mirrored fields, under each claim."""
    if isinstance(body, str): body = (lambda b: lambda era: text(b, era))(body)
    yield Case(trap, f'{name}', body(LEGACY), fields(LEGACY), **more)
    for method, target in claims:
        yield Case(trap, f'{name}, {MODERN}' + (f' as {target or method}' if len(claims) > 1 else ''), body(MODERN), fields(MODERN, (method, target)), **more)

EITHER = (('tools/call', 'echo'), ('tools/call', 'secret'))
LIST = (('tools/call', 'secret'), ('tools/list', None))

def members():
    """Members twice, escaped, in another case, or somewhere else than they seem."""
    params = '{META"name":"secret","arguments":{}}'
    def call(inside, tail=''): return '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{META' + inside + '}' + tail + '}'
    def envelope(inside): return '{"jsonrpc":"2.0","id":1,' + inside + '}'
    twice = [
        ('name', call('"name":"echo","name":"secret","arguments":{}'), EITHER), ('name, reversed', call('"name":"secret","name":"echo","arguments":{}'), EITHER),
        ('name, escaped', call('"name":"echo","\\u006eame":"secret"'), EITHER), ('name, escaped, reversed', call('"\\u006eame":"secret","name":"echo"'), EITHER),
        ('method', envelope(f'"method":"tools/list","method":"tools/call","params":{params}'), LIST),
        ('method, reversed', envelope(f'"method":"tools/call","method":"tools/list","params":{params}'), LIST),
        ('method, escaped', envelope(f'"method":"tools/list","\\u006dethod":"tools/call","params":{params}'), LIST),
        ('params', envelope(f'"method":"tools/call","params":{{META"name":"echo"}},"params":{params}'), EITHER),
        ('params, reversed', envelope(f'"method":"tools/call","params":{params},"params":{{META"name":"echo"}}'), EITHER),
        ('arguments', call('"name":"echo","arguments":{"message":"a"},"arguments":{"message":"b"}'), (('tools/call', 'echo'),)),
        ('an argument', call('"name":"echo","arguments":{"message":"a","message":"b"}'), (('tools/call', 'echo'),)),
        ('id', CALL.replace('"id":1', '"id":1,"id":2'), (('tools/call', 'echo'),)),
        ('jsonrpc', CALL.replace('{"jsonrpc"', '{"jsonrpc":"1.0","jsonrpc"'), (('tools/call', 'echo'),)),
        ('_meta', call('"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-06-18"},"name":"secret"'), EITHER),
        ('_meta version', CALL.replace('META', META.replace('{"io', '{"io.modelcontextprotocol/protocolVersion":"2025-06-18","io', 1)), (('tools/call', 'echo'),)),
    ]
    # No record holds arguments, but rules may look at them: two readings of one are not run.
    for name, body, claims in twice: yield from both('member twice', name, body, claims, refuse='argument' in name)
    for name, body in [('method', SECRET.replace('"method"', '"\\u006dethod"')), ('name', SECRET.replace('"name":"secret"', '"n\\u0061me":"secret"')),
            ('params', SECRET.replace('"params"', '"par\\u0061ms"')),
            ('value of name', SECRET.replace('"secret"', '"\\u0073ecret"')), ('value of method', SECRET.replace('tools/call', 'tools\\/c\\u0061ll'))]:
        yield from both('escaped member', name, body, EITHER)
    for name, body, claims in [
            ('Method', SECRET.replace('"method"', '"Method"'), EITHER), ('method and METHOD', envelope(f'"method":"tools/list","METHOD":"tools/call","params":{params}'), LIST),
            ('Method and method', envelope(f'"Method":"tools/call","method":"tools/list","params":{params}'), LIST), ('PARAMS', SECRET.replace('"params"', '"PARAMS"'), EITHER),
            ('params and Params', envelope(f'"method":"tools/call","params":{{META"name":"echo"}},"Params":{params}'), EITHER),
            ('name and Name', call('"name":"echo","Name":"secret"'), EITHER),
            ('Name and name', call('"Name":"secret","name":"echo"'), EITHER), ('paramſ', SECRET.replace('"params"', '"paramſ"'), EITHER),
            ('params and paramſ', envelope(f'"method":"tools/call","params":{{META"name":"echo"}},"paramſ":{params}'), EITHER),
            ('argumentſ', call('"name":"echo","argumentſ":{"message":"b"},"arguments":{"message":"a"}'), (('tools/call', 'echo'),)),
            ('tasKId', '{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{META"taskId":"a","tas\u212aId":"b"}}', (('tasks/get', 'a'),)),
            ('JSONRPC', CALL.replace('"jsonrpc"', '"JSONRPC"'), (('tools/call', 'echo'),)), ('ID', CALL.replace('"id"', '"ID"'), (('tools/call', 'echo'),))]:
        yield from both('member in another case', name, body, claims)
    for name, body in [('NUL at the end', call('"name":"echo","name\\u0000":"secret"')), ('space at the end', call('"name":"echo","name ":"secret"')),
            ('BOM in front', call('"\ufeffname":"secret","name":"echo"')),
            ('fullwidth', call('"ｎame":"secret","name":"echo"')), ('__proto__', call('"__proto__":{"name":"secret"}')),
            ('__proto__ beside', call('"name":"echo","__proto__":{"name":"secret"}')),
            ('__proto__ of the envelope', '{"jsonrpc":"2.0","id":1,"__proto__":{"method":"tools/call","params":{META"name":"secret"}}}'),
            ('dotted', call('"name":"echo","params.name":"secret"')), ('name in arguments',
            call('"name":"echo","arguments":{"name":"secret","method":"tools/list"}'))]:
        yield from both('member that looks like one', name, body)

def shapes():
    """Other types than expected, batches, messages that are two things at once."""
    for name, body in [('params', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["secret",{}]}'),
            ('params with _meta', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[null,"secret",{"message":"x"}]}'),
            ('envelope', '["2.0",1,"tools/call",{META"name":"secret"}]'), ('arguments', SECRET.replace('{"message":"hi"}', '["x"]')),
            ('_meta', SECRET.replace('META', '"_meta":["2026-07-28"],')), ('name', SECRET.replace('"secret"', '["secret"]')),
            ('method', SECRET.replace('"tools/call"', '["tools/call"]'))]:
        yield from both('array for something else', name, body, EITHER)
    batches = [('one call', f'[{SECRET}]'), ('two calls', f'[{CALL},{SECRET}]'), ('a list and a call', f'[{{"jsonrpc":"2.0","id":2,"method":"tools/list"}},{SECRET}]'),
        ('nested', f'[[{SECRET}]]'),
        ('empty', '[]'), ('65 calls', '[' + ','.join([SECRET] * 65) + ']'), ('a call and a number', f'[{SECRET},1]')]
    for name, body in batches:
        for era in (None, '2024-11-05', '2025-03-26', LEGACY, '2025-11-25', MODERN):
            f = fields(era, ('tools/call', 'secret')) if era else JSON
            yield Case('batch', f'{name}, {era or "no revision"}', text(body, era), f)
    for key, old, values in [('name', '"name":"secret"', ['5', 'null', 'true', '{"toString":"secret"}', '""', '" secret"', '"secret "', '"SECRET"', '"secret\\u0000"',
            '"secret\\n"', '"\ufeffsecret"', '"ｓecret"', None]),
            ('method', '"method":"tools/call"', ['5', 'null', '{"a":1}', '""', '"Tools/Call"', '"tools/call "', '" tools/call"', '"tools/call\\u0000"',
            '"tools//call"', '"tools/call/"', None]),
            ('id', '"id":1', ['{}', '[1]', '1.5', '1.0', '1e0', '-0', 'true', 'null', '""', '9007199254740993', '18446744073709551617', '"1\\u0000"', None]),
            ('jsonrpc', '"jsonrpc":"2.0"', ['"1.0"', '2.0', '2', 'null', '"2.0 "', '["2.0"]', None]),
            ('params', '"params":{META"name":"secret","arguments":{"message":"hi"}}', ['null', '"{\\"name\\":\\"secret\\"}"', '5', '[]', '{}', None]),
            ('arguments', '"arguments":{"message":"hi"}', ['null', '"{}"', '5', None]),
            ('_meta', 'META', ['"_meta":null,', '"_meta":"x",', '"_meta":{"io.modelcontextprotocol/protocolVersion":20260728},'])]:
        for value in values:
            new = value if key == '_meta' else '"_":0' if value is None else f'"{key}":{value}'
            yield from both(f'{key} of another kind', 'missing' if value is None else value, SECRET.replace(old, new), (('tools/call', 'secret'),))
    for name, tail in [('result beside method', ',"result":{}}'), ('error beside method', ',"error":{"code":1,"message":"x"}}'),
            ('both beside method', ',"result":{},"error":{"code":1,"message":"x"}}')]:
        yield from both('request and answer in one', name, SECRET[:-1] + tail, (('tools/call', 'secret'),))
    yield from both('request and answer in one', 'answer with params', '{"jsonrpc":"2.0","id":1,"result":{},"params":{META"name":"secret"}}')
    for method, key in [('prompts/get', 'name'), ('resources/read', 'uri')]:
        for a, b in [('file:///hello', 'file:///secret'), ('file:///secret', 'file:///hello')]:
            yield from both('member twice', f'{key} of {method}, {b[8:]} last', f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{META"{key}":"{a}","{key}":"{b}"}}}}',
                ((method, a), (method, b)))

def lexical():
    """What one reader of JSON takes and another does not."""
    for name, body in [('braces', CALL + '}'), ('a word', CALL + ' secret'), ('a second call', CALL + SECRET), ('a second call on a line of its own', CALL + '\n' + SECRET),
            ('NUL', CALL + '\0'), ('NUL and a second call', CALL + '\0' + SECRET),
            ('NUL in front', '\0' + CALL), ('XSSI guard in front', ")]}'\n" + CALL), ('record separator in front', '\x1e' + CALL + '\n'),
            ('form feed in front', '\x0c' + CALL), ('no-break space in front', '\u00a0' + CALL), ('nothing', ''), ('white space only', ' \n')]:
        yield from both('more or less than one value', name, body)
    for name, body in [(v, SECRET.replace('"hi"', v)) for v in ['NaN', 'Infinity', '-Infinity', '01', '+1', '.5', '1.', '0x10', '1e400', '-', 'nul', 'True', 'undefined']] + [
            ('comment hides a name', CALL.replace('"name":"echo"', '/*"name":"echo",*/"name":"secret"')),
            ('line comment hides a name', CALL.replace('"name":"echo",', '//"name":"echo",\n"name":"secret",')),
            ('comma at the end', SECRET[:-1] + ',}'), ('comma at the end of params', SECRET[:-2] + ',}}'), ('two commas', SECRET.replace(',"method"', ',,"method"')),
            ('single quotes', SECRET.replace('"name":"secret"', "'name':'secret'")),
            ('key without quotes', SECRET.replace('"name"', 'name')), ('raw newline in the name', SECRET.replace('"secret"', '"sec\nret"')),
            ('raw tab', SECRET.replace('"hi"', '"h\ti"')), ('raw control character', SECRET.replace('"hi"', '"h\x01i"')), ('DEL', SECRET.replace('"hi"', '"h\x7fi"')),
            ('escape \\x', SECRET.replace('"hi"', '"\\x41"')), ('escape \\u00g0', SECRET.replace('"hi"', '"\\u00g0"')), ('half an escape', SECRET.replace('"hi"', '"\\u00"')),
            ('string without an end', SECRET.replace('"hi"', '"hi')), ('cut', SECRET[:-2]),
            ('lone surrogate in the name', SECRET.replace('"secret"', '"\\ud800secret"')), ('pair reversed in the name', SECRET.replace('"secret"', '"\\udc00\\ud800secret"')),
            ('lone surrogate in a key', SECRET.replace('"name"', '"name\\udfff":1,"name"')),
            ('lone surrogate in the method', SECRET.replace('tools/call', 'tools/call\\ud800')), ('lone surrogate in an argument', SECRET.replace('"hi"', '"\\ud83d"'))]:
        yield from both('not quite JSON', name, body, (('tools/call', 'secret'),))
    def patched(old, new): return lambda era: text(SECRET, era).replace(old, new)
    for name, body in [('in a string that is skipped', patched(b'"hi"', b'"\xff\xfe"')), ('in a key', patched(b'"message"', b'"mess\xffage"')),
            ('in the name', patched(b'"secret"', b'"secret\xff"')), ('overlong', patched(b'"hi"', b'"\xc0\xae"')),
            ('overlong quote', patched(b'"secret"', b'"secret\xc0\xa2')), ('surrogates', patched(b'"hi"', b'"\xed\xa0\x80"')),
            ('beyond Unicode', patched(b'"hi"', b'"\xf4\x90\x80\x80"')), ('cut', patched(b'"hi"', b'"\xe2\x82"'))]:
        yield from both('not UTF-8', name, body, (('tools/call', 'secret'),))
    for name, codec in [('UTF-8 with a BOM', 'utf-8-sig'), ('UTF-16', 'utf-16'), ('UTF-16LE without a BOM', 'utf-16-le'), ('UTF-16BE without a BOM', 'utf-16-be'),
            ('UTF-32', 'utf-32'), ('UTF-32LE without a BOM', 'utf-32-le'), ('UTF-32BE without a BOM', 'utf-32-be'), ('EBCDIC', 'cp500')]:
        yield from both('another encoding', name, (lambda c: lambda era: text(SECRET, era).decode().encode(c))(codec), (('tools/call', 'secret'),))
        if not name.startswith('UTF-8'):
            for era in (LEGACY, MODERN):
                charset = [('Content-Type', f'application/json; charset={codec.replace("cp500", "ibm500").removesuffix("-le").removesuffix("-be")}')]
                yield Case('another encoding', f'{name}, {era}, and its charset', text(SECRET, era).decode().encode(codec),
                    fields(era, ('tools/call', 'secret'), ('content-type',), charset))
    for depth in (65, 1000, 10_000):
        deep = '[' * depth + ']' * depth
        yield from both('depth', f'{depth} arrays in an argument', SECRET.replace('"hi"', deep), (('tools/call', 'secret'),))
        yield from both('depth', f'{depth} objects beside the name, and a second name',
            CALL.replace('"name":"echo"', '"name":"echo","x":' + '{"a":' * depth + '0' + '}' * depth + ',"name":"secret"'))
    for name, body in [('in an argument', SECRET.replace('"hi"', '"' + 'x' * (4 << 20) + '"')), ('white space in front', ' ' * (4 << 20) + SECRET)]:
        yield from both('4 MiB and more', name, body, (('tools/call', 'secret'),))
    for n in (1, 16, 64, 1024): yield from both('white space in front', f'{n} KiB', ' \n\t\r' * (n * 256) + SECRET, (('tools/call', 'secret'), ('tools/call', 'echo')))
    for name, pieces in [('byte by byte', [bytes([b]) for b in text(SECRET, LEGACY)]), ('white space, then the call', [b' ' * 5000, text(SECRET, LEGACY)]),
            ('an opening brace, then the rest', [b'{', text(SECRET, LEGACY)[1:]])]:
        yield Case('pieces', name, raw=lambda label, host, p=pieces: chunked(label, host, p))
    for name, body in [('name', '"+AHMAZQBjAHIAZQB0-"'), ('quotes', '"echo+ACI-,+ACI-name+ACI-:+ACI-secret"')]:
        for era in (LEGACY, MODERN): yield Case('another encoding', f'UTF-7 in the {name}, {era}, and its charset', text(SECRET.replace('"secret"', body), era),
                fields(era, ('tools/call', 'echo'), ('content-type',), [('Content-Type', 'application/json; charset=utf-7')]))
    yield Case('4 MiB and more', 'chunked, no length', raw=lambda label, host: chunked(label, host, [text(SECRET.replace('"hi"', '"' + 'x' * (4 << 20) + '"'), LEGACY)]))

def chunked(label, host, chunks, trailers=(), more=(), era=LEGACY):
    return head('POST', f'/mcp/{label}', [('Host', host), *fields(era), *more, CHUNKED]) + b''.join(b'%x\r\n%s\r\n' % (len(c),
        c) for c in chunks) + b'0\r\n' + b''.join(f'{k}: {v}\r\n'.encode() for k, v in trailers) + b'\r\n'

def encoded(s, codec='utf-8'): return f'=?base64?{base64.b64encode(s.encode(codec)).decode()}?='

def headers():
    """Fields that say something else than the body, and content that is declared to be something else."""
    for name, coding, pack in [('gzip', 'gzip', gzip.compress), ('x-gzip', 'x-gzip', gzip.compress), ('deflate', 'deflate', zlib.compress), ('identity', 'identity', bytes),
            ('unknown', 'x-secret', bytes), ('gzip, not packed', 'gzip', bytes),
            ('identity, packed', 'identity', gzip.compress), ('two', 'identity, gzip', gzip.compress), ('br, not packed', 'br', bytes), ('empty', '', bytes)]:
        for era in (LEGACY, MODERN):
            yield Case('content coding', f'{name}, {era}', pack(text(SECRET, era)), fields(era, ('tools/call', 'secret'), more=[('Content-Encoding', coding)]))
    for kinds in [['text/plain'], ['text/plain; x=application/json'], [], ['application/jsonp'], ['application/json-rpc'], ['application/json, text/plain'],
            ['text/plain, application/json'], ['APPLICATION/JSON'], ['application/json;charset=utf-16'],
            ['application/json; charset=utf-8; charset=utf-16'], ['application/json', 'text/plain'], ['text/plain', 'application/json'],
            ['application/json', 'application/json'], ['application/x-www-form-urlencoded'], ['multipart/form-data; boundary=x'],
            ['application/grpc'], ['application/grpc+json'], ['application/grpc, application/json'], ['application/a2a+json'], ['application/vnd.api+json'],
            ['application/octet-stream'], ['*/*'], ['application/json\t;x'], ['application/json;application/grpc'], ['']]:
        for era in (LEGACY, MODERN):
            yield Case('content type', f'{" + ".join(kinds) or "none"}, {era}', text(SECRET, era),
                fields(era, ('tools/call', 'secret'), ('content-type',), [('Content-Type', k) for k in kinds]))
    def modern(trap, name, more, without=(), body=SECRET, claim=('tools/call', 'secret'), **kind): return Case(trap, name, text(body, MODERN),
            fields(MODERN, claim, without, more), **kind)
    for era in (LEGACY, MODERN):
        for name, more in [('A2A-Version', [('A2A-Version', '1.0')]), ('A2A-Version and its method', [('A2A-Version', '1.0'), ('A2A-Method', 'GetTask')]),
                ('gRPC fields', [('grpc-encoding', 'gzip'), ('te', 'trailers')])]:
            yield Case('another protocol', f'{name}, {era}', text(SECRET, era), fields(era, ('tools/call', 'secret'), more=more))
        for name, inside in [('an A2A message beside it', '"message":{"messageId":"m","role":"ROLE_USER","parts":[]}'),
                ('a task beside it', '"id2":1,"taskId":"mine","task_id":"yours","contextId":"c"')]:
            yield Case('another protocol', f'{name}, {era}', text(SECRET.replace('"jsonrpc"', inside + ',"jsonrpc"'), era), fields(era, ('tools/call', 'secret')))
            yield Case('another protocol', f'{name} in params, {era}', text(SECRET.replace('"name"', inside + ',"name"'), era), fields(era, ('tools/call', 'secret')))
    M, N, V = 'Mcp-Method', 'Mcp-Name', 'MCP-Protocol-Version'
    for name, without, more in [
            ('names another method', ('mcp-method',), [(M, 'tools/list')]), ('missing', ('mcp-method',), []), ('empty', ('mcp-method',), [(M, '')]),
            ('in another case', ('mcp-method',), [(M, 'Tools/Call')]),
            ('twice, another first', ('mcp-method',), [(M, 'tools/list'), (M, 'tools/call')]), ('twice, another last', (), [(M, 'tools/list')]),
            ('list, another first', ('mcp-method',), [(M, 'tools/list, tools/call')]),
            ('another in Mcp_Method', ('mcp-method',), [('Mcp_Method', 'tools/call'), (M, 'tools/list')])]:
        yield modern('Mcp-Method', name, more, without, refuse=True)
    yield modern('Mcp-Method', 'twice, the same', [(M, 'tools/call')])
    yield modern('Mcp-Method', 'another in Mcp_Method beside it', [('Mcp_Method', 'tools/list')])
    for name, without, more in [
            ('names another tool', ('mcp-name',), [(N, 'echo')]), ('missing', ('mcp-name',), []), ('empty', ('mcp-name',), [(N, '')]),
            ('in another case', ('mcp-name',), [(N, 'SECRET')]), ('twice, another first', ('mcp-name',), [(N, 'echo'), (N, 'secret')]),
            ('twice, another last', (), [(N, 'echo')]), ('list', ('mcp-name',), [(N, 'secret, echo')]), ('base64 of another', ('mcp-name',), [(N, encoded('echo'))]),
            ('base64 that is none', ('mcp-name',), [(N, '=?base64?c2Vjcm!0?=')]),
            ('base64 not closed', ('mcp-name',), [(N, '=?base64?c2VjcmV0')]), ('base64 of no UTF-8', ('mcp-name',), [(N, '=?base64?/////w==?=')]),
            ('base64 twice', ('mcp-name',), [(N, encoded(encoded('secret')))]),
            ('percent-encoded', ('mcp-name',), [(N, '%73ecret')])]:
        yield modern('Mcp-Name', name, more, without, refuse=True)
    for name, more in [('base64', encoded('secret')), ('base64 without padding', encoded('secret1').replace('=?=', '?=')),
            ('marker in capitals', encoded('secret').replace('base64', 'BASE64')), ('base64 of a space and the name', encoded(' secret')),
            ('base64 with loose last bits', '=?base64?c2VjcmV0MR==?='), ('space around', ' secret '), ('tab behind', 'secret\t')]:
        yield modern('Mcp-Name', name, [(N, more)], ('mcp-name',))
    yield modern('Mcp-Name', 'base64 of the marker', [(N, encoded(encoded('echo')))], ('mcp-name',), SECRET.replace('"secret"', f'"{encoded("echo")}"'))
    yield modern('Mcp-Name', 'the marker as it is', [(N, encoded('echo'))], ('mcp-name',), SECRET.replace('"secret"', f'"{encoded("echo")}"'), refuse=True)
    for name, value in [('raw UTF-8', 'grüße'.encode().decode('latin-1')), ('raw Latin-1', 'grüße'), ('base64 of Latin-1', encoded('grüße', 'latin-1')),
            ('base64 of its decomposed form', encoded('gru\u0308ße'))]:
        yield modern('Mcp-Name', f'not ASCII, {name}', [(N, value)], ('mcp-name',), SECRET.replace('secret', 'grüße'))
    for name, value in [('older, of the body newer', LEGACY), ('newer than known', '2099-01-01'), ('no date', 'latest'), ('empty', ''), ('list', f'{MODERN}, {LEGACY}'),
            ('list, older first', f'{LEGACY}, {MODERN}'), ('leading zero', '02026-07-28'), ('not ASCII', '2026-07-28\xb2')]:
        yield modern('MCP-Protocol-Version', name, [(V, value)], (V.lower(),)); yield modern('MCP-Protocol-Version', f'{name}, fields lie', [(V, value)], (V.lower(),),
            claim=('tools/call', 'echo'))
    for name, more in [('twice, the same', [(V, MODERN)] * 2), ('twice, older last', [(V, MODERN), (V, LEGACY)]), ('twice, older first', [(V, LEGACY), (V, MODERN)]),
            ('none, body newer', []), ('in MCP_Protocol_Version', [('MCP_Protocol_Version', MODERN)])]:
        yield modern('MCP-Protocol-Version', name, more, (V.lower(),)); yield modern('MCP-Protocol-Version', f'{name}, fields lie', more, (V.lower(),),
            claim=('tools/call', 'echo'))
    for era in ('2024-11-05', '2025-03-26', LEGACY, '2025-11-25'):
        lies = [(M, 'tools/list'), (N, 'echo')]
        yield Case('fields of another revision', f'{era}, Mcp-Method and Mcp-Name lie', text(SECRET, era), fields(era, more=lies))
    yield Case('fields of another revision', 'no revision, Mcp-Method and Mcp-Name lie', text(SECRET, None), JSON + lies)
    yield Case('fields of another revision', f'{MODERN}, body without _meta', text(SECRET, None), fields(MODERN, ('tools/call', 'secret')))
    yield Case('fields of another revision', f'{MODERN}, _meta says {LEGACY}', text(SECRET, MODERN).replace(b'2026-07-28', b'2025-06-18'),
        fields(MODERN, ('tools/call', 'secret')), refuse=True)
    region = SECRET.replace('"message":"hi"', '"region":"eu"')
    for name, more, kind in [('agrees', [('Mcp-Param-Region', 'eu')], {}), ('base64 agrees', [('Mcp-Param-Region', encoded('eu'))], {}),
            ('differs', [('Mcp-Param-Region', 'us')], {'refuse': True}), ('missing', [], {}),
            ('twice', [('Mcp-Param-Region', 'eu'), ('Mcp-Param-Region', 'us')], {'refuse': True}),
            ('base64 differs', [('Mcp-Param-Region', encoded('us'))], {'refuse': True}),
            ('base64 that is none', [('Mcp-Param-Region', '=?base64?!?=')], {'refuse': True}), ('another case', [('Mcp-Param-Region', 'EU')], {'refuse': True}),
            ('unknown', [('Mcp-Param-Region', 'eu'), ('Mcp-Param-Zone', 'us')], {})]:
        yield modern('Mcp-Param', name, more, body=region, **kind)
    count = SECRET.replace('"message":"hi"', '"count":42,"dry":true')
    for name, more, kind in [('number and boolean agree', [('Mcp-Param-Count', '42'), ('Mcp-Param-Dry', 'true')], {}),
            ('number differs', [('Mcp-Param-Count', '43'), ('Mcp-Param-Dry', 'true')], {'refuse': True}),
            ('number in another form', [('Mcp-Param-Count', '42.0'), ('Mcp-Param-Dry', 'true')], {}),
            ('boolean in another form', [('Mcp-Param-Count', '42'), ('Mcp-Param-Dry', 'True')], {'refuse': True})]:
        yield modern('Mcp-Param', name, more, body=count, **kind)
    yield modern('Mcp-Param', 'in the field, not in the body', [('Mcp-Param-Region', 'eu')], refuse=True)
