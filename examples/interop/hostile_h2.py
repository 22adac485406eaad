"""The corpus, continued: HTTP/2 that becomes two requests, or another one, when it is carried on as HTTP/1.1."""
from hostile_http import inner
from hostile_mcp import CALL, LEGACY, MODERN, SECRET, Case, fields, text
from hostile_wire import frame, hpack, request_frames

def small(era, claim=('tools/call', 'echo'), more=()): return [(k.lower(), v) for k, v in fields(era, claim, more=more)]

def pseudo(label, host, **other):
    """The four pseudo-header fields, some of them others: `path='/x'`; None leaves one out, a list repeats it."""
    given = {'method': 'POST', 'scheme': 'https', 'authority': host, 'path': f'/mcp/{label}', **other}
    return [(f':{k}', v) for k, values in given.items() for v in (values if isinstance(values, list) else [values]) if v is not None]

def requests():
    def case(name, build, trap='HTTP/2', **kind): return Case(trap, name, h2=build, **kind)
    def plain(era=LEGACY, body=CALL, more=(), claim=('tools/call', 'echo'), trailers=None, **other):
        return lambda l, h: request_frames(pseudo(l, h, **{k: v(l, h) if callable(v) else v for k, v in other.items()}) + small(era,
            claim) + [(k, v(l, h) if callable(v) else v) for k, v in more], [text(body, era)], trailers)
    for era in (LEGACY, MODERN):
        for name, build in [('one piece', plain(era)), ('with a length', plain(era, more=[('content-length', str(len(text(CALL, era))))])),
                ('byte by byte', lambda l, h, e=era: request_frames(pseudo(l, h) + small(e), [bytes([b]) for b in text(CALL, e)])),
                ('fields in two frames', lambda l, h, e=era: two_frames(pseudo(l, h) + small(e), text(CALL, e))),
                ('padding', lambda l, h, e=era: padded(pseudo(l, h) + small(e), text(CALL, e)))]:
            yield case(f'HTTP/2, {name}, {era}', build, 'honest', honest=True, says=('tools/call', 'echo'))
    n = len(text(CALL, LEGACY))
    def smuggled(l, h): return text(CALL, LEGACY) + inner(l, h)
    for name, length in [('shorter', n), ('of nothing', 0)]:
        yield case(f'length {name} than the body', lambda l, h, k=length: request_frames(pseudo(l, h) + small(LEGACY) + [('content-length', str(k))], [smuggled(l, h)]))
        yield case(f'length {name} than the body, in two pieces', lambda l, h, k=length: request_frames(pseudo(l, h) + small(LEGACY) + [('content-length', str(k))],
            [text(CALL, LEGACY), inner(l, h)]))
    for name, lengths in [('longer than the body', [n + 100]), ('twice', [n, n + 1]), ('twice the same', [n, n]), ('list', [f'{n}, {n}']), ('plus', [f'+{n}']),
            ('zeros in front', [f'000{n}']), ('empty', ['']), ('no number', ['x'])]:
        yield case(f'length {name}', plain(more=[('content-length', str(k)) for k in lengths]))
    for coding in ('chunked', 'Chunked', 'identity', 'xchunked', 'chunked, identity'):
        yield case(f'transfer-encoding {coding}', lambda l, h, c=coding: request_frames(pseudo(l, h) + small(LEGACY) + [('transfer-encoding', c)], [b'0\r\n\r\n' + inner(l, h)]))
        yield case(f'transfer-encoding {coding}, beside a length', lambda l, h,
            c=coding: request_frames(pseudo(l, h) + small(LEGACY) + [('transfer-encoding', c), ('content-length', str(len(b'0\r\n\r\n' + inner(l, h))))],
            [b'0\r\n\r\n' + inner(l, h)]))
    def request(l, h): return inner(l, h).decode('latin-1')
    for end_name, end in [('CR LF', '\r\n'), ('LF', '\n'), ('CR', '\r'), ('NUL', '\0')]:
        for name, more in [('a field', [('x', f'a{end}Mcp-Name: secret')]), ('a length', [('x', f'a{end}Content-Length: 3')]),
                ('a coding', [('x', f'a{end}Transfer-Encoding: chunked')]), ('a request', [('x', lambda l, h, e=end: f'a{e}{e}' + request(l, h))])]:
            yield case(f'{end_name} in a value brings {name}', plain(MODERN, more=more))
        yield case(f'{end_name} in a name', plain(more=[(f'x: y{end}mcp-name', 'secret')])); yield case(f'{end_name} in Mcp-Name',
            plain(MODERN, claim=('tools/call', f'echo{end}X: y')))
        yield case(f'{end_name} in the path', plain(path=lambda l, h, e=end: f'/mcp/{l} HTTP/1.1{e}Host: {h}{e}X: ')); yield case(f'{end_name} in the path, and a request',
            plain(path=lambda l, h, e=end: f'/mcp/{l} HTTP/1.1{e}Host: {h}{e}{e}' + request(l, h)))
        yield case(f'{end_name} in the method', plain(method=lambda l, h, e=end: f'POST /mcp/{l}x HTTP/1.1{e}Host: {h}{e}X: ')); yield case(f'{end_name} in the authority',
            plain(authority=lambda l, h, e=end: f'{h}{e}Mcp-Name: secret')); yield case(f'{end_name} in the scheme', plain(scheme=f'https{end}X: y'))
    for name, more in [('capitals in a name', [('Mcp-Name', 'secret')]), ('colon in a name', [('mcp-name:', 'secret')]), ('colon in front of a name', [(':mcp-name', 'secret')]),
            ('blank behind a name', [('mcp-name ', 'secret')]), ('blank in front of a value', [('mcp-name', ' secret')]), ('empty name', [('', 'secret')]),
            ('Connection', [('connection', 'mcp-name')]), ('Connection: close', [('connection', 'close')]), ('Keep-Alive', [('keep-alive', 'timeout=5')]),
            ('Proxy-Connection', [('proxy-connection', 'keep-alive')]), ('Upgrade', [('upgrade', 'h2c')]), ('TE of something else', [('te', 'gzip')]),
            ('a host beside the authority', [('host', 'evil.example')]), ('the same host beside the authority', [('host', lambda l, h: h)]),
            ('two hosts', [('host', lambda l, h: h), ('host', 'evil.example')]), ('a pseudo-header field behind others', [(':path', '/mcp/other')]),
            ('status', [(':status', '200')]), ('a name twice', [('mcp-name', 'secret')]), ('a method twice', [('mcp-method', 'tools/list')]),
            ('a revision twice', [('mcp-protocol-version', LEGACY)])]:
        yield case(name, plain(MODERN, more=more))
    for name, other in [('two paths', {'path': lambda l, h: [f'/mcp/{l}', f'/mcp/{l}x']}), ('two methods', {'method': ['GET', 'POST']}),
            ('two authorities', {'authority': lambda l, h: [h, 'evil.example']}), ('no path', {'path': None}), ('empty path', {'path': ''}),
            ('path without a slash', {'path': lambda l, h: f'mcp/{l}'}), ('path of a whole URL', {'path': lambda l, h: f'http://{h}/mcp/{l}'}),
            ('path with a blank', {'path': lambda l, h: f'/mcp/{l} x'}),
            ('asterisk', {'path': '*'}), ('no method', {'method': None}), ('method in small letters', {'method': 'post'}), ('GET with a body', {'method': 'GET'}),
            ('CONNECT', {'method': 'CONNECT'}), ('CONNECT without a path', {'method': 'CONNECT', 'path': None, 'scheme': None}),
            ('extended CONNECT', {'method': 'CONNECT', 'protocol': 'websocket'}), ('unknown pseudo-header field', {'x': 'y'}), ('no scheme', {'scheme': None}),
            ('scheme with a URL', {'scheme': 'http://evil.example/x?'}),
            ('no authority', {'authority': None}), ('empty authority', {'authority': ''}), ('authority with a path', {'authority': lambda l, h: f'{h}/mcp/{l}x?'}),
            ('authority with a user', {'authority': lambda l, h: f'a@{h}'}), ('evil authority', {'authority': 'evil.example'})]:
        yield case(name, plain(MODERN, **other))
    for name, trailers in [('Mcp-Name', [('mcp-name', 'secret')]), ('Mcp-Method', [('mcp-method', 'tools/list')]), ('a length', [('content-length', '3')]),
            ('a coding', [('transfer-encoding', 'chunked')]), ('a path', [(':path', '/mcp/other')]), ('CR LF', [('x', 'a\r\n\r\nGET / HTTP/1.1\r\n\r\n')]),
            ('a host', [('host', 'evil.example')]), ('an identity', [('x-forwarded-client-cert', 'URI=spiffe://example.org/admin')])]:
        yield case(f'trailers with {name}', plain(MODERN, trailers=trailers)); yield case(f'trailers with {name}, other body', plain(MODERN, SECRET, trailers=trailers))
    for name, tail in [('more body behind the end', lambda l, h: frame(0, 1, 1, text(SECRET, LEGACY))),
            ('fields behind the end', lambda l, h: frame(1, 5, 1, hpack(pseudo(l + 'x', h) + small(LEGACY)))),
            ('a second request', lambda l, h: frame(1, 4, 3, hpack(pseudo(l + 'x', h) + small(LEGACY))) + frame(0, 1, 3, text(CALL, LEGACY))),
            ('an old stream', lambda l, h: frame(1, 4, 2, hpack(pseudo(l + 'x', h) + small(LEGACY))))]:
        yield case(name, lambda l, h, t=tail: plain()(l, h) + t(l, h))

def two_frames(given, body):
    block = hpack(given); half = len(block) // 2
    return frame(1, 0, 1, block[:half]) + frame(9, 4, 1, block[half:]) + frame(0, 1, 1, body)

def padded(given, body): return frame(1, 12, 1, b'\x03' + hpack(given) + b'\0\0\0') + frame(0, 8, 1, b'\x05' + body[:20] + b'\0' * 5) + frame(0, 9, 1, b'\0' + body[20:])
