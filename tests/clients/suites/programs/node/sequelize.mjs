// Sequelize: sync with alter, associations, introspection by its query interface.
import { DataTypes, Op, Sequelize } from "sequelize";
import { check, where } from "./report.mjs";

const db = new Sequelize({ dialect: "postgres", host: where.host, port: where.port, username: where.user, database: where.database, logging: false });
const Person = db.define("person", {
  name: { type: DataTypes.STRING(40), allowNull: false, unique: "once", comment: "of birth" },
  mood: { type: DataTypes.STRING(4), defaultValue: "ok" }, // an ENUM is made by DO, which is PL/pgSQL
  tags: DataTypes.ARRAY(DataTypes.TEXT), doc: DataTypes.JSONB, price: { type: DataTypes.DECIMAL(10, 2), validate: { min: 0 } },
  code: DataTypes.UUID, span: DataTypes.RANGE(DataTypes.INTEGER), data: DataTypes.BLOB, day: DataTypes.DATEONLY, home: DataTypes.INET,
}, { timestamps: false, indexes: [{ fields: ["day"] }, { name: "person_lower", fields: [db.fn("lower", db.col("name"))] }] });
const Order = db.define("order", { id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true }, n: DataTypes.INTEGER }, { timestamps: false });
Order.belongsTo(Person, { onDelete: "CASCADE" });
Person.hasMany(Order);
const asked = db.getQueryInterface();

await check("sync", async () => { await db.sync(); return "done"; });
await check("sync with alter", () => db.sync({ alter: true }).then(() => "done"));
await check("create", async () => (await Person.bulkCreate([
  { name: "Ann", tags: ["a", "b"], doc: { deep: { n: 1 } }, price: 7.25, span: [1, 5], data: Buffer.from([1, 2]), day: "2026-01-02", home: "10.0.0.1" },
  { name: "Bob", mood: "sad" },
], { returning: true })).map((p) => p.toJSON()));
await check("children", async () => { await Order.bulkCreate([{ n: 1, personId: 1 }, { n: 2, personId: 1 }]); return Person.findAll({ include: Order, order: ["id", [Order, "id", "ASC"]] }); });
await check("where", () => Person.findAll({ where: { [Op.or]: [{ tags: { [Op.contains]: ["a"] } }, { name: { [Op.iLike]: "b%" } }], doc: { deep: { n: 1 } } }, attributes: ["name"] }));
await check("range", () => Person.findAll({ where: { span: { [Op.contains]: 3 } }, attributes: ["name", "span"] }));
await check("count", () => Order.findAll({ attributes: ["personId", [db.fn("COUNT", db.col("id")), "n"]], group: ["personId"], raw: true }));
await check("upsert", () => Person.upsert({ name: "Ann", mood: "sad" }).then(([p]) => [p.id, p.mood]));
await check("findOrCreate (PL/pgSQL)", () => Person.findOrCreate({ where: { name: "Cid" }, defaults: { price: 3 } }).then(([p, made]) => [p.id, made]));
await check("transaction", () => db.transaction({ isolationLevel: "REPEATABLE READ" }, async (transaction) => {
  await Person.increment("price", { by: 1, where: { name: "Ann" }, transaction });
  return (await Person.findOne({ where: { name: "Ann" }, lock: true, transaction })).price;
}));
await check("unique", () => Person.create({ name: "Ann" }).catch((e) => [e.name, e.fields, e.parent.code, e.parent.detail, e.parent.constraint]));
await check("foreign key", () => Order.create({ n: 1, personId: 99 }).catch((e) => [e.name, e.table, e.index, e.parent.detail]));
await check("tables", async () => (await asked.showAllTables()).map((t) => t.tableName ?? t).sort());
await check("describe", () => asked.describeTable("people"));
await check("describe the children", () => asked.describeTable("orders"));
await check("indexes", async () => (await asked.showIndex("people")).map((i) => ({ ...i, indkey: undefined })));
await check("constraints", () => asked.showConstraint("people").then((rows) => rows.map((r) => [r.constraintName.replace(/^\d+_\d+_/, ""), r.constraintType]).sort()));
await check("foreign keys", () => asked.getForeignKeyReferencesForTable("orders").then((rows) => rows.map((r) => ({ ...r, tableCatalog: 0, constraintCatalog: 0, referencedTableCatalog: 0 }))));
await check("alter", async () => {
  await asked.addColumn("people", "extra", { type: DataTypes.INTEGER, defaultValue: 3 });
  await asked.changeColumn("people", "extra", { type: DataTypes.BIGINT, allowNull: false });
  await asked.renameColumn("people", "extra", "more");
  await asked.addConstraint("people", { fields: ["more"], type: "check", where: { more: { [Op.gt]: 0 } }, name: "more_positive" });
  await asked.addIndex("people", ["more", "name"], { unique: true, name: "people_more", where: { more: 3 } });
  await asked.removeIndex("people", "people_more");
  return asked.describeTable("people");
});
await check("drop", () => db.drop({ cascade: true }).then(() => "done"));
await db.close();
