"""A2A push notifications: registers a webhook with the agent and checks that the agent's POST arrives as sent.
usage: a2a_push.py BASE_URL LISTEN_PORT [WEBHOOK_URL]   (the agent runs with PUSH=1; WEBHOOK_URL when it goes through a lane)"""
import asyncio, json, sys, httpx
from ok import check, close
base, port = sys.argv[1], int(sys.argv[2])
hook = sys.argv[3] if len(sys.argv) > 3 else f'http://127.0.0.1:{port}/hook'
got = []

async def handle(r, w):
    head = (await r.readuntil(b'\r\n\r\n')).decode().lower()
    n = next((int(l.split(':')[1]) for l in head.split('\r\n') if l.startswith('content-length:')), None)
    if n is None:                                         # a proxy may turn a counted body into a chunked one
        body = b''
        while size := int(await r.readline(), 16): body += (await r.readexactly(size + 2))[:-2]
        await r.readline()
    else: body = await r.readexactly(n)
    got.append((head, json.loads(body)))
    w.write(b'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'); await w.drain(); w.close()

async def main():
    async with await asyncio.start_server(handle, '127.0.0.1', port), httpx.AsyncClient(timeout=20) as h:
        await h.post(base + '/', headers={'A2A-Version': '1.0'}, json={'jsonrpc': '2.0', 'id': 1, 'method': 'SendMessage', 'params': {
            'message': {'messageId': 'tck-artifact-text-p', 'role': 'ROLE_USER', 'parts': [{'text': 'x'}]},
            'configuration': {'taskPushNotificationConfig': {'url': hook, 'token': 'tok', 'authentication': {'scheme': 'Bearer', 'credentials': 'c'}}}}})
        for _ in range(100):
            if len(got) >= 3: break
            await asyncio.sleep(.05)
    head = got[0][0] if got else ''
    print(len(got), 'webhook posts:', [list(b) for _, b in got])
    check('push', len(got) == 3 and 'x-a2a-notification-token: tok' in head and 'authorization: bearer c' in head, got)
asyncio.run(main()); close()
