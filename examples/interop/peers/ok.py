"""One line per check, 'ok NAME' or 'FAIL NAME | detail', and a closing count: what summarize.py compares."""
import sys
passed = failed = 0

def check(name, cond, detail=''):
    global passed, failed
    if cond: passed += 1; print('ok', name)
    else: failed += 1; print('FAIL', name, '|', str(detail).replace('\n', ' ')[:400])

def close():
    print(f'{passed} passed, {failed} failed'); sys.exit(failed > 0)
