// postgres.js as people use it: pipelined prepared statements, a transaction, cursors, COPY. Ends with "ok".
const assert = require('node:assert');
const fs = require('node:fs');
const { once } = require('node:events');
const postgres = require('postgres');

async function main() {
  const notices = [];
  const sql = postgres({
    max: 1,
    ssl: { ca: fs.readFileSync(process.env.PGSSLROOTCERT, 'utf8') },
    onnotice: (notice) => notices.push(notice.message),
  });

  // Held, and released from outside; then by the grant.
  const [held] = await sql`select full_name, ssn from customers where id = ${1}`;
  assert.strictEqual(held.ssn, '901-00-0001');
  assert.ok(notices.some((text) => text.startsWith('stepgate: ')), notices.join());
  const [granted] = await sql`select ssn from customers where id = ${2}`;
  assert.match(granted.ssn, /^9/);

  // Held, and denied by others: an error of the statement.
  await assert.rejects(sql`create table copied as select ssn from customers`, (error) => error.code === '42501');

  // Held, and cancelled by its sender.
  const cancelled = sql`select salary from hr.employees`.execute();
  setTimeout(() => cancelled.cancel(), 1000);
  await assert.rejects(cancelled, (error) => error.code === '57014');

  // One that runs as well; the server itself is asked whether it does, and whether it still does.
  const direct = postgres({
    port: process.env.DIRECT_PORT, user: 'stepgate_analyst', password: process.env.DIRECT_PASSWORD, ssl: false, max: 1,
  });
  const [{ pid }] = await sql`select pg_backend_pid() as pid`;
  const runs = async () => (await direct`select 1 from pg_stat_activity
    where pid = ${pid} and state = 'active' and query like '%pg_sleep%'`).length > 0;
  const sleeping = sql`select pg_sleep(600)`.execute();
  const stopped = assert.rejects(sleeping, (error) => error.code === '57014');
  while (!(await runs())) await new Promise((later) => setTimeout(later, 20));
  sleeping.cancel();
  await stopped;
  assert.ok(!(await runs()));
  await direct.end();

  // Several statements before the first answer.
  const many = await Promise.all([1, 2, 3, 4, 5].map((id) => sql`select name from products where id = ${id}`));
  assert.ok(many.every((rows) => rows.length === 1));

  let seen = 0;
  await sql`select id from products order by id`.cursor(7, (rows) => { seen += rows.length; });
  assert.strictEqual(seen, 200);

  await sql.begin(async (sql) => {
    const into = await sql`copy products from stdin`.writable();
    into.end('999\tcopied\thome\t2\n');
    await once(into, 'finish');
    const out = [];
    for await (const piece of await sql`copy (select name from products where id >= 900) to stdout`.readable()) {
      out.push(piece.toString());
    }
    assert.strictEqual(out.join('').trim(), 'copied');
    throw new Error('back');
  }).catch((error) => assert.strictEqual(error.message, 'back'));

  // The simple protocol, several statements in a message.
  const several = await sql`select 1 as a; select 2 as a`.simple();
  assert.deepStrictEqual(several.map((rows) => rows[0].a), [1, 2]);

  await assert.rejects(sql`select 1/0`, (error) => error.code === '22012');
  const [{ n }] = await sql`select count(*)::int as n from products`;
  assert.strictEqual(n, 200);
  await sql.end();
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
