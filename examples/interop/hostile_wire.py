"""Bytes on the wire for hostile_calls.py: requests exactly as they are written here, in plain TCP or over the lane's own TLS.

Nothing is corrected on the way: two Host fields, a wrong length or an overlong varint leave as they are.
"""
import re, socket, struct, time
from OpenSSL import SSL

PATIENCE = 3              # seconds for an answer to what nobody may answer

class Answer:
    """What came back. status 0: nothing that is HTTP; reason: the lane's own, if it refused."""
    def __init__(self, status=0, fields=None, body=b''):
        self.status, self.fields, self.body = status, fields or {}, body
        self.reason = self.fields.get('pqlane-denied')

class Reader:
    """Buffered reading from a socket or a TLS connection; an end, a reset and a timeout are all an end."""
    def __init__(self, conn): self.conn, self.buffer, self.open = conn, b'', True
    def more(self):
        try: piece = self.conn.recv(65536)
        except (OSError, SSL.Error): piece = b''
        self.open = bool(piece); self.buffer += piece
        return self.open
    def until(self, mark):
        while mark not in self.buffer:
            if not self.more(): return None
        part, self.buffer = self.buffer.split(mark, 1)
        return part
    def exactly(self, n):
        while len(self.buffer) < n and self.more(): pass
        part, self.buffer = self.buffer[:n], self.buffer[n:]
        return part

def connect(port, tls=None, alpn=b'http/1.1', patience=PATIENCE):
    """A connection to a loopback port; tls: (PREFIX of an SVID, FILE of the bundle)."""
    s = socket.create_connection(('127.0.0.1', port), patience)
    if not tls: return s
    x = SSL.Context(SSL.TLS_CLIENT_METHOD)
    x.load_verify_locations(tls[1]); x.set_verify(SSL.VERIFY_PEER)
    x.use_certificate_chain_file(tls[0] + '.svid.pem'); x.use_privatekey_file(tls[0] + '.key.pem'); x.set_alpn_protos([alpn])
    s.settimeout(None); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', patience, 0))
    c = SSL.Connection(x, s); c.set_connect_state(); c.do_handshake()
    return c

def close(conn):
    try: conn.shutdown() if isinstance(conn, SSL.Connection) else None
    except SSL.Error: pass
    conn.close()

def send(conn, raw):
    """Sends all; a peer that refuses early and closes is no error."""
    try: conn.sendall(raw)
    except (OSError, SSL.Error): pass

def http1(port, raw, tls=None, answers=1, patience=PATIENCE):
    """Sends raw bytes, and reads as many answers as asked for; the first counts. What answers a GET may never end, and is not read."""
    conn = connect(port, tls, patience=patience); send(conn, raw); reader = Reader(conn)
    got = [read_answer(reader, raw[:4] not in (b'GET ', b'HEAD')) for _ in range(answers)]
    close(conn)
    return got[0]

def read_answer(reader, whole):
    while True:
        head = reader.until(b'\r\n\r\n')
        found = re.match(rb'HTTP/1\.[01] (\d{3})', head or b'')
        if not found: return Answer()
        status = int(found[1])
        if status != 100: break
    fields = {}
    for line in head.decode('latin-1').split('\r\n')[1:]:
        name, _, value = line.partition(':'); fields[name.lower()] = value.strip()
    if whole and fields.get('transfer-encoding', '').lower() == 'chunked':
        body = b''
        while (size := reader.until(b'\r\n')) is not None:
            n = int(size.split(b';')[0], 16); body += reader.exactly(n); reader.until(b'\r\n')
            if n == 0: break
    elif whole and 'content-length' in fields: body = reader.exactly(int(fields['content-length']))
    elif status in (202, 204) or not whole: body = b''
    else:
        while reader.more(): pass
        body = reader.buffer
    return Answer(status, fields, body)

def varint(n): return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)

def hpack(fields):
    """Literals without indexing and without Huffman coding (RFC 7541 §6.2.2): any bytes, as they are."""
    out = b''
    for name, value in fields:
        for i, text in enumerate((name, value)):
            b = text.encode('latin-1')
            out += (b'\0' if i == 0 else b'') + (bytes([len(b)]) if len(b) < 127 else b'\x7f' + varint(len(b) - 127)) + b
    return out

def frame(kind, flags, stream, payload): return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload

def request_frames(fields, pieces, trailers=None):
    """The frames of one request, each piece a DATA frame."""
    last = len(pieces) - 1 if trailers is None else -1
    out = frame(1, 4 | (not pieces), 1, hpack(fields)) + b''.join(frame(0, i == last, 1, p) for i, p in enumerate(pieces))
    return out if trailers is None else out + frame(1, 5, 1, hpack(trailers))

def http2(port, frames, tls=None, patience=PATIENCE):
    """One request on a connection of its own; True if its stream ended in order. What the answer said is Huffman-coded and is left
    unread: what was run and what was recorded tell."""
    conn = connect(port, tls, b'h2', patience)
    send(conn, b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0, b'') + frames)
    reader, end = Reader(conn), time.monotonic() + patience
    ended = False
    while not ended and time.monotonic() < end:
        head = reader.exactly(9)
        if len(head) < 9: break
        kind, flags, stream = head[3], head[4], struct.unpack('>I', head[5:])[0]
        payload = reader.exactly(int.from_bytes(head[:3], 'big'))
        if kind == 4 and not flags & 1: send(conn, frame(4, 1, 0, b''))
        if kind == 6 and not flags & 1: send(conn, frame(6, 1, 0, payload))
        if kind in (3, 7) and stream in (0, 1): break
        ended = stream == 1 and kind in (0, 1) and bool(flags & 1)
    close(conn)
    return ended
