"""The published SPIFFE client (PyPI spiffe) against `pqlane authority serve`. usage: spiffe_client.py PQLANE DIR

What the client gives is judged by OpenSSL (pyOpenSSL), path and CRL. The client itself leaves out hints and CRLs, so those are read
from the same messages of its own generated workload.proto.
"""
import datetime, os, shutil, subprocess, sys, threading, time
import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import crypto
from spiffe import TrustDomain, WorkloadApiClient, X509Source
from spiffe._proto import workload_pb2, workload_pb2_grpc
from ok import check, close

PQLANE, DIR = os.path.abspath(sys.argv[1]), sys.argv[2]; os.chdir(DIR)
HERE, THERE = TrustDomain('example.org'), TrustDomain('example.com')
KINDS = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'ed25519', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87']
now = lambda: datetime.datetime.now(datetime.timezone.utc)
path = os.path.join

def pqlane(*arguments): subprocess.run([PQLANE, 'authority', *arguments], check=True, stdout=subprocess.DEVNULL)

class Serving:
    """`authority serve` in the background, and a client of it by a relative path, which is a proper :authority too."""
    def __init__(self, ca, socket, *arguments):
        self.socket, self.log = socket, open('serve.log', 'ab')
        if os.path.exists(self.socket): os.unlink(self.socket)
        self.process = subprocess.Popen([PQLANE, 'authority', 'serve', '--dir', path(ca), '--socket', self.socket, *arguments], stdout=self.log, stderr=self.log)
        until(lambda: os.path.exists(self.socket), 10)
        self.client = WorkloadApiClient(f'unix:{self.socket}', default_timeout=5)
    def message(self, call='FetchX509SVID', request=workload_pb2.X509SVIDRequest()):
        stream = getattr(self.client._spiffe_workload_api_stub, call)(request, timeout=5)
        first = next(stream); stream.cancel(); return first
    def stop(self): self.process.terminate(); self.process.wait(10)

def until(condition, seconds):
    """Waits for a condition; how long that took, or None."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition(): return time.monotonic() - began
        time.sleep(.02)
    return None

def refused(chain, roots, crls=()):
    """Why OpenSSL does not accept a chain, in either role; None if it does."""
    store = crypto.X509Store()
    for root in roots: store.add_cert(crypto.X509.from_cryptography(root))
    for crl in crls: store.add_crl(crl)
    if crls: store.set_flags(crypto.X509StoreFlags.CRL_CHECK)
    leaf, *more = (crypto.X509.from_cryptography(c) for c in chain)
    try: crypto.X509StoreContext(store, leaf, more).verify_certificate(); return None
    except crypto.X509StoreContextError as e: return str(e)

def holds_key(svid):
    spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return svid.private_key.public_key().public_bytes(*spki) == svid.leaf.public_key().public_bytes(*spki)

def usable(name, context, count):
    for svid in context.x509_svids:
        roots = context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain).x509_authorities
        why = refused(svid.cert_chain, roots)
        check(f'{name}: {svid.spiffe_id} verifies with OpenSSL and has its key', why is None and holds_key(svid), why)
    check(f'{name}: {count} SVIDs', len(context.x509_svids) == count, context.x509_svids)

def fetched(s):
    context = s.client.fetch_x509_context()
    check('the default SVID is the first', str(context.default_svid.spiffe_id) == 'spiffe://example.org/a', context.default_svid.spiffe_id)
    usable('context', context, 3)
    message = s.message(); hints = [(v.spiffe_id, v.hint) for v in message.svids]
    check('hints', hints == [('spiffe://example.org/a', ''), ('spiffe://example.org/b', 'internal'), ('spiffe://example.org/c', 'long')], hints)
    left = context.default_svid.leaf.not_valid_after_utc - now()
    check('the leaf lasts as long as asked for', datetime.timedelta(seconds=1) <= left <= datetime.timedelta(seconds=7), left)
    check('the socket is its owner\'s alone', os.stat(s.socket).st_mode & 0o777 == 0o600)
    bundles = s.client.fetch_x509_bundles(); mine = bundles.get_bundle_for_trust_domain(HERE)
    with open(path('ca', 'bundle.pem'), 'rb') as f: roots = set(x509.load_pem_x509_certificates(f.read()))
    check('the bundle is that of the file', mine is not None and set(mine.x509_authorities) == roots)
    check('SVID and bundle calls agree', mine == context.x509_bundle_set.get_bundle_for_trust_domain(HERE))

def rules(s):
    # Not a check, since it is not ours to decide: gRPC's C core sends the percent-encoded path of a Unix socket as :authority,
    # run%2Fapi.sock for unix:/run/api.sock, and the h2 crate refuses that as malformed. Relative paths have no %2F.
    try: found = str(WorkloadApiClient(f'unix:{os.path.abspath(s.socket)}', default_timeout=5).fetch_x509_svid().spiffe_id)
    except Exception as e: found = f'refused: {type(e).__name__}'
    print(f'note: a gRPC C-core client that names the socket by its absolute path: {found}', file=sys.stderr)
    with grpc.insecure_channel(f'unix:{s.socket}') as channel:
        stub = workload_pb2_grpc.SpiffeWorkloadAPIStub(channel)
        for call, request in (('FetchX509SVID', workload_pb2.X509SVIDRequest()), ('FetchX509Bundles', workload_pb2.X509BundlesRequest())):
            try: next(getattr(stub, call)(request, timeout=5)); code = 'answered'
            except grpc.RpcError as e: code = e.code().name
            check(f'{call} without the security header is an invalid argument', code == 'INVALID_ARGUMENT', code)
    try: s.client._spiffe_workload_api_stub.FetchJWTSVID(workload_pb2.JWTSVIDRequest(audience=['x']), timeout=5); code = 'answered'
    except grpc.RpcError as e: code = e.code().name
    check('the JWT profile is said not to be there', code == 'UNIMPLEMENTED', code)

def rotation(s):
    """The client's own source follows the stream; the SVID in hand is valid at every moment."""
    seen, invalid, done = [], [], threading.Event()
    source = X509Source(socket_path=f'unix:{s.socket}', timeout_in_seconds=5)
    def current():
        context = source.get_x509_context(); leaf = context.default_svid.leaf
        why = refused(context.default_svid.cert_chain, context.x509_bundle_set.get_bundle_for_trust_domain(HERE).x509_authorities)
        if why: invalid.append(why)
        if leaf.serial_number not in seen: seen.append(leaf.serial_number)
        if len(seen) >= 4: done.set()
        return leaf
    source.subscribe_for_updates(current); current()
    while not done.is_set() and current().not_valid_after_utc + datetime.timedelta(seconds=5) > now(): done.wait(.1)
    check('the source sees three rotations', len(seen) >= 4, f'{len(seen)} SVIDs')
    check('the SVID in hand was always valid', not invalid, invalid)
    return source

def revocation(s):
    before = [crypto_crl(c) for c in s.message().crl]
    check('a CRL, empty and signed by the root', len(before) == 1 and len(before[0]) == 0
          and before[0].is_signature_valid(next(iter(s.client.fetch_x509_bundles().get_bundle_for_trust_domain(HERE).x509_authorities)).public_key()))
    context = s.client.fetch_x509_context(); c = next(v for v in context.x509_svids if v.spiffe_id.path == '/c')
    serial = c.leaf.serial_number; pqlane('revoke', '--dir', path('ca'), '--serial', f'{serial:x}')
    listed = lambda: any(crl.get_revoked_certificate_by_serial_number(serial) for crl in map(crypto_crl, s.message().crl))
    took = until(listed, 5); check('a revoked SVID is on the pushed CRL within 1 s', took is not None and took < 1, took)
    crls = [crypto_crl(crl) for crl in s.message().crl]
    roots = context.x509_bundle_set.get_bundle_for_trust_domain(HERE).x509_authorities
    check('OpenSSL refuses it by that CRL', 'revoked' in (refused(c.cert_chain, roots, crls) or ''), refused(c.cert_chain, roots, crls))
    fresh = s.client.fetch_x509_context().default_svid
    check('and accepts another', refused(fresh.cert_chain, roots, crls) is None, refused(fresh.cert_chain, roots, crls))
    again = [crypto_crl(crl) for crl in s.message('FetchX509Bundles', workload_pb2.X509BundlesRequest()).crl]
    check('the bundle call has the same CRL', again == crls)
crypto_crl = x509.load_der_x509_crl

def federation(s, source):
    foreign = lambda: source.get_bundle_for_trust_domain(THERE)
    check('not federated at first', foreign() is None)
    shutil.copy(path('other', 'bundle.pem'), path('friends', 'example.com.pem'))
    took = until(foreign, 5); check('a federated bundle arrives within 1 s', took is not None and took < 1, took)
    with open(path('other', 'bundle.pem'), 'rb') as f: roots = set(x509.load_pem_x509_certificates(f.read()))
    check('it is that of the file', foreign() and set(foreign().x509_authorities) == roots)
    pqlane('issue', '--dir', path('other'), '--id', 'spiffe://example.com/guest', '--out', path('guest'))
    with open(path('guest.svid.pem'), 'rb') as f: guest = x509.load_pem_x509_certificates(f.read())
    check('a guest verifies by it', refused(guest, foreign().x509_authorities) is None)
    check('and not by our own', refused(guest, source.get_bundle_for_trust_domain(HERE).x509_authorities) is not None)
    os.unlink(path('friends', 'example.com.pem'))
    took = until(lambda: foreign() is None, 5); check('and is gone within 1 s of its withdrawal', took is not None and took < 1, took)

def story():
    pqlane('init', '--dir', path('ca'), '--trust-domain', 'example.org')
    pqlane('init', '--dir', path('other'), '--trust-domain', 'example.com'); os.mkdir(path('friends'))
    serve = lambda: Serving('ca', 'api.sock', '--ttl', '6s', '--svid', 'spiffe://example.org/a', '--svid', 'spiffe://example.org/b,hint=internal',
                            '--svid', 'spiffe://example.org/c,hint=long,ttl=1h', '--federated', path('friends'))
    s = serve()
    fetched(s); rules(s); source = rotation(s); revocation(s); federation(s, source)
    last = source.get_x509_context().default_svid.leaf.serial_number
    s.stop(); check('the socket is gone with its server', not os.path.exists(s.socket)); s = serve()
    took = until(lambda: source.get_x509_context().default_svid.leaf.serial_number != last, 20)
    check('the source finds a restarted server', took is not None)
    crls = [crypto_crl(c) for c in s.message().crl]
    check('which remembers what was revoked', len(crls) == 1 and len(crls[0]) == 1, crls)
    source.close(); s.stop()

def kinds():
    for ca, leaf, more in [(k, k, []) for k in KINDS] + [('ml-dsa-65', 'ecdsa-p256', []), ('rsa-2048', 'ecdsa-p256', ['--intermediate=ecdsa-p384'])]:
        name = ' '.join([ca, 'CA,', *more, leaf, 'leaf']); folder = f'kind-{ca}-{leaf}-{len(more)}'
        pqlane('init', '--dir', path(folder), '--trust-domain', 'example.org', '--ca-key', ca, *more)
        s = Serving(folder, f'{folder}.sock', '--svid', f'spiffe://example.org/a,key={leaf}')
        try: usable(name, s.client.fetch_x509_context(), 1)
        except Exception as e: check(f'{name}: the client reads it', False, repr(e))
        s.stop()

story(); kinds(); close()
