// Scenarios of test_node.py: node drill.mjs SCENARIO HOST PORT [HOSTS]; speaks JSON lines, waits for a line on stdin
// where the test has to kill the writer.
import readline from "node:readline";
import pg from "pg";
import { AwsPGClient } from "aws-advanced-nodejs-wrapper/pg";
import { FailoverSuccessError } from "aws-advanced-nodejs-wrapper";

const [scenario, host, port, hosts] = process.argv.slice(2);
const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));
const WHO = "SELECT aurora_db_instance_identifier() AS id, pg_is_in_recovery() AS reader";

function wrapped(plugins) {
  return new AwsPGClient({
    host, port: Number(port), user: "postgres", database: "postgres", plugins,
    clusterInstanceHostPattern: "127.0.0.?", failoverTimeoutMs: 40000,
  });
}

async function failover() {
  const client = wrapped("failover2");
  await client.connect();
  const before = (await client.query(WHO)).rows[0];
  await client.query("INSERT INTO through_node VALUES (1)");
  say({ before });
  await input.next();
  const begun = performance.now();
  let error = null;
  try {
    for (;;) await client.query("SELECT 1");
  } catch (raised) {
    error = raised;
  }
  await client.query("INSERT INTO through_node VALUES (2)");
  const seconds = (performance.now() - begun) / 1000;
  const after = (await client.query(WHO)).rows[0];
  say({ success: error instanceof FailoverSuccessError, message: String(error), after, seconds });
  await client.end();
}

async function splitting() {
  const client = wrapped("readWriteSplitting");
  await client.connect();
  const writer = (await client.query(WHO)).rows[0];
  await client.setReadOnly(true);
  const reader = (await client.query(WHO)).rows[0];
  await client.setReadOnly(false);
  say({ writer, reader, again: (await client.query(WHO)).rows[0] });
  await client.end();
}

// pg itself knows one host: the pool of an application goes to an address that always leads to the writer.
async function pool() {
  const connections = new pg.Pool({ host, port: Number(port), user: "postgres", database: "postgres", max: 4 });
  connections.on("error", () => {});
  await connections.query("INSERT INTO through_node VALUES (1)");
  say({ before: (await connections.query(WHO)).rows[0] });
  await input.next();
  const begun = performance.now();
  for (;;) {
    try {
      await connections.query("INSERT INTO through_node VALUES (2)");
      break;
    } catch (error) {
      if (performance.now() - begun > 30000) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  const seconds = (performance.now() - begun) / 1000;
  say({ after: (await connections.query(WHO)).rows[0], seconds });
  await connections.end();
}

await { failover, splitting, pool }[scenario]();
process.exit(0);
