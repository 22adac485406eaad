"""A TLS peer on OpenSSL 4.0 (pyOpenSSL on PyPI's cryptography), or with --stdlib on this Python's own ssl.

openssl_peer.py client PORT --svid PREFIX --bundle FILE [--groups NAME] [--tls12] [--no-cert] [--stdlib] [--probe] [--again [--between COMMAND]]
    one line: OK TLSv1.3 GROUP PEER_ID get=200 post=same      the handshake, a GET and a 200 KB POST over it
          or: ALERT NUMBER NAME, ERROR text, OPEN (--probe: no request; the peer kept the connection)
    --again: then a second connection that offers the session of the first; COMMAND runs between the two:
          OK ... then resumed|full OK ...      or, if the second one fails: OK ... then ALERT NUMBER NAME
openssl_peer.py server PORT --svid PREFIX --bundle FILE [--groups NAME]
    an HTTP/1.1 server that asks for a client certificate; a line 'SERVED TLSv1.3 GROUP PEER_ID' for each request
openssl_peer.py authority DIR        a CA and SVIDs like the product's, for the peers' own self-test

PREFIX.svid.pem and PREFIX.key.pem are an X.509-SVID; FILE holds the CAs.
--groups: one elliptic curve, P-256 or P-384, so classical only; or OpenSSL's own list, such as MLKEM1024:X25519MLKEM768 (not with --stdlib).
"""
import argparse, datetime, http.client, http.server, io, os, re, socket, socketserver, ssl, struct, subprocess, sys, tempfile
from cryptography import x509
from OpenSSL import SSL

ALERTS = {'handshake failure': 40, 'bad certificate': 42, 'unsupported certificate': 43, 'certificate revoked': 44, 'certificate expired': 45,
          'certificate unknown': 46, 'illegal parameter': 47, 'unknown ca': 48, 'access denied': 49, 'decode error': 50, 'decrypt error': 51,
          'protocol version': 70, 'insufficient security': 71, 'internal error': 80, 'certificate required': 116, 'no application protocol': 120}

def spiffe_id(cert):
    """The URI SANs of a certificate: an SVID has exactly one."""
    return '+'.join(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.UniformResourceIdentifier)) if cert else '-'

class File(io.RawIOBase):
    """A pyOpenSSL connection as the file and socket that http.client and http.server want."""
    def __init__(self, c): self.c = c
    def readable(self): return True
    writable = readable
    def readinto(self, b):
        try: return self.c.recv_into(b)
        except (SSL.ZeroReturnError, SSL.SysCallError): return 0
    def write(self, b): self.c.sendall(bytes(b)); return len(b)
    def makefile(self, mode, *_): return io.BufferedReader(File(self.c)) if 'r' in mode else File(self.c)
    sendall = write

CURVES = {'P-256': 'SECP256R1', 'P-384': 'SECP384R1'}

def configured(a):
    """pyOpenSSL cannot name other groups than curves; OpenSSL's own configuration file can, and is read at start."""
    if not a.groups or a.groups in CURVES or 'OPENSSL_CONF' in os.environ: return
    with tempfile.NamedTemporaryFile('w', suffix='.cnf', delete=False) as f:
        f.write(f'openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n[all]\nGroups = {a.groups}\n')
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, 'OPENSSL_CONF': f.name, 'PEER_CONF': f.name})

def context(a, server):
    x = SSL.Context(SSL.TLS_SERVER_METHOD if server else SSL.TLS_CLIENT_METHOD)
    x.load_verify_locations(a.bundle); x.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)     # SPIFFE: no host names
    if not a.no_cert: x.use_certificate_chain_file(a.svid + '.svid.pem'); x.use_privatekey_file(a.svid + '.key.pem')
    if a.tls12: x.set_max_proto_version(SSL.TLS1_2_VERSION)
    if a.groups in CURVES:
        from cryptography.hazmat.primitives.asymmetric import ec
        x.set_tmp_ecdh(getattr(ec, CURVES[a.groups])())
    if os.environ.get('PEER_CONF'): os.unlink(os.environ.pop('PEER_CONF'))
    if server: x.set_alpn_select_callback(lambda _, offered: b'http/1.1' if b'http/1.1' in offered else SSL.NO_OVERLAPPING_PROTOCOLS)
    else: x.set_alpn_protos([b'http/1.1'])
    return x

def connect(a, earlier=None):
    """(connection, 'version group peer', its file); the group is '?' where the stack does not tell. `earlier`: a context and a session of it."""
    s = socket.create_connection(('127.0.0.1', a.port), 10)
    if a.stdlib:
        x = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); x.check_hostname = False; x.load_verify_locations(a.bundle); x.set_alpn_protocols(['http/1.1'])
        if not a.no_cert: x.load_cert_chain(a.svid + '.svid.pem', a.svid + '.key.pem')
        if a.tls12: x.maximum_version = ssl.TLSVersion.TLSv1_2
        if a.groups: x.set_ecdh_curve({'P-256': 'prime256v1', 'P-384': 'secp384r1'}[a.groups])
        c = x.wrap_socket(s)
        return c, f'{c.version()} ? {spiffe_id(x509.load_der_x509_certificate(c.getpeercert(True)))}', c
    s.settimeout(None); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 3 if a.probe else 10, 0))
    c = SSL.Connection(earlier[0] if earlier else context(a, False), s); c.set_connect_state()
    if earlier: c.set_session(earlier[1])
    c.do_handshake()
    return c, f'{c.get_protocol_version_name()} {c.get_group_name() or "?"} {spiffe_id(c.get_peer_certificate().to_cryptography())}', File(c)

def client(a):
    first, c = attempt(a)
    if not a.again: return first
    if c is None: return f'{first} then nothing'
    earlier = c.get_context(), c.get_session(); c.shutdown()          # the tickets came before the answers
    if a.between: subprocess.run(a.between, shell=True, check=True)
    second, c = attempt(a, earlier)
    return f'{first} then {"" if c is None else "resumed " if SSL._lib.SSL_session_reused(c._ssl) else "full "}{second}'

def attempt(a, earlier=None):
    """One connection: its line, and the connection if it was of use."""
    try:
        c, seen, sock = connect(a, earlier)
        if a.probe:          # TLS 1.3: the server judges the client's certificate after the client is done, so its alert comes on a read
            if a.stdlib: c.settimeout(3)
            try: return 'OPEN' if c.recv(1) else 'ERROR closed without an alert', None
            except (TimeoutError, SSL.WantReadError): return 'OPEN', None
        h = http.client.HTTPConnection('127.0.0.1', a.port); h.sock = sock; body = b'p' * 200_000
        h.request('GET', '/ping'); r = h.getresponse(); r.read(); get = r.status
        h.request('POST', '/echo', body, {'Content-Type': 'text/plain'}); same = h.getresponse().read() == body
        return f'OK {seen} get={get} post={"same" if same else "differs"}', c
    except SSL.ZeroReturnError: return 'ERROR closed without an alert', None
    except Exception as e:
        m = re.search(r'alert ([a-z ]+)', str(e).lower().replace('_', ' '))
        name = next((n for n in ALERTS if m and m[1].startswith(n)), None)
        return f'ALERT {ALERTS[name]} {name}' if name else f'ERROR {e!r}', None

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def setup(self): self.rfile, self.wfile = io.BufferedReader(File(self.request)), File(self.request)
    def finish(self): self.request.shutdown()
    def log_message(self, *_): pass
    def answer(self):
        if 'chunked' in self.headers.get('Transfer-Encoding', ''):
            body = b''
            while n := int(self.rfile.readline(), 16): body += self.rfile.read(n + 2)[:n]
            self.rfile.readline()
        else: body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        body = body if self.command == 'POST' else b'pong'
        c = self.request; print('SERVED', c.get_protocol_version_name(), c.get_group_name() or '?', spiffe_id(c.get_peer_certificate().to_cryptography()), flush=True)
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
    do_GET = do_POST = answer

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    def process_request_thread(self, s, peer):
        try:
            c = SSL.Connection(self.context, s); c.set_accept_state(); c.do_handshake(); Handler(c, peer, self)
        except Exception as e: print('REFUSED', repr(e)[:200], flush=True)
        finally: self.shutdown_request(s)

def server(a):
    s = Server(('127.0.0.1', a.port), Handler); s.context = context(a, True); s.serve_forever()

def authority(d):
    """DIR/bundle.pem, and P.svid.pem + P.key.pem for P in client, server, ed25519, ml-dsa-65."""
    import pathlib
    from cryptography.hazmat.primitives import hashes, serialization as ser
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
    d = pathlib.Path(d); d.mkdir(parents=True, exist_ok=True); now = datetime.datetime.now(datetime.timezone.utc)
    ca = ec.generate_private_key(ec.SECP256R1()); root = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, 'self-test')])
    def cert(subject, key, *extensions):
        b = (x509.CertificateBuilder().subject_name(subject).issuer_name(root).public_key(key.public_key()).serial_number(x509.random_serial_number())
             .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(hours=1)))
        for e, critical in extensions: b = b.add_extension(e, critical)
        return b.sign(ca, hashes.SHA256()).public_bytes(ser.Encoding.PEM)
    usage = lambda ca: (x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), True)
    spki = x509.SubjectKeyIdentifier.from_public_key(ca.public_key()); auth = (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(spki), False)
    (d / 'bundle.pem').write_bytes(cert(root, ca, (x509.BasicConstraints(True, None), True), usage(True), (spki, False),
                                        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier('spiffe://example.org')]), False)))
    for name, key in (('client', ec.generate_private_key(ec.SECP256R1())), ('server', ec.generate_private_key(ec.SECP256R1())),
                      ('ed25519', ed25519.Ed25519PrivateKey.generate()), ('ml-dsa-65', mldsa.MLDSA65PrivateKey.generate())):
        uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f'spiffe://example.org/{"server" if name == "server" else "client"}')])
        eku = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH])
        (d / f'{name}.svid.pem').write_bytes(cert(x509.Name([]), key, (x509.BasicConstraints(False, None), True), usage(False), (eku, False), auth, (uri, True)))
        (d / f'{name}.key.pem').write_bytes(key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption()))

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('role', choices=['client', 'server', 'authority']); p.add_argument('port')
    for f in ('--svid', '--bundle', '--groups', '--between'): p.add_argument(f)
    for f in ('--tls12', '--no-cert', '--stdlib', '--probe', '--again'): p.add_argument(f, action='store_true')
    a = p.parse_args()
    if a.role == 'authority': authority(a.port); sys.exit()
    a.port = int(a.port); configured(a)
    print(client(a)) if a.role == 'client' else server(a)
