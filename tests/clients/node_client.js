// node pg as people use it: a client, parameters, a transaction. Ends with "ok".
const assert = require('node:assert');
const fs = require('node:fs');
const { Client } = require('pg');

async function main() {
  const client = new Client({
    ssl: { ca: fs.readFileSync(process.env.PGSSLROOTCERT, 'utf8') },
  });
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
