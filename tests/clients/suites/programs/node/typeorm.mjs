// TypeORM: synchronize, relations, and synchronize again, which must find nothing to change.
import "reflect-metadata";
import typeorm from "typeorm";
import { check, where } from "./report.mjs";

const { DataSource, EntitySchema, Table, TableColumn, TableIndex } = typeorm;
const Person = new EntitySchema({
  name: "Person", tableName: "person",
  columns: {
    id: { type: Number, primary: true, generated: true },
    name: { type: "varchar", length: 40, unique: true, comment: "of birth" },
    mood: { type: "enum", enum: ["sad", "ok"], default: "ok" },
    tags: { type: "text", array: true, default: "{}" },
    doc: { type: "jsonb", nullable: true },
    price: { type: "numeric", precision: 10, scale: 2, default: 0 },
    born: { type: "timestamptz", createDate: true },
    span: { type: "int4range", nullable: true },
    code: { type: "uuid", generated: "uuid" },
    twice: { type: "int", asExpression: "length(name) * 2", generatedType: "STORED", nullable: true },
  },
  relations: {
    orders: { type: "one-to-many", target: "Order", inverseSide: "person" },
    friends: { type: "many-to-many", target: "Person", joinTable: { name: "friends" } },
  },
  indices: [{ name: "person_born", columns: ["born", "mood"] }, { name: "person_some", columns: ["price"], where: "price > 5" }],
  checks: [{ name: "person_price", expression: "price >= 0" }],
});
const Order = new EntitySchema({
  name: "Order", tableName: "order", schema: "side",
  columns: { id: { type: "bigint", primary: true, generated: "identity" }, day: { type: "date" } },
  relations: { person: { type: "many-to-one", target: "Person", inverseSide: "orders", onDelete: "CASCADE", joinColumn: true } },
});
const Names = new EntitySchema({
  name: "Names", type: "view", expression: "SELECT name, price FROM person", columns: { name: { type: "varchar" }, price: { type: "numeric" } },
});

const source = new DataSource({
  type: "postgres", ...where, username: where.user, installExtensions: false, uuidExtension: "pgcrypto",
  entities: [Person, Order, Names],
});
await source.initialize();
const left = async () => (await source.driver.createSchemaBuilder().log()).upQueries.map((q) => q.query);
await source.query("CREATE SCHEMA side");
await check("what synchronize does", left);
await check("synchronize", () => source.synchronize().then(() => "done"));
await check("nothing is left", left);
const people = source.getRepository("Person");
const plain = (who) => who && { ...who, born: undefined, code: undefined };
await check("save", async () => {
  const ann = await people.save({ name: "Ann", doc: { a: [1] }, tags: ["x", "y"], price: "7.25", span: "[1,5)" });
  const bob = await people.save({ name: "Bob", friends: [ann] });
  await source.getRepository("Order").save([{ day: "2026-01-02", person: ann }, { day: "2026-01-03", person: bob }]);
  return [plain(ann).id, bob.mood, bob.tags];
});
await check("find", async () => (await people.find({ relations: { orders: true, friends: true }, order: { id: "ASC" } })).map(
  (p) => [p.name, p.mood, p.tags, p.doc, p.price, p.span, p.twice, p.orders, p.friends.map((f) => f.name)]));
await check("query builder", () => people.createQueryBuilder("p").leftJoin("p.orders", "o").select("p.name", "name").addSelect("COUNT(o.id)", "n").groupBy("p.name").orderBy("p.name").getRawMany());
await check("pages", async () => {
  const [found, count] = await people.findAndCount({ take: 1, skip: 1, order: { name: "ASC" }, relations: { orders: true } });
  return [found.map((p) => p.name), count];
});
await check("upsert", async () => {
  await people.upsert({ name: "Ann", price: "8" }, ["name"]);
  return (await people.findOneBy({ name: "Ann" })).price;
});
await check("view", () => source.getRepository("Names").find({ order: { name: "ASC" } }));
await check("transaction", () => source.transaction("SERIALIZABLE", async (m) => {
  await m.increment("Person", { name: "Bob" }, "price", 2);
  return (await m.createQueryBuilder("Person", "p").setLock("pessimistic_write").orderBy("p.id").getMany()).map((p) => p.price);
}));
const runner = source.createQueryRunner();
await check("introspection", async () => (await runner.getTables(["person", "side.order", "friends"])).map((t) => [
  t.name, t.columns.map((c) => [c.name, c.type, c.length, c.isNullable, String(c.default), c.isPrimary, c.isUnique, c.isArray, c.enum, c.comment]).sort(),
  t.indices.map((i) => [i.name, i.columnNames.toSorted(), i.isUnique, i.where]).sort(), // it asks for them without ORDER BY
  t.foreignKeys.map((k) => [k.name, k.columnNames, k.referencedTableName, k.onDelete]).sort(), t.checks.map((k) => [k.name, k.expression]).sort()]));
await check("alter", async () => {
  await runner.addColumn("person", new TableColumn({ name: "extra", type: "int", default: 5 }));
  await runner.changeColumn("person", "extra", new TableColumn({ name: "more", type: "bigint", isNullable: true }));
  await runner.createIndex("person", new TableIndex({ name: "person_more", columnNames: ["more"] }));
  await runner.renameColumn("person", "more", "most");
  await runner.createTable(new Table({ name: "side.other", columns: [{ name: "id", type: "int", isPrimary: true, isGenerated: true, generationStrategy: "increment" }] }));
  await runner.renameTable("side.other", "another");
  return left();
});
await check("drop", () => source.dropDatabase().then(() => "done"));
await runner.release();
await source.destroy();
