"""The same messages to the gate and to PostgreSQL: the same replies. Ends with "ok"."""

import sys

from frames import DONE, FLUSH, SYNC, bind, by_gate, call, close, data, describe, direct, execute, fail, parse, query, seen


def run(sql):
    return parse("", sql), bind(), execute()


SEQUENCES = {
 'parse err mid':[*run('select 1'),*run('selec'),SYNC],
 'bind err':[parse('a','select $1::int'),bind('','a',[b'x']),execute(),SYNC],
 'exec err':[*run('select 1/0'),*run('select 2'),SYNC],
 'err then 2nd seg':[*run('select 1/0'),SYNC,*run('select 2'),SYNC],
 'misspelt first':[parse('','select nosuch from orders'),bind('',''),describe('P',''),execute(),SYNC],
 'close+parse misspelt':[close('S','zz'),*run('select nosuch from orders'),SYNC],
 'parse ok + parse bad':[parse('ok','select 1'),*run('select nosuch from orders'),SYNC,bind('','ok'),execute(),SYNC],
 'ok exec + misspelt':[*run('select 1'),*run('select nosuch from orders'),SYNC],
 'misspelt second seg':[*run('select 1'),SYNC,*run('select nosuch from orders'),SYNC],
 'misspelt in tx':[query('begin'),*run('select nosuch from orders'),SYNC,query('rollback')],
 'close+misspelt in tx':[query('begin'),close('S','zz'),*run('select nosuch from orders'),SYNC,query('select 1'),query('rollback')],
 'bind nosuch':[bind('','nosuch'),execute(),SYNC],
 'bind nosuch in tx':[query('begin'),bind('','nosuch'),execute(),SYNC,query('select 1'),query('rollback')],
 'bind nosuch behind parse':[parse('q1','select 1'),bind('','nosuch'),execute(),SYNC,bind('','q1'),execute(),SYNC],
 'bind nosuch behind exec':[*run('select 1'),bind('','nosuch'),execute(),SYNC],
 'bind unnamed nosuch':[bind('',''),execute(),SYNC],
 'exec nosuch':[execute('nosuch'),SYNC],
 'exec unnamed nosuch':[execute(),SYNC],
 'exec nosuch in tx':[query('begin'),execute('nosuch'),SYNC,query('rollback')],
 'exec nosuch after flush':[parse('','select 1'),bind('',''),FLUSH,execute('nosuch'),SYNC],
 'describe nosuch':[describe('S','nosuch'),SYNC,describe('P','nosuch'),SYNC],
 'describe nosuch mid':[*run('select 1'),describe('S','nosuch'),execute(),SYNC],
 'close nosuch':[close('S','nosuch'),close('P','nosuch'),SYNC],
 'close cursor nosuch':[query('close nosuch'),query('deallocate nosuch')],
 'empty q':[query(''),query(';'),query('  -- x\n'),query(';;select 1;;')],
 'empty ext':[parse('',''),bind('',''),describe('P',''),execute(),SYNC],
 'syncs':[SYNC,SYNC,SYNC,parse('','select 1'),SYNC,SYNC,bind('',''),SYNC,execute(),SYNC,SYNC],
 'flushes':[FLUSH,FLUSH,parse('','select 1'),FLUSH,bind('',''),FLUSH,FLUSH,execute(),FLUSH,SYNC,FLUSH],
 'query in unsynced':[*run('select 1'),query('select 2'),execute(),SYNC],
 'query in unsynced err':[*run('select 1/0'),query('select 2'),SYNC,query('select 3')],
 'unnamed stmt dropped by query':[parse('','select 1'),SYNC,query('select 2'),bind('',''),execute(),SYNC],
 'unnamed stmt kept by F':[parse('','select 1'),SYNC,call(957,[b'0']) ,bind('',''),execute(),SYNC],
 'F in unsynced':[*run('select 1'),call(957,[b'0']),SYNC],
 'F in unsynced err':[*run('select 1/0'),call(957,[b'0']),SYNC,call(957,[b'0'])],
 'F bad count':[call(957,[]),call(957,[b'0',b'1']),call(957,[b'x']),call(957,[None]),query('select 1')],
 'suspend':[query('begin'),parse('','select g from generate_series(1,5) g'),bind('p',''),execute('p',2),SYNC,execute('p',2),SYNC,execute('p',2),SYNC,execute('p',2),SYNC,query('commit')],
 'suspend no tx':[parse('','select g from generate_series(1,5) g'),bind('p',''),execute('p',2),execute('p',2),SYNC,execute('p',2),SYNC],
 'suspend then close':[query('begin'),parse('','select g from generate_series(1,5) g'),bind('p',''),execute('p',2),close('P','p'),execute('p',2),SYNC,query('rollback')],
 'exec twice done':[*run('select 1'),execute(),SYNC],
 'exec twice insert':[*run('create temp table tt(a int)'),SYNC,*run('insert into tt values(1)'),execute(),SYNC,query('select count(*) from tt'),query('drop table tt')],
 'multi stmt':[query('select 1; select 2; select 1/0; select 3')],
 'multi parse':[*run('select 1; select 2'),SYNC],
 'implicit rollback':[query('create temp table tq(a int)'),*run('insert into tq values (1)'),*run('select 1/0'),SYNC,query('select count(*) from tq'),query('drop table tq')],
 'begin in pipeline':[*run('begin'),*run('select 1'),SYNC,*run('select 2'),*run('commit'),SYNC],
 'tx err states':[query('begin'),query('select 1/0'),query('select 1'),*run('select 1'),SYNC,*run('rollback'),SYNC],
 'dup named':[parse('dup','select 1'),parse('dup','select 2'),bind('','dup'),execute(),SYNC,bind('','dup'),execute(),SYNC,close('S','dup'),SYNC],
 'copy in simple':[query('create temp table tc(a int)'),query('copy tc from stdin'),data(b'1\n2\n'),DONE,query('copy tc from stdin'),data(b'1\nx\n'),DONE,query('copy tc from stdin'),fail('no'),query('select count(*) from tc'),query('drop table tc')],
 'copy in ext':[query('create temp table tc(a int)'),*run('copy tc from stdin'),SYNC,data(b'1\n'),DONE,SYNC,query('select count(*) from tc'),query('drop table tc')],
 'copy in ext sync storm':[query('create temp table tc(a int)'),*run('copy tc from stdin'),SYNC,SYNC,SYNC,FLUSH,data(b'1\n'),SYNC,data(b'2\n'),DONE,SYNC,SYNC,query('drop table tc')],
 'copy in ext err':[query('create temp table tc(a int)'),*run('copy tc from stdin'),data(b'x\n'),DONE,*run('select 1'),SYNC,query('select count(*) from tc'),query('drop table tc')],
 'copy in ext fail':[query('create temp table tc(a int)'),*run('copy tc from stdin'),data(b'1\n'),fail('no'),SYNC,query('select count(*) from tc'),query('drop table tc')],
 'copy in bad msg':[query('create temp table tc(a int)'),query('copy tc from stdin'),data(b'1\n'),query('select 1'),query('select 2'),query('drop table tc')],
 'copy in ext bad msg':[query('create temp table tc(a int)'),*run('copy tc from stdin'),SYNC,data(b'1\n'),parse('','select 1'),SYNC,query('select 2'),query('drop table tc')],
 'copy out':[query('copy (select g from generate_series(1,3) g) to stdout'),*run('copy (select 1) to stdout'),SYNC],
 'copy err late':[query('copy (select 1/(3-g) from generate_series(1,5) g) to stdout'),query('select 1')],
 'copydata stray':[data(b'x'),DONE,fail('x'),query('select 1')],
 'copydone in seg':[parse('','select 1'),DONE,bind('',''),data(b'x'),execute(),SYNC],
 'declare+exec':[query('begin'),query('declare cc cursor for select 1'),execute('cc'),SYNC,query('fetch cc'),query('close cc'),execute('cc'),SYNC,query('rollback')],
 'bind+fetch':[query('begin'),parse('','select g from generate_series(1,3) g'),bind('bp',''),SYNC,query('fetch 1 from bp'),execute('bp'),SYNC,query('commit')],
 'prepare+bind':[query('prepare pp as select 7'),bind('','pp'),execute(),SYNC,query('deallocate pp'),bind('','pp'),execute(),SYNC],
 'parse+deallocate':[parse('pd','select 7'),SYNC,query('deallocate pd'),bind('','pd'),execute(),SYNC,parse('pd','select 8'),bind('','pd'),execute(),SYNC,query('deallocate all'),describe('S','pd'),SYNC,bind('','pd'),execute(),SYNC],
 'discard':[parse('px','select 7'),SYNC,query('discard all'),bind('','px'),execute(),SYNC],
 'portal gone at commit':[query('begin'),parse('','select g from generate_series(1,3) g'),bind('pg1',''),execute('pg1',1),SYNC,query('commit'),execute('pg1'),SYNC],
 'portal named dup':[parse('','select 1'),bind('pz',''),bind('pz',''),execute('pz'),SYNC],
 'savepoints':[query('begin'),query('savepoint a'),query('select 1/0'),query('rollback to a'),query('select 1'),query('commit')],
 'set bad':[query('set nosuch_guc = 1'),query("set timezone = 'Nowhere/No'"),query('show nosuch')],
 'listen':[query('listen zz'),query("notify zz, 'x'"),*run('select 1'),SYNC,query('unlisten *')],
 'vacuum in tx':[*run('select 1'),*run('vacuum products'),SYNC],
 'null bytes':[parse('','select $1::text',[25]),bind('','',[None]),execute(),SYNC],
 'many':[x for i in range(50) for x in (parse('','select %d'%i),bind('',''),describe('P',''),execute(),SYNC)],
 'long pipeline':[x for i in range(200) for x in run('select %d'%i)]+[SYNC],
 'long pipeline err':[x for i in range(200) for x in run('select 1/(%d-150)'%i)]+[SYNC,query('select 1')],
}


def play(session, frames):
    session.send(*frames, query("select 'the end'"))
    replies = []
    while not replies or replies[-1][0] not in (None, "EOF"):
        replies += session.replies()
        if any(tag == "D" and b"the end" in body for tag, body in replies[-5:]):
            break
    session.end()
    return seen(it for it in replies if it[0] != "S")


different = 0
for name, frames in SEQUENCES.items():
    if len(sys.argv) > 1 and name not in sys.argv[1:]:
        continue
    expected, got = play(direct(), frames), play(by_gate(), frames)
    if expected != got:
        different += 1
        print(f"{name}:", *expected, "but by the gate:", *got, sep="\n  ")
print("ok" if not different else f"{different} differ")
