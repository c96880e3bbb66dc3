// node-postgres: types both ways, prepared statements, errors with their fields, a cursor, notifications.
import pg from "pg";
import Cursor from "pg-cursor";
import { check, where } from "./report.mjs";

const client = new pg.Client(where);
const notices = [];
client.on("notice", (notice) => notices.push(`${notice.severity} ${notice.code} ${notice.message}`));
await client.connect();
const rows = async (text, values) => (await client.query({ text, values, rowMode: "array" })).rows;

await check("table", async () => (await client.query(
  "CREATE TABLE t (id serial PRIMARY KEY, a int[], b numeric(10,2), c jsonb, d timestamptz, e bytea, f uuid, g text UNIQUE, h bool, i interval, j point)"
)).command);
await check("insert", async () => rows(
  "INSERT INTO t (a, b, c, d, e, f, g, h, i, j) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *",
  [[1, 2, null], "12.50", { deep: [1, "x"] }, new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)), Buffer.from([0, 255]),
    "00000000-0000-0000-0000-00000000000a", "ä", true, "1 day 02:03:04", "(1,2)"]));
await check("fields", async () => (await client.query("SELECT * FROM t")).fields.map(
  (f) => [f.name, f.columnID, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format]));
await check("named statement", async () => {
  const answers = [];
  for (const n of [1, 2, 3]) {
    answers.push((await client.query({ name: "twice", text: "SELECT $1::int * 2 AS n, $2::text[] AS s", values: [n, ["a", null]] })).rows);
  }
  return answers;
});
await check("several statements", async () => (await client.query("SELECT 1 AS a; UPDATE t SET h = false; SELECT 'x' AS b")).map(
  (r) => [r.command, r.rowCount, r.rows]));
for (const [name, text] of [
  ["unique", "INSERT INTO t (g) VALUES ('ä')"], ["not null", "INSERT INTO t (id) VALUES (NULL)"],
  ["unknown column", "SELECT nothing FROM t"], ["syntax", "SELEC 1"], ["division", "SELECT 1 / 0"],
  ["text", "SELECT 'x'::int"], ["json", "SELECT '{'::jsonb"],
]) {
  await check(`error: ${name}`, () => client.query(text).then(() => "accepted", (e) => [
    e.severity, e.code, e.message, e.detail, e.hint, e.position, e.where, e.schema, e.table, e.column, e.dataType, e.constraint]));
}
await check("cursor", async () => {
  const cursor = client.query(new Cursor("SELECT n FROM generate_series(1, 10) n"));
  const counts = [(await cursor.read(4)).length, (await cursor.read(4)).length, (await cursor.read(4)).length];
  await cursor.close();
  return counts;
});
await check("notify", async () => {
  const heard = new Promise((resolve) => client.once("notification", (n) => resolve([n.channel, n.payload])));
  await client.query("LISTEN news");
  await client.query("NOTIFY news, 'good'");
  return heard;
});
await check("notices", async () => {
  await client.query("DROP TABLE IF EXISTS none");
  return notices;
});
await check("transaction", async () => {
  await client.query("BEGIN");
  await client.query("SELECT 1 / 0").catch(() => null);
  const refused = await client.query("SELECT 1").catch((e) => e.code);
  await client.query("ROLLBACK");
  return [refused, await rows("SELECT count(*) FROM t")];
});
await check("pool", async () => {
  const pool = new pg.Pool({ ...where, max: 4 });
  const answers = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => pool.query("SELECT $1::int + 1 AS n", [n])));
  await pool.end();
  return answers.map((r) => r.rows[0].n);
});
await client.end();
