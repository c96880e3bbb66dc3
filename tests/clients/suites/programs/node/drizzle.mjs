// drizzle-kit pulls a schema out of the catalogs and pushes one; drizzle-orm asks.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, jsonb, numeric, pgEnum, pgTable, serial, text, timestamp, uniqueIndex } from "drizzle-orm/pg-core";
import pg from "pg";
import { check, where } from "./report.mjs";

const here = import.meta.dirname;
const url = `postgresql://${where.user}@${where.host}:${where.port}/${where.database}`;
const client = new pg.Client(where);
await client.connect();
const db = drizzle(client);
await client.query(`
  CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE SEQUENCE sq START 10 INCREMENT 5;
  CREATE TABLE people (id serial PRIMARY KEY, name varchar(40) NOT NULL UNIQUE, mood mood DEFAULT 'ok', tags text[] DEFAULT '{}',
    doc jsonb, price numeric(10,2) CHECK (price >= 0), born timestamptz DEFAULT now(), twice int GENERATED ALWAYS AS (length(name)) STORED);
  CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who int REFERENCES people (id) ON DELETE CASCADE, day date);
  CREATE INDEX orders_day ON orders (day DESC NULLS LAST, who); CREATE UNIQUE INDEX people_some ON people (lower(name)) WHERE price > 5;
  CREATE VIEW names AS SELECT name, price FROM people`);

const kit = (...args) => execFileSync(process.execPath, [path.join(here, "node_modules/drizzle-kit/bin.cjs"), ...args], { cwd: here, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 120000 });
const out = mkdtempSync(path.join(here, "drizzle-"));
const told = (name) => readFileSync(path.join(out, name), "utf8");
await check("pull", () => { kit("pull", "--dialect=postgresql", `--url=${url}`, `--out=${path.basename(out)}`); return readdirSync(out).filter((name) => name.endsWith(".ts")).sort(); });
await check("pulled schema", () => told("schema.ts"));
await check("pulled relations", () => told("relations.ts"));

const mood = pgEnum("mood", ["sad", "ok"]);
const people = pgTable("people", { id: serial().primaryKey(), name: text().notNull(), mood: mood(), tags: text().array(), doc: jsonb(), price: numeric({ precision: 10, scale: 2 }), born: timestamp({ withTimezone: true }).defaultNow() });
const orders = pgTable("orders", { id: integer().primaryKey().generatedAlwaysAsIdentity(), who: integer().references(() => people.id) });
await check("insert", () => db.insert(people).values([{ name: "Ann", doc: { a: 1 }, tags: ["x"], price: "7.25" }, { name: "Bob", mood: "sad" }]).returning({ id: people.id, tags: people.tags, mood: people.mood }));
await check("upsert", () => db.insert(people).values({ name: "Ann", price: "9" }).onConflictDoUpdate({ target: people.name, set: { price: sql`excluded.price` } }).returning({ price: people.price }));
await check("children", () => db.insert(orders).values([{ who: 1 }, { who: 1 }]).returning());
await check("join", () => db.select({ name: people.name, n: sql`count(${orders.id})` }).from(people).leftJoin(orders, eq(orders.who, people.id)).groupBy(people.name).orderBy(people.name));
await check("transaction", () => db.transaction(async (tx) => {
  await tx.update(people).set({ price: "1" }).where(eq(people.name, "Bob"));
  await tx.transaction(async (inner) => { await inner.delete(people); inner.rollback(); }).catch(() => null);
  return tx.select({ price: people.price }).from(people).orderBy(people.id);
}));

writeFileSync(path.join(out, "pushed.ts"), `
import { pgTable, pgSchema, serial, text, integer, index, uniqueIndex, check, foreignKey } from "drizzle-orm/pg-core";
import { sql } from "drizzle-orm";
export const side = pgSchema("side");
export const one = side.table("one", { id: serial().primaryKey(), name: text().notNull().default("x"), n: integer() },
  (t) => [uniqueIndex("one_name").on(t.name), index("one_n").on(t.n.desc()), check("one_check", sql\`n > 0\`)]);
export const two = side.table("two", { id: integer().primaryKey(), one: integer().references(() => one.id, { onDelete: "set null" }) });
`);
writeFileSync(path.join(out, "drizzle.config.ts"), `
export default { dialect: "postgresql", schema: "${path.join(path.basename(out), "pushed.ts")}", schemaFilter: ["side"],
  dbCredentials: { url: "${url}" } };
`);
const push = () => kit("push", `--config=${path.join(path.basename(out), "drizzle.config.ts")}`, "--force").split("\n").filter((line) => /\[|No changes/.test(line)).slice(-1);
await check("push", push);
await check("push again", push);
await check("pushed", async () => (await client.query("SELECT table_name, column_name, data_type, column_default FROM information_schema.columns WHERE table_schema = 'side' ORDER BY 1, ordinal_position")).rows);
await client.end();
