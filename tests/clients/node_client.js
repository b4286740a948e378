// node pg as people use it: a client, parameters, a transaction. Ends with "ok".
const assert = require('node:assert');
const { once } = require('node:events');
const fs = require('node:fs');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { setTimeout } = require('node:timers/promises');
const { Client, Query } = require('pg');
const { from: copyFrom, to: copyTo } = require('pg-copy-streams');

async function main() {
  const ssl = { ca: fs.readFileSync(process.env.PGSSLROOTCERT, 'utf8') };
  const client = new Client({ ssl });
  const notices = [];
  client.on('notice', (notice) => notices.push(notice.message));
  await client.connect();

  const held = await client.query('select full_name, ssn from customers where id = $1', [1]);
  assert.strictEqual(held.rows[0].ssn, '901-00-0001');
  assert.ok(notices.some((text) => text.startsWith('stepgate: ')), notices.join());

  await client.query('begin');
  const granted = await client.query({ name: 'by-id', text: 'select ssn from customers where id = $1', values: [2] });
  assert.match(granted.rows[0].ssn, /^9/);
  await client.query({ name: 'by-id', text: 'select ssn from customers where id = $1', values: [3] });
  await client.query('commit');
  assert.strictEqual(notices.length, 1);

  // Held, and denied by others: an error of the statement.
  await assert.rejects(client.query('create table copied as select ssn from customers'), (error) => error.code === '42501');

  // Held, and cancelled by its sender.
  const salaries = new Query('select salary from hr.employees');
  const cancelled = once(salaries, 'error');
  client.query(salaries);
  setTimeout(1000).then(() => new Client({ ssl }).cancel(client, salaries));
  assert.strictEqual((await cancelled)[0].code, '57014');

  // A statement that runs is cancelled as well; the server itself is asked whether it does, and whether it still does.
  const direct = new Client({
    port: process.env.DIRECT_PORT, user: 'stepgate_analyst', password: process.env.DIRECT_PASSWORD, ssl: false,
  });
  await direct.connect();
  const active = "select 1 from pg_stat_activity where pid = $1 and state = 'active' and query like '%pg_sleep%'";
  const runs = async () => (await direct.query(active, [client.processID])).rowCount > 0;
  const sleeping = new Query('select pg_sleep(600)');
  const stopped = once(sleeping, 'error');
  client.query(sleeping);
  while (!(await runs())) await setTimeout(20);
  new Client({ ssl }).cancel(client, sleeping);
  assert.strictEqual((await stopped)[0].code, '57014');
  assert.ok(!(await runs()));
  await direct.end();

  // The simple protocol, several statements in a message, and an error among them.
  const several = await client.query('select 1 as a; select 2 as a');
  assert.deepStrictEqual(several.map((one) => one.rows[0].a), [1, 2]);
  await assert.rejects(client.query('select 1; select 1/0; select 2'), (error) => error.code === '22012');

  // A pipeline: several messages before the first answer, of which one is an error.
  const pipelining = new Client({ ssl, pipeline: true });
  await pipelining.connect();
  const texts = [1, 2, 3, 0, 4].map((n) => pipelining.query('select 12 / $1::int as n', [n]));
  const settled = await Promise.allSettled(texts);
  assert.deepStrictEqual(settled.map((it) => it.reason?.code ?? it.value.rows[0].n), [12, 6, 4, '22012', 3]);
  await pipelining.end();

  await client.query('begin');
  await pipeline(Readable.from(['999\tcopied\thome\t2\n']), client.query(copyFrom('copy products from stdin')));
  const out = [];
  for await (const piece of client.query(copyTo('copy (select name from products where id >= 900) to stdout'))) {
    out.push(piece.toString());
  }
  assert.strictEqual(out.join('').trim(), 'copied');
  await client.query('rollback');

  await assert.rejects(client.query('grant select on customers to public'), (error) => error.code === '42501');
  const products = await client.query('select count(*)::int as n from products');
  assert.strictEqual(products.rows[0].n, 200);
  await client.end();
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
