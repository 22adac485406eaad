"""A SPIFFE Workload API server of its own: grpcio, descriptors made here by hand, certificates as SPIRE makes them (cryptography).

spiffe_server.py DIR LEAF [TTL_SECONDS]       LEAF: p256 or ed25519
    The CAs are made in DIR once and read back later: RSA root (the bundle), P-384 intermediate, and an SVID each of TTL for
    spiffe://example.org/client at DIR/client.sock, which comes second after another one, and for /server at DIR/server.sock.
Each line on standard input is done, and answered by a line 'done LINE' after which every open stream has had its message:
    rotate ID      a new SVID for client or server          now ID         prints 'now ID SHA256', of the leaf last served
    revoke ID      the leaf last served, on a CRL of the intermediate, to /server only, with an empty one of the root
    taken ID       waits until somebody has it
    wrong ID       an SVID of which the message states another ID        none ID        from now on PERMISSION_DENIED
"""
import concurrent.futures, datetime, os, sys, threading
import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DIR, LEAF, TTL = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 3600
now = lambda: datetime.datetime.now(datetime.timezone.utc)
der = lambda thing: thing.public_bytes(ser.Encoding.DER)

def messages():
    """X509SVIDRequest, X509SVIDResponse and X509SVID, as the Workload API's specification has them."""
    F = descriptor_pb2.FieldDescriptorProto; f = descriptor_pb2.FileDescriptorProto(name='workload.proto', syntax='proto3')
    def message(into, name, *fields):
        m = into.add(name=name)
        for number, (label, kind, title, of) in enumerate(fields, 1):
            m.field.add(name=title, number=number, label=F.LABEL_REPEATED if label else F.LABEL_OPTIONAL, type=kind, type_name=of)
        return m
    message(f.message_type, 'X509SVIDRequest')
    message(f.message_type, 'X509SVID', (0, F.TYPE_STRING, 'spiffe_id', None), (0, F.TYPE_BYTES, 'x509_svid', None),
            (0, F.TYPE_BYTES, 'x509_svid_key', None), (0, F.TYPE_BYTES, 'bundle', None), (0, F.TYPE_STRING, 'hint', None))
    r = message(f.message_type, 'X509SVIDResponse', (1, F.TYPE_MESSAGE, 'svids', '.X509SVID'), (1, F.TYPE_BYTES, 'crl', None),
                (1, F.TYPE_MESSAGE, 'federated_bundles', '.X509SVIDResponse.FederatedBundlesEntry'))
    e = message(r.nested_type, 'FederatedBundlesEntry', (0, F.TYPE_STRING, 'key', None), (0, F.TYPE_BYTES, 'value', None)); e.options.map_entry = True
    pool = descriptor_pool.DescriptorPool(); pool.Add(f)
    return (message_factory.GetMessageClass(pool.FindMessageTypeByName(n)) for n in ('X509SVIDRequest', 'X509SVIDResponse'))
Request, Response = messages()

# ---- certificates
def usage(**said): return x509.KeyUsage(**{**dict.fromkeys(('digital_signature', 'content_commitment', 'key_encipherment', 'data_encipherment', 'key_agreement',
                                                            'key_cert_sign', 'crl_sign', 'encipher_only', 'decipher_only'), False), **said})
def certificate(subject, key, issuer, issuer_key, seconds, uri, ca):
    names = lambda o: x509.Name([x509.NameAttribute(x509.NameOID.COUNTRY_NAME, 'US'), x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, o)])
    b = (x509.CertificateBuilder().subject_name(names(subject)).issuer_name(issuer.subject if issuer else names(subject)).public_key(key.public_key())
         .serial_number(x509.random_serial_number()).not_valid_before(now() - datetime.timedelta(seconds=10))
         .not_valid_after(now() + datetime.timedelta(seconds=seconds))
         .add_extension(x509.BasicConstraints(ca, None), True).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
         .add_extension(usage(key_cert_sign=True, crl_sign=True) if ca else usage(digital_signature=True, key_encipherment=True, key_agreement=True), True))
    if uri: b = b.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), False)
    if issuer: b = b.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    if not ca: b = b.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]), False)
    return b.sign(issuer_key or key, hashes.SHA384() if isinstance(issuer_key, ec.EllipticCurvePrivateKey) else hashes.SHA256())

def authority():
    """(root, its key, intermediate, its key), made or read back."""
    path = os.path.join(DIR, 'ca.pem')
    if not os.path.exists(path):
        rk, ik = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())
        root = certificate('Upstream', rk, None, None, 86400, None, True)
        inter = certificate('SPIFFE', ik, root, rk, 43200, 'spiffe://example.org', True)
        pem = lambda k: k.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
        with open(path, 'wb') as f: f.write(b'\n\n'.join([root.public_bytes(ser.Encoding.PEM), pem(rk), inter.public_bytes(ser.Encoding.PEM), pem(ik)]))
    with open(path, 'rb') as f: rc, rk, ic, ik = f.read().split(b'\n\n')
    return x509.load_pem_x509_certificate(rc), ser.load_pem_private_key(rk, None), x509.load_pem_x509_certificate(ic), ser.load_pem_private_key(ik, None)
ROOT, ROOT_KEY, INTER, INTER_KEY = authority()

def svid(name):
    """(leaf, the message's fields)"""
    key = ed25519.Ed25519PrivateKey.generate() if LEAF == 'ed25519' else ec.generate_private_key(ec.SECP256R1())
    leaf = certificate('SPIRE', key, INTER, INTER_KEY, TTL, f'spiffe://example.org/{name}', False)
    return leaf, dict(spiffe_id=f'spiffe://example.org/{name}', x509_svid=der(leaf) + der(INTER), bundle=der(ROOT),
                      x509_svid_key=key.private_bytes(ser.Encoding.DER, ser.PrivateFormat.PKCS8, ser.NoEncryption()))

def crl(issuer, key, serials):
    b = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(now()).next_update(now() + datetime.timedelta(hours=1))
    b = b.add_extension(x509.CRLNumber(int(now().timestamp())), False).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
    for s in serials: b = b.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(s).revocation_date(now()).build())
    return der(b.sign(key, hashes.SHA384() if isinstance(key, ec.EllipticCurvePrivateKey) else hashes.SHA256()))

# ---- the API
class Workload:
    """What one socket serves. `version` counts changes; `sent` is the latest that every open stream has had."""
    def __init__(self, name):
        self.name, self.turn, self.version, self.crls, self.refuse, self.streams = name, threading.Condition(), 1, [], False, {}
        self.leaf, self.fields = svid(name)
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        handler = grpc.unary_stream_rpc_method_handler(self.fetch, Request.FromString, Response.SerializeToString)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('SpiffeWorkloadAPI', {'FetchX509SVID': handler}),))
        server.add_insecure_port(f'unix:{DIR}/{name}.sock'); server.start(); self.server = server
    def message(self):
        other = [svid('other')[1]] if self.name == 'client' else []
        return Response(svids=[*other, self.fields], crl=self.crls)
    def fetch(self, _request, context):
        if dict(context.invocation_metadata()).get('workload.spiffe.io') != 'true': context.abort(grpc.StatusCode.INVALID_ARGUMENT, 'security header missing from request')
        had = 0
        context.add_callback(lambda: self.forget(context))
        while context.is_active():
            with self.turn:
                self.streams[context] = had; self.turn.notify_all()
                while had == self.version and context.is_active() and not self.refuse: self.turn.wait(1)
                if self.refuse: self.streams.pop(context, None); self.turn.notify_all(); context.abort(grpc.StatusCode.PERMISSION_DENIED, 'no identity issued')
                if not context.is_active(): return
                had, message = self.version, self.message()
            yield message
    def forget(self, context):
        with self.turn: self.streams.pop(context, None); self.turn.notify_all()
    def change(self, **what):
        with self.turn:
            for k, v in what.items(): setattr(self, k, v)
            self.version += 1; self.turn.notify_all()
            self.turn.wait_for(lambda: all(v == self.version for v in self.streams.values()), 10)

workloads = {name: Workload(name) for name in ('client', 'server')}
print('ready', flush=True)
for line in sys.stdin:
    what, name = line.split(); w = workloads[name]
    if what == 'rotate': leaf, fields = svid(name); w.change(leaf=leaf, fields=fields)
    elif what == 'wrong': w.change(fields={**svid(name)[1], 'spiffe_id': 'spiffe://example.org/somebody'})
    elif what == 'none': w.change(refuse=True)
    elif what == 'revoke': workloads['server'].change(crls=[crl(INTER, INTER_KEY, [w.leaf.serial_number]), crl(ROOT, ROOT_KEY, [])])
    elif what == 'taken':
        with w.turn: w.turn.wait_for(lambda: w.version in w.streams.values(), 60)
    elif what == 'now': print('now', name, w.leaf.fingerprint(hashes.SHA256()).hex(), flush=True)
    print('done', line.strip(), flush=True)
