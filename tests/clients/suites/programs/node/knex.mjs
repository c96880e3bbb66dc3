// Knex: the schema builder's forms, queries, transactions, migrations, column information.
import makeKnex from "knex";
import { check, where } from "./report.mjs";

const knex = makeKnex({ client: "pg", connection: where, pool: { min: 0, max: 2 } });

await check("create", async () => {
  await knex.schema.createSchemaIfNotExists("side");
  await knex.schema.createTable("people", (t) => {
    t.increments();
    t.string("name", 40).notNullable().index();
    t.enu("mood", ["sad", "ok"], { useNative: true, enumName: "mood" });
    t.jsonb("doc").defaultTo({ a: 1 });
    t.specificType("tags", "text[]");
    t.decimal("price", 10, 3).checkPositive();
    t.uuid("code").defaultTo(knex.fn.uuid());
    t.timestamps(true, true);
    t.comment("everybody");
    t.unique(["name", "price"], { nullsNotDistinct: true, indexName: "people_once" });
  });
  await knex.schema.withSchema("side").createTable("orders", (t) => {
    t.bigIncrements("id");
    t.integer("who").references("id").inTable("public.people").onDelete("CASCADE").onUpdate("RESTRICT").deferrable("deferred");
    t.date("day");
    t.index(["day", "who"], "orders_day"); t.index(["day"], "orders_hash", { indexType: "hash" });
  });
  return [await knex.schema.hasTable("people"), await knex.schema.hasColumn("people", "doc"), await knex.schema.hasTable("none")];
});
await check("columns", () => knex("people").columnInfo());
await check("columns of another schema", () => knex("orders").withSchema("side").columnInfo());
await check("insert", () => knex("people").insert([{ name: "Ann", mood: "ok", tags: ["a"], price: 1.5 }, { name: "Bob", price: 2 }]).returning(["id", "name", "doc"]));
await check("upsert", () => knex("people").insert({ name: "Ann", price: 1.5, mood: "sad" }).onConflict(["name", "price"]).merge().returning(["id", "mood"]));
await check("query", () => knex("people as p").leftJoin("side.orders as o", "o.who", "p.id").select("p.name").count("o.id as n").groupBy("p.name").having(knex.raw("count(*)"), ">", 0).orderBy("p.name"));
await check("with", () => knex.withRecursive("n", ["v"], knex.raw("SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < ?", [4])).select().from("n"));
await check("json", () => knex("people").select(knex.jsonExtract("doc", "$.a", "a")).whereJsonPath("doc", "$.a", "=", 1).orderBy("id"));
await check("transaction", () => knex.transaction(async (trx) => {
  await trx("people").insert({ name: "Cid", price: 3 });
  await trx.transaction(async (inner) => { await inner("people").insert({ name: null }); }).catch((e) => e.code);
  return trx("people").count();
}));
await check("alter", async () => {
  await knex.schema.alterTable("people", (t) => {
    t.text("name").nullable().alter();
    t.renameColumn("price", "cost");
    t.dropColumn("tags");
    t.bigInteger("id").alter({ alterNullable: false });
    t.dropUnique([], "people_once");
    t.setNullable("created_at");
  });
  await knex.schema.renameTable("people", "persons");
  return knex("persons").columnInfo();
});
await check("lock", () => knex.transaction((trx) => trx("persons").forUpdate().skipLocked().orderBy("id").select("id")));
await check("batch", () => knex.batchInsert("persons", Array.from({ length: 50 }, (_, n) => ({ id: n + 100, name: `n${n}`, cost: n + 1 })), 20).returning("id").then((r) => r.length));
await check("view", async () => {
  await knex.schema.createViewOrReplace("names", (v) => { v.columns(["name"]); v.as(knex("persons").select("name")); });
  await knex.schema.createMaterializedView("kept", (v) => { v.columns(["n"]); v.as(knex("persons").count()); });
  await knex.schema.refreshMaterializedView("kept");
  return [await knex("names").count(), await knex("kept").select()];
});
await check("migrations", async () => {
  const source = {
    getMigrations: async () => ["one", "two"], getMigrationName: (name) => name,
    getMigration: async (name) => ({
      up: (k) => k.schema.createTable(name, (t) => t.increments()), down: (k) => k.schema.dropTable(name),
    }),
  };
  const told = [await knex.migrate.latest({ migrationSource: source })];
  told.push(await knex.migrate.currentVersion({ migrationSource: source }));
  told.push(await knex.migrate.rollback({ migrationSource: source }));
  return told;
});
await check("drop", async () => {
  await knex.schema.dropMaterializedViewIfExists("kept");
  await knex.schema.dropView("names");
  await knex.schema.dropSchema("side", true);
  await knex.schema.dropTableIfExists("persons");
});
await knex.destroy();
