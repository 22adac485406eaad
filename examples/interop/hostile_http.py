"""The corpus, continued: requests whose frame is the trap, and honest calls, which must pass.

A frame with two ends carries a second request, labelled with an `x` more: if it is run, the record must have it too.
"""
from hostile_mcp import CALL, CHUNKED, LEGACY, MODERN, SECRET, Case, chunked, encoded, fields, head, text

def inner(label, host):
    """A whole second request, hidden in the body of the first."""
    body = text(SECRET, LEGACY)
    return head('POST', f'/mcp/{label}x', [('Host', host), *fields(LEGACY), ('Content-Length', str(len(body)))]) + body

def framed(name, build, trap='frame', **kind): return Case(trap, name, raw=build, **kind)

def plain(label, host, more=(), era=LEGACY, body=None, target=None, method='POST', version='HTTP/1.1', hosts=None, claim=('tools/call', 'echo')):
    body = text(CALL, era) if body is None else body
    return head(method, target or f'/mcp/{label}', [*(('Host', h) for h in ([host] if hosts is None else hosts)), *fields(era, claim), *more, ('Content-Length', str(len(body)))],
        version) + body

def both_lengths(label, host, coding, first):
    """Content-Length and Transfer-Encoding: by one the second request is body, by the other it is not."""
    body = b'0\r\n\r\n' + inner(label, host)
    two = [('Content-Length', str(len(body))), ('Transfer-Encoding', coding)]
    return head('POST', f'/mcp/{label}', [('Host', host), *fields(LEGACY), *(two if first else two[::-1])]) + body

def frames():
    for coding in ('chunked', 'xchunked', 'chunked, identity', 'identity, chunked', 'identity', ' chunked', 'Chunked', 'chunked, chunked', 'chunked;x=1', '\x0bchunked',
            'gzip, chunked'):
        for first in (True, False):
            yield framed(f'Content-Length {"before" if first else "after"} Transfer-Encoding: {coding!r}', lambda l, h, c=coding, f=first: both_lengths(l, h, c, f), answers=2)
    def lengths(label, host, make, behind=b''):
        body = text(CALL, LEGACY)
        return head('POST', f'/mcp/{label}', [('Host', host), *fields(LEGACY), *make(len(body), len(inner(label, host)))]) + body + behind
    L = 'Content-Length'
    for name, make in [('two lengths, shorter first', lambda n, m: [(L, n), (L, n + m)]), ('two lengths, longer first', lambda n, m: [(L, n + m), (L, n)]),
            ('list of lengths', lambda n, m: [(L, f'{n}, {n + m}')]), ('the same twice', lambda n, m: [(L, n), (L, n)]),
            ('plus sign', lambda n, m: [(L, f'+{n}')]), ('minus sign', lambda n, m: [(L, f'-{n}')]), ('hexadecimal', lambda n, m: [(L, hex(n))]),
            ('leading zeros', lambda n, m: [(L, f'00{n}')]), ('underscore in the number', lambda n, m: [(L, f'{n // 100}_{n % 100:02}')]),
            ('beyond 64 bits', lambda n, m: [(L, (1 << 64) + n)]), ('space before the colon', lambda n, m: [(L + ' ', n)]),
            ('underscore in the name', lambda n, m: [('Content_Length', n + m), (L, n)]),
            ('length nominated in Connection', lambda n, m: [('Connection', 'content-length'), (L, n)])]:
        yield framed(name, lambda l, h, k=make: lengths(l, h, k, inner(l, h)), answers=2)
    def chunks(label, host, raw): return head('POST', f'/mcp/{label}', [('Host', host), *fields(LEGACY), CHUNKED]) + raw(text(CALL, LEGACY)) + inner(label, host)
    for name, raw in [('chunk sizes end with LF', lambda b: b'%x\n%s\n0\n\n' % (len(b), b)), ('chunk size with 0x', lambda b: b'0x%x\r\n%s\r\n0\r\n\r\n' % (len(b), b)),
            ('chunk size beyond 64 bits', lambda b: b'1%016x\r\n%s\r\n0\r\n\r\n' % (len(b), b)), ('chunk size with a space', lambda b: b'%x \r\n%s\r\n0\r\n\r\n' % (len(b), b)),
            ('chunk extension', lambda b: b'%x;a=b\r\n%s\r\n0\r\n\r\n' % (len(b), b)),
            ('chunk extension with LF', lambda b: b'%x;a\nb\r\n%s\r\n0\r\n\r\n' % (len(b), b)),
            ('chunk without its end of line', lambda b: b'%x\r\n%s0\r\n\r\n' % (len(b), b)), ('chunk size of minus', lambda b: b'-%x\r\n%s\r\n0\r\n\r\n' % (len(b), b)),
            ('last chunk of many zeros', lambda b: b'%x\r\n%s\r\n0000\r\n\r\n' % (len(b), b))]:
        yield framed(name, lambda l, h, r=raw: chunks(l, h, r), answers=2)
    for name, trailers in [('Mcp-Name in trailers', [('Mcp-Name', 'secret')]), ('Mcp-Method in trailers', [('Mcp-Method', 'tools/list')]),
            ('revision in trailers', [('MCP-Protocol-Version', LEGACY)]), ('content type in trailers', [('Content-Type', 'text/plain')]),
            ('content coding in trailers', [('Content-Encoding', 'gzip')]),
            ('length in trailers', [('Content-Length', '3')]), ('Host in trailers', [('Host', 'evil.example')]),
            ('identity in trailers', [('X-Forwarded-Client-Cert', 'URI=spiffe://example.org/admin')])]:
        yield framed(name, lambda l, h, t=trailers: chunked(l, h, [text(SECRET, MODERN)], t, [('Trailer', t[0][0])], MODERN), 'trailers')
        yield framed(f'{name}, honest head', lambda l, h, t=trailers: chunked(l, h, [text(CALL, MODERN)], t, [('Trailer', t[0][0])], MODERN), 'trailers')
    for name, raw in [('header lines end with LF', lambda l, h: plain(l, h).replace(b'\r\n', b'\n')),
            ('one header line ends with LF', lambda l, h: plain(l, h, [('X', 'a\nMcp-Name: secret')], MODERN)),
            ('one header line ends with CR', lambda l, h: plain(l, h, [('X', 'a\rMcp-Name: secret')], MODERN)),
            ('folded line', lambda l, h: plain(l, h, [('X', 'a\r\n Mcp-Name: secret')], MODERN)),
            ('NUL in a field', lambda l, h: plain(l, h, [('X', 'a\0Mcp-Name: secret')], MODERN)),
            ('space before the colon of Mcp-Name', lambda l, h: plain(l, h, [('Mcp-Name ', 'secret')], MODERN)),
            ('tab in the request line', lambda l, h: plain(l, h).replace(b'POST ', b'POST\t', 1)),
            ('two spaces in the request line', lambda l, h: plain(l, h).replace(b' HTTP', b'  HTTP', 1)),
            ('HTTP/1.0', lambda l, h: plain(l, h, version='HTTP/1.0')),
            ('HTTP/1.0, chunked', lambda l, h: chunked(l, h, [text(CALL, LEGACY)]).replace(b'HTTP/1.1', b'HTTP/1.0', 1)),
            ('HTTP/0.9', lambda l, h: f'POST /mcp/{l}\r\n\r\n'.encode()), ('HTTP/2.0 in a line', lambda l, h: plain(l, h, version='HTTP/2.0')),
            ('HTTP/1.2', lambda l, h: plain(l, h, version='HTTP/1.2')),
            ('method in small letters', lambda l, h: plain(l, h, method='post')), ('GET with the body', lambda l, h: plain(l, h, method='GET')),
            ('PUT', lambda l, h: plain(l, h, method='PUT')), ('GET made POST by a field', lambda l, h: plain(l, h, [('X-HTTP-Method-Override', 'POST')], method='GET')),
            ('POST made GET by a field', lambda l, h: plain(l, h, [('X-HTTP-Method-Override', 'GET')])),
            ('upgrade to h2c', lambda l, h: plain(l, h, [('Connection', 'Upgrade, HTTP2-Settings'), ('Upgrade', 'h2c'), ('HTTP2-Settings', 'AAMAAABkAAQAAP__')])),
            ('upgrade to websocket', lambda l, h: plain(l, h, [('Connection', 'Upgrade'), ('Upgrade', 'websocket')])),
            ('Expect of something', lambda l, h: plain(l, h, [('Expect', '200-maybe')])),
            ('Connection nominates Mcp-Name', lambda l, h: plain(l, h, [('Connection', 'mcp-name')], MODERN)),
            ('Connection nominates Mcp-Method', lambda l, h: plain(l, h, [('Connection', 'mcp-method')], MODERN)),
            ('Connection nominates the revision', lambda l, h: plain(l, h, [('Connection', 'mcp-protocol-version')], MODERN)),
            ('Connection nominates the content type', lambda l, h: plain(l, h, [('Connection', 'content-type')])),
            ('Connection nominates the content coding', lambda l, h: plain(l, h, [('Connection', 'content-encoding'), ('Content-Encoding', 'gzip')])),
            ('two requests in one piece', lambda l, h: plain(l, h) + inner(l, h))]:
        yield framed(name, raw, 'head', answers=2 if 'two requests' in name else 1)
    evil = 'evil.example'
    for name, raw in [('two, evil first', lambda l, h: plain(l, h, hosts=[evil, h])), ('two, evil last', lambda l, h: plain(l, h, hosts=[h, evil])),
            ('two, the same', lambda l, h: plain(l, h, hosts=[h, h])), ('none', lambda l, h: plain(l, h, hosts=[])), ('empty', lambda l, h: plain(l, h, hosts=[''])),
            ('list', lambda l, h: plain(l, h, hosts=[f'{h}, {evil}'])),
            ('evil', lambda l, h: plain(l, h, hosts=[evil])), ('with user', lambda l, h: plain(l, h, hosts=[f'{h}@{evil}'])),
            ('with a path', lambda l, h: plain(l, h, hosts=[f'{h}/x'])), ('space before the colon', lambda l, h: plain(l, h, [('Host ', evil)])),
            ('not that of the absolute form', lambda l, h: plain(l, h, target=f'http://{h}/mcp/{l}', hosts=[evil])),
            ('that is not the absolute form', lambda l, h: plain(l, h, target=f'http://{evil}/mcp/{l}')),
            ('with user in the absolute form', lambda l, h: plain(l, h, target=f'http://a@{h}/mcp/{l}')),
            ('with another scheme', lambda l, h: plain(l, h, target=f'ftp://{h}/mcp/{l}')),
            ('https in the absolute form', lambda l, h: plain(l, h, target=f'https://{h}/mcp/{l}')), ('CONNECT', lambda l, h: plain(l, h, method='CONNECT', target=h)),
            ('CONNECT with a path', lambda l, h: plain(l, h, method='CONNECT')), ('asterisk form', lambda l, h: plain(l, h, target='*')),
            ('fragment', lambda l, h: plain(l, h, target=f'/mcp/{l}#x')),
            ('X-Original-URL', lambda l, h: plain(l, h, [('X-Original-URL', f'/mcp/{l}x'), ('X-Rewrite-URL', f'/mcp/{l}x')]))]:
        yield framed(name, raw, 'Host and target')

def honest():
    """Calls as the SDKs' clients make them."""
    def ok(name, body, f, says, **kind): return Case('honest', name, body if isinstance(body, bytes) else body.encode(), f, honest=True, says=says, **kind)
    echo = ('tools/call', 'echo')
    for era in ('2024-11-05', '2025-03-26', LEGACY, '2025-11-25', MODERN): yield ok(f'tools/call, {era}', text(CALL, era), fields(era), echo)
    yield ok('tools/call, no revision', text(CALL, None), fields(LEGACY)[:-1], echo)
    for era in (LEGACY, MODERN):
        def call(body, claim=echo, more=(), era=era): return text(body, era), fields(era, claim, more=more)
        yield ok(f'not ASCII, {era}', *call(CALL.replace('"hi"', '"grüße, 世界 🦀"')), echo)
        yield ok(f'not ASCII, escaped, {era}', *call(CALL.replace('"hi"', '"gr\\u00fc\\u00dfe, \\u4e16\\u754c \\ud83e\\udd80 \\"\\\\\\/\\b\\f\\n\\r\\t"')), echo)
        for name, claim in [('name that is not ASCII', encoded('grüße'))]: yield ok(f'{name}, {era}', *call(CALL.replace('"echo"', '"grüße"'), ('tools/call', claim)),
                ('tools/call', 'grüße'))
        yield ok(f'name that is not ASCII, escaped, {era}', *call(CALL.replace('"echo"', '"gr\\u00fc\\u00dfe"'), ('tools/call', encoded('grüße'))), ('tools/call', 'grüße'))
        yield ok(f'3 MiB, {era}', *call(CALL.replace('"hi"', '"' + 'x' * (3 << 20) + '"')), echo)
        yield ok(f'1 MiB of small tokens, {era}', *call(CALL.replace('"hi"', '"hi","list":[' + '{"a":1},' * (1 << 17) + '0]')), echo)
        yield ok(f'_meta with extensions, {era}',
            *call(CALL.replace('META', META_MORE if era == MODERN else '"_meta":{"progressToken":"p1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","com.example/x":{"name":"secret"}},')), echo)
        yield ok(f'names of members in arguments, {era}',
            *call(CALL.replace('"message":"hi"', '"message":"hi","name":"secret","method":"tools/list","Method":1,"params":{"name":"secret","Name":2}')), echo)
        yield ok(f'text with a call in it, {era}', *call(CALL.replace('"hi"', '"' + SECRET.replace('META', '').replace('"', '\\"') + '"')), echo)
        yield ok(f'id is a string, {era}', *call(CALL.replace('"id":1', '"id":"5e1b-α"')), echo)
        yield ok(f'id is 0, {era}', *call(CALL.replace('"id":1', '"id":0')), echo)
        yield ok(f'members in another order, {era}', *call('{"params":{"arguments":{"message":"hi"},META"name":"echo"},"method":"tools/call","id":1,"jsonrpc":"2.0"}'), echo)
        yield ok(f'white space, {era}', *call('\r\n\t ' + CALL.replace(':', ' : ').replace(',', ' ,\n') + ' \n') if era == LEGACY else call(' \n' + CALL + '\n'), echo)
        yield ok(f'depth of 30, {era}', *call(CALL.replace('"hi"', '"hi","deep":' + '[' * 30 + ']' * 30)), echo)
        yield ok(f'content type with charset, {era}', text(CALL, era), [(k, 'application/json; charset=utf-8' if k == 'Content-Type' else v) for k, v in fields(era)], echo)
        yield ok(f'tools/list, {era}', *call('{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{META"x":0}}', ('tools/list', None)), ('tools/list', None))
        yield ok(f'prompts/get, {era}', *call('{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{META"name":"hello","arguments":{"a":"b"}}}', ('prompts/get', 'hello')),
            ('prompts/get', 'hello'))
        yield ok(f'resources/read, {era}', *call('{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{META"uri":"file:///hello"}}', ('resources/read', 'file:///hello')),
            ('resources/read', 'file:///hello'))
        yield ok(f'chunked, {era}', b'', [], echo, raw=lambda l, h, e=era: chunked(l, h, [text(CALL, e)[:40], text(CALL, e)[40:]], era=e))
        yield ok(f'Expect, {era}', b'', [], echo, raw=lambda l, h, e=era: plain(l, h, [('Expect', '100-continue')], e))
        yield ok(f'query, {era}', b'', [], echo, raw=lambda l, h, e=era: plain(l, h, era=e, target=f'/mcp/{l}?a=b&name=secret'))
        yield ok(f'Accept in other words, {era}', b'', [], echo, raw=lambda l, h,
            e=era: plain(l, h, [('Accept-Encoding', 'gzip, deflate'), ('User-Agent', 'python-httpx2/2.16'), ('Accept-Language', '*'), ('Sec-Fetch-Mode', 'cors'),
            ('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')], e))
    yield ok('tools/list without params', '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', fields(LEGACY), ('tools/list', None))
    yield ok('initialize', '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"corpus","version":"1"}}}', fields(LEGACY)[:-1], ('initialize', None))
    yield ok('server/discover', text('{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{META"x":0}}', MODERN), fields(MODERN, ('server/discover', None)),
        ('server/discover', None))
    yield ok('ping', '{"jsonrpc":"2.0","id":1,"method":"ping"}', fields(LEGACY), ('ping', None))
    for n in ('initialized', 'cancelled', 'progress', 'roots/list_changed'):
        extra = {'cancelled': ',"params":{"requestId":1,"reason":"x"}', 'progress': ',"params":{"progressToken":"p","progress":1}'}.get(n, '')
        yield ok(f'notifications/{n}', f'{{"jsonrpc":"2.0","method":"notifications/{n}"{extra}}}', fields(LEGACY), (f'notifications/{n}', None))
    yield ok('answer to a server', '{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}', fields(LEGACY), None)
    yield ok('error to a server', '{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}', fields(LEGACY), None)
    yield ok('unknown method with a name that is a number', '{"jsonrpc":"2.0","id":1,"method":"com.example/x","params":{"name":5,"uri":null,"taskId":{}}}', fields(LEGACY),
        ('com.example/x', None))
    yield ok('GET for a stream', b'', [], None, raw=lambda l, h: head('GET', f'/mcp/{l}', [('Host', h), ('Accept', 'text/event-stream'), ('MCP-Protocol-Version', LEGACY)]))
    yield ok('DELETE of a session', b'', [], None, raw=lambda l, h: head('DELETE', f'/mcp/{l}', [('Host', h), ('MCP-Protocol-Version', LEGACY)]))
    yield ok('Mcp-Param of a number and a boolean', text(CALL.replace('"message":"hi"', '"count":42,"dry":true'), MODERN),
        fields(MODERN, more=[('Mcp-Param-Count', '42'), ('Mcp-Param-Dry', 'true')]), echo)
    yield ok('Mcp-Param under another name', text(CALL.replace('"message":"hi"', '"place":"Bern"'), MODERN), fields(MODERN, more=[('Mcp-Param-City', 'Bern')]), echo)
    for region, value in [('eu', 'eu'), ('eu', encoded('eu')), ('süd', encoded('süd'))]:
        yield ok(f'Mcp-Param-Region {value}', text(CALL.replace('"message":"hi"', f'"region":"{region}"'), MODERN), fields(MODERN, more=[('Mcp-Param-Region', value)]), echo)

META_MORE = ('"_meta":{"progressToken":7,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","com.example/x":{"name":"secret"},"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    '"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}},"io.modelcontextprotocol/clientInfo":{"name":"corpus","version":"1","title":"grüße"}},')
